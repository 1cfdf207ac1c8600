"""sig-node: what a container may: users, groups, privileges, sysctls, runtime classes."""

import pytest

from tests.conformance.access import Refused
from tests.conformance.pods import NOBODY_ELSE, Space, condition_of, container, pod, script, status_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

USER_AND_GROUP = {"runAsUser": 1001, "runAsGroup": 2002}
LINK = "ip link add probe0 type bridge && echo made || echo refused"

CASES = {
    "Security Context, privileged=false.": (
        pod(container(LINK, securityContext={"privileged": False})),
        lambda text: "refused" in text,
    ),
    "Security Context, readOnlyRootFilesystem=false.": (
        pod(container("echo x > /file && cat /file", securityContext={"readOnlyRootFilesystem": False})),
        lambda text: text == "x\n",
    ),
    "Security Context, test RunAsGroup at container level": (
        pod(container("id -u; id -g", securityContext=USER_AND_GROUP)),
        lambda text: text.split() == ["1001", "2002"],
    ),
    "Security Context, test RunAsGroup at pod level": (
        script("id -u; id -g", securityContext=USER_AND_GROUP),
        lambda text: text.split() == ["1001", "2002"],
    ),
    "Security Context, allowPrivilegeEscalation=false.": (
        pod(
            container(
                "grep NoNewPrivs /proc/self/status; id -u",
                securityContext={"runAsUser": NOBODY_ELSE, "allowPrivilegeEscalation": False},
            )
        ),
        lambda text: text.split() == ["NoNewPrivs:", "1", "1000"],
    ),
    "Sysctl, test sysctls": (
        script(
            "cat /proc/sys/kernel/shm_rmid_forced",
            securityContext={"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]},
        ),
        lambda text: text == "1\n",
    ),
}


@pytest.fixture(scope="module")
def started(space: Space) -> dict[str, str]:
    return {name: space.start(made) for name, (made, _) in CASES.items()}


@pytest.mark.parametrize("behaviour", CASES)
def test_a_container_is_held_to_its_security_context(behaviour: str, space: Space, started: dict[str, str]):
    text = space.output(started[behaviour])
    assert CASES[behaviour][1](text), text


def test_invalid_sysctls(space: Space):
    """Sysctls, reject invalid sysctls"""
    names = ("foo-", "kernel.shmmax", "safe-and-unsafe", "bar..", "kernel.shm_rmid_forced")
    sysctls = [{"name": name, "value": "100000000"} for name in names]
    with pytest.raises(Refused) as refused:
        space.start(script("true", securityContext={"sysctls": sysctls}))
    assert refused.value.code == 422
    fields = {cause["field"]: cause["message"] for cause in refused.value.status["details"]["causes"]}
    assert set(fields) == {f"spec.securityContext.sysctls[{index}].name" for index in (0, 3)}


def test_unsafe_sysctls_are_not_for_everyone(space: Space):
    """A sysctl outside the safe set passes the API; the kubelet refuses it unless it was told to allow it."""
    sysctls = [{"name": "kernel.shmmax", "value": "100000000"}]
    found = space.ended(space.start(script("true", securityContext={"sysctls": sysctls})))
    assert (found["status"]["phase"], found["status"]["reason"]) == ("Failed", "SysctlForbidden")


# -- runtime classes --------------------------------------------------------------------------------------------------

CLASSES = "node.k8s.io/v1/runtimeclasses"


@pytest.fixture
def classes(space: Space):
    """RuntimeClasses are in no namespace; those of this module are removed."""
    whole = Space(space.api, "")
    yield whole
    whole.delete_all(CLASSES, f"of={space.name}")


def runtime_class(space: Space, name: str, handler: str) -> dict:
    metadata = {"name": name, "labels": {"of": space.name}}
    return {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": metadata, "handler": handler}


def test_a_runtime_class_that_exists(space: Space, classes: Space):
    """
    Can schedule a pod requesting existing RuntimeClass.

    And with a handler that the runtime has, it runs.
    """
    classes.create(CLASSES, runtime_class(space, "handled", "runc"))
    classes.create(CLASSES, runtime_class(space, "unhandled", "no-such-handler"))
    unhandled = space.start(pod(container("true"), runtimeClassName="unhandled"))
    assert space.run(pod(container("echo ran"), runtimeClassName="handled")) == "ran\n"
    space.when(unhandled, lambda found: condition_of(found, "PodScheduled") == "True", "it is scheduled")
    assert "waiting" in status_of(space.when(unhandled, lambda found: status_of(found), "it waits"))["state"]


@pytest.mark.parametrize(
    "behaviour",
    ["Pod with the non-existing RuntimeClass is rejected.", "Pod with the deleted RuntimeClass is rejected."],
)
def test_a_runtime_class_that_does_not_exist(behaviour: str, space: Space, classes: Space):
    if "deleted" in behaviour:
        classes.create(CLASSES, runtime_class(space, "nobody", "runc"))
        classes.delete(CLASSES, "nobody")
    with pytest.raises(Refused) as refused:
        space.start(pod(container("true"), runtimeClassName="nobody"))
    assert refused.value.code == 403

"""sig-node: how containers end, and what is told of it: messages, restarts, phases, logs; init containers; hosts."""

import json

import pytest

from tests.conformance.access import Object, Refused
from tests.conformance.pods import (
    IMAGE,
    NOBODY_ELSE,
    SLEEP,
    Space,
    condition_of,
    container,
    has_ended,
    pod,
    restarts,
    script,
    status_of,
    with_volumes,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

MESSAGES = {
    "Container Runtime, TerminationMessage, from log output of succeeding container": (
        script("echo DONE", terminationMessagePolicy="FallbackToLogsOnError"),
        None,
    ),
    "Container Runtime, TerminationMessage, from file of succeeding container": (
        script("echo noise; printf OK > /dev/termination-log", terminationMessagePolicy="FallbackToLogsOnError"),
        "OK",
    ),
    "Container Runtime, TerminationMessage, from container's log output of failing container": (
        script("printf DONE; exit 1", terminationMessagePolicy="FallbackToLogsOnError"),
        "DONE",
    ),
    "Container Runtime, TerminationMessagePath, non-root user and non-default path": (
        script(
            "printf DONE > /dev/own-log",
            terminationMessagePath="/dev/own-log",
            securityContext={"runAsUser": NOBODY_ELSE},
        ),
        "DONE",
    ),
}


@pytest.fixture(scope="module")
def with_messages(space: Space) -> dict[str, str]:
    return {name: space.start(made) for name, (made, _) in MESSAGES.items()}


@pytest.mark.parametrize("behaviour", MESSAGES)
def test_the_message_of_a_container_that_ended(behaviour: str, space: Space, with_messages: dict[str, str]):
    terminated = status_of(space.ended(with_messages[behaviour]))["state"]["terminated"]
    assert terminated.get("message") == MESSAGES[behaviour][1]


def test_restart_policies(space: Space):
    """Container Runtime, Restart Policy, Pod Phases"""
    counting = "n=$(cat /v/n 2>/dev/null || echo 0); echo $((n+1)) > /v/n; "
    ends = {
        "Always": counting + "[ $n -lt 1 ] && exit 1; trap 'exit 0' TERM; sleep 1000000 & wait",
        "OnFailure": counting + "[ $n -lt 1 ] && exit 1; exit 0",
        "Never": "exit 1",
    }
    names = {}
    for policy, command in ends.items():
        made, volumes = with_volumes(container(command), {"/v": {"emptyDir": {}}})
        names[policy] = space.start(pod(made, volumes=volumes, restartPolicy=policy))
    always = space.when(names["Always"], lambda found: restarts(found) == 1 and status_of(found)["ready"], "restarted")
    assert (always["status"]["phase"], condition_of(always, "Ready")) == ("Running", "True")
    assert "running" in status_of(always)["state"]
    for policy, phase, count in (("OnFailure", "Succeeded", 1), ("Never", "Failed", 0)):
        found = space.ended(names[policy])
        assert (found["status"]["phase"], restarts(found), condition_of(found, "Ready")) == (phase, count, "False")
        assert "terminated" in status_of(found)["state"]


# -- init containers --------------------------------------------------------------------------------------------------


def with_inits(policy: str, *inits: str, main: str | list[str] = "true") -> dict:
    made = [container(command, f"init{number}") for number, command in enumerate(inits)]
    return pod(container(main), initContainers=made, restartPolicy=policy)


def test_init_containers_of_a_pod_that_always_restarts(space: Space):
    """init-container-starts-app-restartalways-pod"""
    found = space.ready(space.start(with_inits("Always", "true", "true", main=SLEEP)))
    assert condition_of(found, "Initialized") == "True"
    for name in ("init0", "init1"):
        status = status_of(found, name)
        assert status["ready"]
        assert status["state"]["terminated"]["exitCode"] == 0


def test_init_containers_of_a_pod_that_never_restarts(space: Space):
    """init-container-starts-app-restartnever-pod"""
    found = space.ended(space.start(with_inits("Never", "true", "true")))
    assert (found["status"]["phase"], condition_of(found, "Initialized")) == ("Succeeded", "True")
    for name in ("init0", "init1", "c"):
        assert status_of(found, name)["state"]["terminated"]["exitCode"] == 0


def test_a_failed_init_container_ends_a_pod_that_never_restarts(space: Space):
    """init-container-fails-stops-app-restartnever-pod"""
    found = space.ended(space.start(with_inits("Never", "true", "exit 3")))
    assert (found["status"]["phase"], condition_of(found, "Initialized")) == ("Failed", "False")
    assert status_of(found, "init1")["state"]["terminated"]["exitCode"] == 3
    assert "waiting" in status_of(found)["state"]
    assert "containerID" not in status_of(found)


def test_a_failing_init_container_is_restarted_in_a_pod_that_always_restarts(space: Space):
    """init-container-fails-stops-app-restartalways-pod"""
    name = space.start(with_inits("Always", "false", "true", main=SLEEP))
    found = space.when(name, lambda found: restarts(found, "init0") >= 2, "the init container was restarted twice", 40)
    assert (found["status"]["phase"], condition_of(found, "Initialized")) == ("Pending", "False")
    assert status_of(found, "init0")["lastState"]["terminated"]["exitCode"] == 1
    for other in ("init1", "c"):
        assert status_of(found, other)["state"] == {"waiting": {"reason": "PodInitializing"}}
        assert "containerID" not in status_of(found, other)


# -- what the kubelet gives, and tells --------------------------------------------------------------------------------


def test_output_goes_to_the_log(space: Space):
    """Kubelet, log output, default"""
    assert sorted(space.run(script("echo 'Hello World'; echo to stderr >&2")).splitlines()) == [
        "Hello World",
        "to stderr",
    ]


def test_a_pod_that_always_fails(space: Space):
    """
    Kubelet, failed pod, terminated reason
    Kubelet, failed pod, delete
    """
    name = space.start(pod(container(["/bin/false"]), restartPolicy="Always"))
    status = status_of(space.when(name, lambda found: restarts(found) >= 1, "it was restarted"))
    ended = status["state"].get("terminated") or status["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("Error", 1)
    space.remove(name)


def test_the_root_file_system_is_read_only(space: Space):
    """Kubelet, pod with read only root file system"""
    text = space.run(
        pod(container("echo x > /file; test ! -e /file", securityContext={"readOnlyRootFilesystem": True}))
    )
    assert "Read-only file system" in text


def test_etc_hosts(space: Space):
    """Kubelet, managed etc hosts"""
    host_file = [{"name": "hosts", "hostPath": {"path": "/etc/hosts", "type": "File"}}]
    own = container("cat /etc/hosts", "own", volumeMounts=[{"name": "hosts", "mountPath": "/etc/hosts"}])
    other = {**own, "name": "other", "volumeMounts": []}
    pods = {network: space.start(pod(own, other, volumes=host_file, hostNetwork=network)) for network in (False, True)}
    with open("/etc/hosts", encoding="utf-8") as file:
        hosts = file.read()
    for network, name in pods.items():
        found = space.ended(name)
        assert space.log(name, "own") == hosts
        text = space.log(name, "other")
        assert ("Kubernetes-managed hosts file" in text) is not network, json.dumps(found["status"])
        assert (text == hosts) is network


def test_a_pod_ends_when_asked(space: Space):
    """A pod that was deleted ends in order: its process is asked, and its end is told before it is gone."""
    name = space.start(pod(container(SLEEP), terminationGracePeriodSeconds=20))
    space.ready(name)
    space.delete("pods", name)
    space.gone(name, 10)
    assert not any(has_ended(item) for item in space.list("pods") if item["metadata"]["name"] == name)


# -- images as volumes ------------------------------------------------------------------------------------------------


def test_an_image_is_a_volume(space: Space):
    """Image Volume"""
    source = {"image": {"reference": IMAGE, "pullPolicy": "Always"}}
    look = "test -s /tools/bin/busybox && test -s /part/busybox && ! touch /tools/file && ! /tools/bin/busybox true"
    made, volumes = with_volumes(container(look), {"/tools": source})
    made["volumeMounts"].append({"name": "v0", "mountPath": "/part", "subPath": "bin", "readOnly": True})
    found = space.ended(space.start(pod(made, volumes=volumes, initContainers=[{**made, "name": "before"}])))
    assert found["status"]["phase"] == "Succeeded", status_of(found, "before")


def test_a_volume_whose_image_is_missing_keeps_its_container_waiting(space: Space):
    source = {"image": {"reference": "kubus.local/missing:1", "pullPolicy": "Never"}}
    made, volumes = with_volumes(container("true"), {"/tools": source})

    def waits(found: Object) -> bool:
        return status_of(found)["state"].get("waiting", {}).get("reason") == "ErrImageNeverPull"

    space.when(space.start(pod(made, volumes=volumes)), waits, "waiting for the image of its volume")


def test_a_pod_names_the_image_of_its_volume(space: Space):
    made, volumes = with_volumes(container("true"), {"/tools": {"image": {"pullPolicy": "Sometimes"}}})
    with pytest.raises(Refused) as refused:
        space.create("pods", pod(made, volumes=volumes))
    assert "spec.volumes[0].image.reference" in str(refused.value)
    assert "Sometimes" in str(refused.value)

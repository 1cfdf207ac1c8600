"""sig-node: variables and commands of containers: ConfigMaps, Secrets, the downward API, expansion, image defaults."""

import pytest

from tests.conformance.pods import Space, config_map, container, pod, script, secret, with_volumes

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

PREFIXES = ("", "p-", "9_", "$_", "a b", "!@#%^&*()")
RESOURCES = {"requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "1250m", "memory": "64Mi"}}


def of_field(**paths: str) -> list[dict]:
    return [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in paths.items()]


def of_resource(**resources: str) -> list[dict]:
    return [{"name": name, "valueFrom": {"resourceFieldRef": {"resource": what}}} for name, what in resources.items()]


def prefixed(kind: str, name: str) -> list[dict]:
    return [{"prefix": prefix, kind: {"name": name}} for prefix in PREFIXES]


def plain(**values: str) -> list[dict]:
    return [{"name": name, "value": value} for name, value in values.items()]


EXPECT_PREFIXED = {f"{prefix}{key}={value}" for prefix in PREFIXES for key, value in (("k1", "v1"), ("k-2.x", "v2"))}

CASES = {
    "ConfigMap, from environment field with various prefixes": (
        script(["env"], envFrom=prefixed("configMapRef", "data")),
        EXPECT_PREFIXED,
    ),
    "ConfigMap, from environment variables": (
        script(["env"], env=[{"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "data", "key": "k1"}}}]),
        {"ONE=v1"},
    ),
    "Secrets, pod environment from source": (
        script(["env"], envFrom=prefixed("secretRef", "hidden")),
        EXPECT_PREFIXED,
    ),
    "Secrets, pod environment field": (
        script(["env"], env=[{"name": "ONE", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "k1"}}}]),
        {"ONE=v1"},
    ),
    "DownwardAPI, environment for CPU and memory limits and requests": (
        script(
            ["env"],
            resources=RESOURCES,
            env=of_resource(LC="limits.cpu", LM="limits.memory", RC="requests.cpu", RM="requests.memory"),
        ),
        {"LC=2", f"LM={64 << 20}", "RC=1", f"RM={32 << 20}"},
    ),
    "Environment variables, expansion": (
        script(["env"], env=plain(A="a", B="$(A);;b", C="$$(A) $(NOBODY) $(B)")),
        {"B=a;;b", "C=$(A) $(NOBODY) a;;b"},
    ),
    "Environment variables, command expansion": (
        pod(container(["sh", "-c", 'echo "$(A)" $$0'], env=plain(A="from the command"))),
        {"from the command sh"},
    ),
    "Environment variables, command argument expansion": (
        pod(container(["echo"], args=["$(A)", "$$(A)"], env=plain(A="from args"))),
        {"from args $(A)"},
    ),
    "Containers, with command": (pod(container(["echo", "own", "command"])), {"own command"}),
    "Containers, with command and arguments": (pod(container(["echo"], args=["own", "args"])), {"own args"}),
}


@pytest.fixture(scope="module")
def started(space: Space) -> dict[str, str]:
    """All pods of CASES, running side by side."""
    values = {"k1": "v1", "k-2.x": "v2"}
    space.create("configmaps", config_map("data", values))
    space.create("secrets", secret("hidden", values))
    return {name: space.start(made) for name, (made, _) in CASES.items()}


@pytest.mark.parametrize("behaviour", CASES)
def test_a_container_finds(behaviour: str, space: Space, started: dict[str, str]):
    lines = set(space.output(started[behaviour]).splitlines())
    assert CASES[behaviour][1] <= lines


def test_addresses_and_names(space: Space):
    """
    DownwardAPI, environment for name, namespace and ip
    DownwardAPI, environment for host ip
    DownwardAPI, environment for hostIPs
    """
    fields = of_field(
        NAME="metadata.name",
        SPACE="metadata.namespace",
        IP="status.podIP",
        HOST="status.hostIP",
        HOSTS="status.hostIPs",
    )
    name = space.start(script(["env"], env=fields))
    lines = space.output(name).splitlines()
    found = space.get("pods", name)
    hosts = ",".join(item["ip"] for item in found["status"]["hostIPs"])
    assert found["status"]["hostIP"] == hosts.split(",")[0] != ""
    expected = {"NAME": name, "SPACE": space.name, "IP": found["status"]["podIP"], "HOST": hosts.split(",")[0]}
    assert {f"{key}={value}" for key, value in (expected | {"HOSTS": hosts}).items()} <= set(lines)


def test_the_images_own_command(space: Space):
    """
    Containers, without command and arguments

    The toolbox runs a shell, which ends when its input does; arguments alone take its place.
    """
    made = space.start(pod(container(None, stdin=False), container(None, "with-args", args=["echo", "args only"])))
    assert space.output(made) == ""
    assert "args only" in space.log(made, "with-args")


def test_a_subpath_is_made_from_variables(space: Space):
    """VolumeSubpathEnvExpansion, subpath expansion"""
    mounts = [{"name": "v", "mountPath": "/own", "subPathExpr": "$(NAME)/deep"}]
    writer = container("echo hello > /own/file; cat /all/$NAME/deep/file", env=of_field(NAME="metadata.name"))
    writer, _ = with_volumes(writer, {})
    writer["volumeMounts"] = [*mounts, {"name": "v", "mountPath": "/all"}]
    assert space.run(pod(writer, volumes=[{"name": "v", "emptyDir": {}}])) == "hello\n"


def sub_path_pod(name: str, expression: str, annotation: str) -> dict:
    env = of_field(NAME="metadata.name", ANNOTATION="metadata.annotations['mysubpath']")
    mounts = [
        {"name": "v", "mountPath": "/own", "subPathExpr": expression},
        {"name": "v", "mountPath": "/all"},
    ]
    made = container("touch /own/test.log; find /all; sleep 1000", env=env, volumeMounts=mounts)
    volumes = [{"name": "v", "emptyDir": {}}]
    annotations = {"mysubpath": annotation} if annotation else {"other": "x"}
    return pod(made, name=name, volumes=volumes, annotations=annotations)


def test_writes_in_an_expanded_subpath(space: Space):
    """VolumeSubpathEnvExpansion, subpath test writes"""
    name = space.start(sub_path_pod("writes", "$(ANNOTATION)/$(NAME)", "mypath"))
    space.read_until(name, lambda text: "/all/mypath/writes/test.log" in text, "the file is where it belongs")
    space.patch("pods", name, {"metadata": {"annotations": {"mysubpath": "mynewpath"}}})
    assert space.get("pods", name)["metadata"]["annotations"]["mysubpath"] == "mynewpath"
    space.remove(name)


def test_an_expansion_that_fails_may_succeed_later(space: Space):
    """VolumeSubpathEnvExpansion, subpath ready from failed state"""
    name = space.start(sub_path_pod("failing", "$(ANNOTATION)/$(NAME)", ""))
    waits = lambda found: found["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]  # noqa: E731
    space.when(name, lambda found: waits(found) == "CreateContainerConfigError", "it can't be made")
    space.patch("pods", name, {"metadata": {"annotations": {"mysubpath": "mypath"}}})
    space.read_until(name, lambda text: "/all/mypath/failing/test.log" in text, "it runs now")

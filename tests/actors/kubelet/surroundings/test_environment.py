"""Environment variables, expansion, services, the downward API."""

import base64
from typing import Any

import pytest

from actors.kubelet.surroundings.downward import ConfigError, field_value, resource_value
from actors.kubelet.surroundings.env_files import MAX_FILES
from actors.kubelet.surroundings.environment import Surroundings, environment, expand, expand_strictly, references
from tests.actors.kubelet.pods import container, pod

CONFIG = {"metadata": {"name": "cm", "namespace": "default"}, "data": {"a": "1", "b": "2"}}
SECRET = {
    "metadata": {"name": "s", "namespace": "default"},
    "data": {"pw": base64.b64encode(b"hush").decode()},
}
OBJECTS = {("configmaps", "cm"): CONFIG, ("secrets", "s"): SECRET}
AROUND = Surroundings(
    lookup=lambda kind, name: OBJECTS.get((kind, name)), pod_ips=("10.0.0.2",), host_ips=("192.0.2.1",)
)


def variables(around: Surroundings = AROUND, **fields: Any) -> dict[str, str]:
    made = container("web", **fields)
    return dict(environment(pod(made, enableServiceLinks=False), made, around))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NONE)", "$(NONE)"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$$", "$"),
        ("100%$", "100%$"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def test_values_build_on_earlier_ones() -> None:
    made = variables(
        env=[{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}, {"name": "A", "value": "$(B)3"}]
    )
    assert made == {"A": "123", "B": "12"}


def test_binary_data_makes_no_variables() -> None:
    """It may hold what no variable can; a container with a NUL in one does not start."""
    found = {**CONFIG, "binaryData": {"bin": base64.b64encode(b"\0\1").decode()}}
    around = Surroundings(lookup=lambda kind, name: found)
    assert variables(around, envFrom=[{"configMapRef": {"name": "cm"}}]) == {"a": "1", "b": "2"}
    entry = {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "bin"}}}
    with pytest.raises(ConfigError, match="couldn't find key bin in ConfigMap default/cm"):
        variables(around, env=[entry])


def test_sources() -> None:
    made = variables(
        envFrom=[{"configMapRef": {"name": "cm"}, "prefix": "CM_"}, {"secretRef": {"name": "gone", "optional": True}}],
        env=[
            {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "s", "key": "pw"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "OPT", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "zz", "optional": True}}},
            {"name": "CM_a", "value": "over"},
        ],
    )
    assert made == {"CM_a": "over", "CM_b": "2", "PW": "hush", "IP": "10.0.0.2"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "no"}}]}, 'configmap "no" not found'),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}}]}, 'secret "no" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            "couldn't find key k in Secret default/s",
        ),
    ],
)
def test_what_is_missing_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        variables(**fields)


def from_file(content: bytes | None, **ref: Any) -> dict[str, str]:
    source = {"volumeName": "v", "path": "a.env", "key": "A", **ref}
    files = {("v", "a.env"): content}
    around = Surroundings(lookup=AROUND.lookup, env_file=lambda volume, path: files[volume, path])
    return variables(around, env=[{"name": "X", "valueFrom": {"fileKeyRef": source}}])


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"A='1'", "1"),
        (b"# of A\n\n \t\n  A = '1' \nB='2'\n", "1"),
        (b"A='1'\nA='2'\n", "2"),
        (b"B='A=7'\r\nA=''\r\n", ""),
        (b"C='it # is'\nA='two\nlines = \"$HOME\" \\n'\n", 'two\nlines = "$HOME" \\n'),
        ("A='\u00e4'".encode(), "\u00e4"),
    ],
)
def test_a_variable_of_a_file(content: bytes, value: str) -> None:
    assert from_file(content) == {"X": value}


def test_what_a_file_lacks() -> None:
    assert from_file(None, optional=True) == from_file(b"B='1'", optional=True) == {}
    with pytest.raises(ConfigError, match='env file "a.env" not found in volume "v"'):
        from_file(None)
    with pytest.raises(ConfigError, match='environment variable key "A" not found in file "a.env"'):
        from_file(b"B='1'")


@pytest.mark.parametrize(
    "line",
    [b"A=1", b'A="1"', b"A='1''2'", b"A='1'$B", b"A='1", b"A", b"='1'", b"A=x'1'", b"A=='1'", b"A='\0'", b"A=1\nB='2'"],
)
def test_what_is_no_file_of_variables(line: bytes) -> None:
    with pytest.raises(ConfigError, match="line 2 is not of the form NAME='value'"):
        from_file(b"# first\n" + line, optional=True)
    with pytest.raises(ConfigError, match="not UTF-8"):
        from_file(b"A='\xff'")


def test_a_file_is_read_once_and_not_too_many_are() -> None:
    read = []

    def env_file(volume: str, path: str) -> bytes:
        read.append(path)
        return b"A='1'"

    def entry(path: str) -> dict[str, Any]:
        return {"name": path, "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": path, "key": "A"}}}

    around = Surroundings(lookup=AROUND.lookup, env_file=env_file)
    variables(around, env=[entry("a"), entry("b"), entry("a")])
    assert read == ["a", "b"]
    with pytest.raises(ConfigError, match=f"more than {MAX_FILES} env files"):
        variables(around, env=[entry(str(number)) for number in range(MAX_FILES + 1)])


def test_references_of_all_containers() -> None:
    spec = pod(
        container("web", envFrom=[{"secretRef": {"name": "s"}}]),
        inits=(container("i", env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}}]),),
    )
    assert references(spec) == {("secrets", "s"), ("configmaps", "cm")}


def service(name: str, namespace: str = "default", address: str = "10.96.0.7") -> dict[str, Any]:
    ports = [{"name": "http-x", "port": 80}, {"port": 53, "protocol": "UDP"}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": address, "ports": ports}}


def test_services_of_the_namespace_and_always_the_api() -> None:
    services = [
        service("kubernetes", address="10.96.0.1"),
        service("my-db"),
        service("far", "other"),
        service("h", address="None"),
    ]
    around = Surroundings(lookup=lambda kind, name: None, services=services)
    made = container("web")
    linked = dict(environment(pod(made), made, around))
    assert linked["MY_DB_SERVICE_HOST"] == "10.96.0.7"
    assert linked["MY_DB_SERVICE_PORT"] == "80"
    assert linked["MY_DB_SERVICE_PORT_HTTP_X"] == "80"
    assert linked["MY_DB_PORT"] == "tcp://10.96.0.7:80"
    assert linked["MY_DB_PORT_53_UDP_PROTO"] == "udp"
    assert not any(name.startswith(("FAR", "H_")) for name in linked)
    alone = dict(environment(pod(made, enableServiceLinks=False), made, around))
    assert alone["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert not any(name.startswith("MY_DB") for name in alone)


def test_fields() -> None:
    spec = pod()
    spec["metadata"] |= {"labels": {"b": "2", "a": 'q"\n'}, "annotations": {"k/x": "v"}}
    assert field_value(spec, "metadata.labels", (), ()) == 'a="q\\"\\n"\nb="2"'
    assert field_value(spec, "metadata.annotations['k/x']", (), ()) == "v"
    assert field_value(spec, "metadata.labels['none']", (), ()) == ""
    assert field_value(spec, "status.podIPs", ("1.1.1.1", "::1"), ()) == "1.1.1.1,::1"
    with pytest.raises(ConfigError):
        field_value(spec, "spec.magic", (), ())


def test_resources() -> None:
    spec = pod(container("web", resources={"limits": {"memory": "64Mi", "cpu": "250m"}, "requests": {"cpu": "100m"}}))
    allocatable = {"cpu": "4", "memory": "1Gi"}

    def value(resource: str, divisor: str = "1") -> str:
        return resource_value(spec, "web", {"resource": resource, "divisor": divisor}, allocatable)

    assert value("limits.memory", "1Mi") == "64"
    assert value("limits.cpu") == "1"
    assert value("limits.cpu", "1m") == "250"
    assert value("requests.memory") == "0"
    assert value("limits.ephemeral-storage") == "0"
    whole = pod(container("web"), resources={"limits": {"memory": "128Mi"}})
    for resource, amount in (("limits.memory", "128"), ("requests.memory", "0")):
        assert resource_value(whole, "web", {"resource": resource, "divisor": "1Mi"}, allocatable) == amount


def test_a_path_with_a_missing_or_empty_variable_is_refused():
    assert expand_strictly("$(A)/b$$", {"A": "x"}) == "x/b$"
    for variables in ({}, {"A": ""}):
        with pytest.raises(ConfigError, match="missing value for A"):
            expand_strictly("$(A)/b", variables)

"""sig-cli, sig-architecture: kubectl, where no container must run."""

import contextlib
import http.client
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, eventually
from tests.conformance.access import Object
from tests.conformance.pods import IMAGE, Space, container, pod

pytestmark = pytest.mark.timeout(60)

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(space: Space) -> Kubectl:
    """Runs kubectl in this module's namespace."""
    return lambda *words, **options: space.api.cluster.kubectl("-n", space.name, *words, **options)


def controller(name: str, replicas: int) -> Object:
    spec = pod(container(None))["spec"] | {"restartPolicy": "Always"}
    template = {"metadata": {"labels": {"of": name}}, "spec": spec}
    fields = {"replicas": replicas, "selector": {"of": name}, "template": template}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name}, "spec": fields}


def running(space: Space, name: str, count: int) -> list[Object]:
    """Return the pods of a controller, once so many run and no more are left."""

    def found() -> list[Object]:
        pods = space.list("pods", f"of={name}")
        good = [one for one in pods if one["status"].get("phase") == "Running"]
        return good if len(good) == len(pods) == count else []

    return eventually(found, f"{count} pods of {name} run", 20)


def test_two_nodes_take_pods(whole: Space):
    """Conformance tests minimum number of nodes."""
    nodes = whole.list("nodes")
    free = [one for one in nodes if not one["spec"].get("taints") and not one["spec"].get("unschedulable")]
    assert len(free) >= 2


def test_cluster_info(kubectl: Kubectl):
    """Kubectl, cluster info"""
    said = kubectl("cluster-info")
    assert re.search(r"Kubernetes control plane is running at https://\S+:\d+", said)


def test_version(kubectl: Kubectl):
    """Kubectl, version"""
    found = json.loads(kubectl("version", "-o", "json"))
    for side in ("clientVersion", "serverVersion"):
        for field in ("major", "minor", "gitVersion", "gitCommit", "buildDate", "goVersion", "compiler", "platform"):
            assert found[side].get(field), f"{side}.{field}"
    assert re.search(r"Client Version: v\d+\.\d+\.\d+.*\nKustomize.*\nServer Version: v1\.\d+\.\d+", kubectl("version"))


def test_run(kubectl: Kubectl, space: Space):
    """Kubectl, run pod"""
    kubectl("run", "ran", "--restart=Never", f"--image={IMAGE}")
    spec = space.get("pods", "ran")["spec"]
    assert ([one["image"] for one in spec["containers"]], spec["restartPolicy"]) == ([IMAGE], "Never")


def test_label(kubectl: Kubectl, space: Space):
    """Kubectl, label update"""
    space.ready(space.start(pod(container(None), name="labelled")))
    kubectl("label", "pods", "labelled", "testing-label=testing-label-value")
    assert "testing-label-value" in kubectl("get", "pod", "labelled", "-L", "testing-label")
    assert "labelled" in kubectl("get", "pod", "-l", "testing-label=testing-label-value")
    kubectl("label", "pods", "labelled", "testing-label-")
    assert "testing-label-value" not in kubectl("get", "pod", "labelled", "-L", "testing-label")
    assert kubectl("get", "pod", "-l", "testing-label", "-o", "name") == ""


def test_replace(kubectl: Kubectl, space: Space):
    """Kubectl, replace"""
    space.ready(space.start(pod(container(None), name="replaced")))
    found = json.loads(kubectl("get", "pod", "replaced", "-o", "json"))
    found["spec"]["containers"][0]["image"] = "example.com/other:1"
    kubectl("replace", "-f", "-", stdin=json.dumps(found))
    after = space.get("pods", "replaced")
    assert after["spec"]["containers"][0]["image"] == "example.com/other:1"
    assert after["metadata"]["uid"] == found["metadata"]["uid"]
    anew = pod(container(None, image="example.com/third:1"), name="replaced")
    kubectl("replace", "--force", "-f", "-", stdin=json.dumps(anew))
    after = space.get("pods", "replaced")
    assert after["spec"]["containers"][0]["image"] == "example.com/third:1"
    assert after["metadata"]["uid"] != found["metadata"]["uid"]


def test_a_replication_controller_is_created_and_scaled(kubectl: Kubectl, space: Space):
    """
    Kubectl, replication controller
    Kubectl, scale replication controller
    """
    kubectl("create", "-f", "-", stdin=json.dumps(controller("demo", 2)))
    running(space, "demo", 2)
    for replicas in (1, 2):
        kubectl("scale", "rc", "demo", f"--replicas={replicas}", "--timeout=30s")
        running(space, "demo", replicas)
    kubectl("delete", "rc", "demo", "--grace-period=0", "--force")
    eventually(lambda: space.list("pods", "of=demo") == [], "its pods are gone", 20)


def test_patch(kubectl: Kubectl, space: Space):
    """Kubectl, patch to annotate"""
    kubectl("create", "-f", "-", stdin=json.dumps(controller("annotated", 2)))
    for one in running(space, "annotated", 2):
        kubectl("patch", "pod", one["metadata"]["name"], "-p", '{"metadata": {"annotations": {"x": "y"}}}')
    assert [one["metadata"]["annotations"]["x"] for one in space.list("pods", "of=annotated")] == ["y", "y"]
    space.delete("replicationcontrollers", "annotated")


def test_describe(kubectl: Kubectl, space: Space):
    """Kubectl, describe pod or rc"""
    kubectl("create", "-f", "-", stdin=json.dumps(controller("described", 1)))
    (one,) = running(space, "described", 1)
    name, node = one["metadata"]["name"], one["spec"]["nodeName"]
    kubectl("expose", "rc", "described", "--port=80", "--target-port=8080")

    def says(words: tuple[str, ...], *expected: str) -> None:
        said = kubectl("describe", *words)
        assert [line for line in expected if not re.search(line, said, re.M)] == [], said

    says(
        ("pod", name),
        rf"^Name: +{name}$",
        rf"^Namespace: +{space.name}$",
        rf"^Node: +{node}/",
        "^Labels: +of=described$",
        "^Status: +Running$",
        rf"^IP: +{one['status']['podIP']}$",
        "^Controlled By: +ReplicationController/described$",
        rf"Image: +{IMAGE}$",
        "State: +Running",
        "Ready: +True",
        "QoS Class: +BestEffort",
    )
    says(
        ("rc", "described"),
        "^Name: +described$",
        "^Selector: +of=described$",
        "^Replicas: +1 current / 1 desired",
        "^Pods Status: +1 Running / 0 Waiting / 0 Succeeded / 0 Failed",
        "Events:",
        f"Created pod: {name}",
    )
    address = re.escape(f"{one['status']['podIP']}:8080")
    says(
        ("service", "described"),
        "^Name: +described$",
        "^Selector: +of=described$",
        "^Type: +ClusterIP$",
        r"^IP: +\d+",
        "^Port: +<unset> +80/TCP$",
        f"^Endpoints: +{address}$",
        "^Session Affinity: +None$",
    )
    says(
        ("node", node),
        f"^Name: +{node}$",
        "^Labels: ",
        "^Conditions:$",
        "^Addresses:$",
        "^Capacity:$",
        "Kubelet Version: +v",
        rf"{space.name} +{name}",
        r"^Allocated resources:$",
    )
    says(
        ("namespace", space.name), f"^Name: +{space.name}$", "^Status: +Active$", "^No resource quota", "^No LimitRange"
    )
    space.delete("replicationcontrollers", "described")


@contextlib.contextmanager
def proxy(cluster: Cluster, *options: str) -> Iterator[str]:
    """Run `kubectl proxy`; returns its first line."""
    command = cluster.inside(["kubectl", "proxy", *options])
    process = subprocess.Popen(command, env=cluster.environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def versions_from(connection: http.client.HTTPConnection) -> list[str]:
    try:
        connection.request("GET", "/api/")
        return json.loads(connection.getresponse().read())["versions"]
    finally:
        connection.close()


def test_a_proxy_on_any_port(space: Space):
    """Kubectl, proxy port zero"""
    with proxy(space.api.cluster, "--port=0", "--disable-filter=true") as said:
        port = re.fullmatch(r"Starting to serve on 127.0.0.1:(\d+)\n", said)
        assert port, said
        assert versions_from(http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=10)) == ["v1"]


def test_a_proxy_at_a_socket(space: Space, tmp_path: Path):
    """Kubectl, proxy socket"""
    path = tmp_path / "proxy"
    with proxy(space.api.cluster, f"--unix-socket={path}") as said:
        assert str(path) in said
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        assert versions_from(connection) == ["v1"]

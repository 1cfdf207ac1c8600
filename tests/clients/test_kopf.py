"""A kopf operator manages a custom resource through its life, over the death of the API server and of itself."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, eventually

pytestmark = pytest.mark.timeout(300)

HERE = Path(__file__).parent


class Operator:
    """`kopf run` in a process of its own, and what it has said so far."""

    def __init__(self, cluster: Cluster, namespace: str, output: Path) -> None:
        self._cluster, self._namespace, self._output = cluster, namespace, output
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        script = str(HERE / "operator_of_sites.py")
        command = [sys.executable, "-m", "kopf", "run", "--standalone", "-n", self._namespace, script]
        with self._output.open("a") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=self._cluster.environment()
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def said(self) -> list[str]:
        lines = self._output.read_text().splitlines()
        return [line.removeprefix("SAID ") for line in lines if line.startswith("SAID ")]

    def wait(self, line: str, count: int = 1) -> None:
        try:
            eventually(lambda: self.said().count(line) >= count, f"the operator says {line!r}", 60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._output.read_text()[-8000:]}") from error


@pytest.fixture
def operator(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    cluster.kubectl("apply", "-f", str(HERE / "sites.yaml"))
    cluster.kubectl("wait", "--for=condition=established", "crd/sites.clients.example.com", "--timeout=10s")
    operator = Operator(cluster, namespace, tmp_path / "operator.log")
    operator.start()
    yield operator
    operator.stop()


def site(name: str, replicas: int) -> str:
    made = {"apiVersion": "clients.example.com/v1", "kind": "Site", "metadata": {"name": name}}
    return json.dumps({**made, "spec": {"replicas": replicas}})


def test_a_resource_through_its_life(cluster: Cluster, namespace: str, operator: Operator):
    here = ("-n", namespace)

    def ready(name: str, count: int) -> bool:
        status = cluster.get(*here, "site", name)["status"]
        return status["ready"] == count

    cluster.kubectl(*here, "apply", "-f", "-", stdin=site("a", 2))
    operator.wait("created a")
    operator.wait("kept a")
    eventually(lambda: ready("a", 2), "both replicas are told of")
    made = cluster.get(*here, "site", "a")
    assert made["metadata"]["finalizers"] == ["clients.example.com/finalizer"]
    assert made["status"]["create"] == {"replicas": 2}
    owner = cluster.get(*here, "deployment", "a")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Site", made["metadata"]["uid"], True)

    cluster.kubectl(*here, "patch", "site", "a", "--type=merge", "-p", '{"spec": {"replicas": 3}}')
    operator.wait("scaled a 2 3")
    eventually(lambda: ready("a", 3), "all three replicas are told of")

    # The API server dies: the operator goes on with the next one.
    before = cluster.actor("apiserver@m1")["pid"]
    cluster.kubus("kill", "apiserver@m1", "--signal", "KILL")
    eventually(lambda: cluster.actor("apiserver@m1")["pid"] != before, "a new API server")
    eventually(lambda: cluster.kubectl(*here, "apply", "-f", "-", stdin=site("a", 4)), "the site is applied")
    operator.wait("scaled a 3 4")

    # The operator dies, and what changes meanwhile is not lost.
    operator.kill()
    cluster.kubectl(*here, "apply", "-f", "-", stdin=site("a", 1))
    cluster.kubectl(*here, "apply", "-f", "-", stdin=site("b", 1))
    operator.start()
    operator.wait("resumed a")
    operator.wait("scaled a 4 1")
    operator.wait("created b")
    eventually(lambda: ready("a", 1) and ready("b", 1), "both sites are ready")

    # A deletion waits for the finalizer, whose handler first fails; then the children go too.
    cluster.kubectl(*here, "delete", "site", "a", "--timeout=30s")
    assert "deleted a" in operator.said()
    eventually(
        lambda: cluster.kubectl(*here, "get", "deploy,rs,pods,services", "-l", "site=a", "-o", "name") == "",
        "what the site owned is gone",
    )
    operator.stop()
    cluster.kubectl(*here, "delete", "site", "b", "--wait=false")
    assert cluster.get(*here, "site", "b")["metadata"]["deletionTimestamp"]
    operator.start()
    cluster.kubectl(*here, "wait", "--for=delete", "site/b", "--timeout=30s")
    assert "deleted b" in operator.said()

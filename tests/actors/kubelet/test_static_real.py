"""Static pods and a graceful shutdown of the node, restart rules and user namespaces, on real containerd."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import REAL_CONFIG, Cluster, eventually
from tests.conftest import brought_up
from tests.real_tier import need_real

from .test_kubelet_real import (
    IMAGE,
    SLEEP,
    await_ready,
    container,
    events,
    is_ready,
    pod,
    remove,
    run_pod,
    script,
    status,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("manifests")


@pytest.fixture(scope="module")
def node(manifests: Path) -> Iterator[Cluster]:
    need_real()
    options = f"lease_renew_s: 2, pod_manifests: {manifests}, shutdown_grace_period_s: 4"
    yield from brought_up(real=True, config=REAL_CONFIG.replace("lease_renew_s: 2", options))


def test_a_static_pod_runs_as_long_as_its_file_is_there(node: Cluster, manifests: Path) -> None:
    spec = {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": IMAGE, "command": SLEEP}]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "own"}, "spec": spec}
    file = manifests / "own.yaml"
    file.write_text(json.dumps(manifest))
    eventually(lambda: is_ready(node, "own-w1"), "the mirror shows it ready", 30)
    first, mirror = status(node, "own-w1")["containerID"], pod(node, "own-w1")["metadata"]["uid"]
    node.kubectl("delete", "pod", "own-w1", "--wait=false")
    eventually(lambda: pod(node, "own-w1")["metadata"]["uid"] != mirror, "mirrored anew", 30)
    await_ready(node, "own-w1")
    assert status(node, "own-w1")["containerID"] == first
    file.unlink()
    eventually(lambda: not node.get("pods")["items"], "gone with its file", 30)


def test_a_container_s_own_rules_decide(node: Cluster) -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    counts = script("n=$(cat /d/n 2>/dev/null || echo 0); echo $((n+1)) > /d/n; [ $n -lt 1 ] && exit 42; exit 7")
    mount = [{"name": "d", "mountPath": "/d"}]
    ruled = container("c", counts, restartPolicy="Never", restartPolicyRules=rules, volumeMounts=mount)
    run_pod(node, "ruled", ruled, volumes=[{"name": "d", "emptyDir": {}}], restartPolicy="Never")
    eventually(lambda: pod(node, "ruled")["status"]["phase"] == "Failed", "42 is tried again, 7 is not", 60)
    assert status(node, "ruled")["restartCount"] == 1
    assert status(node, "ruled")["state"]["terminated"]["exitCode"] == 7
    remove(node, "ruled")


def test_user_namespaces_are_refused_clearly(node: Cluster) -> None:
    run_pod(node, "mapped", hostUsers=False)
    eventually(lambda: "FailedCreatePodSandBox" in events(node, "mapped"), "users are told", 20)
    node.kubectl("delete", "pod", "mapped", "--wait=false")


def test_a_shutdown_ends_pods_and_says_so(node: Cluster) -> None:
    run_pod(node, "runs")
    await_ready(node, "runs")
    node.kubus("down", limit_s=60)
    node.up()
    found = pod(node, "runs")["status"]
    assert (found["phase"], found["reason"]) == ("Failed", "Terminated")

"""kubectl's commands for nodes, and debugging: cordon, taint, drain, uncordon, debug of pods and nodes."""

import json

import pytest

from tests.cluster import Cluster, eventually
from tests.e2e.kubectl import Kubectl

pytestmark = pytest.mark.timeout(120)

NODE = "w1-2"


@pytest.fixture(scope="module")
def kubectl(shared_cluster: Cluster) -> Kubectl:
    shared_cluster.kubectl("create", "namespace", "kubectl-nodes")
    return Kubectl(shared_cluster, "kubectl-nodes")


@pytest.fixture
def drained(kubectl):
    yield
    kubectl("uncordon", NODE)


def pod(name: str, node: str) -> str:
    spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def test_label_and_taint(kubectl):
    kubectl("label", "node", NODE, "node-role.kubernetes.io/worker=")
    assert kubectl("get", "node", NODE, "--no-headers").split()[2] == "worker"
    kubectl("label", "node", NODE, "node-role.kubernetes.io/worker-")
    kubectl("taint", "node", NODE, "k=v:NoSchedule", "other:PreferNoSchedule")
    assert "already has k taint" in kubectl.refused("taint", "node", NODE, "k=w:NoSchedule")
    kubectl("taint", "node", NODE, "k=w:NoSchedule", "--overwrite")
    taints = kubectl.get("node", NODE)["spec"]["taints"]
    assert {(taint["key"], taint.get("value"), taint["effect"]) for taint in taints} == {
        ("k", "w", "NoSchedule"),
        ("other", None, "PreferNoSchedule"),
    }
    kubectl("taint", "node", NODE, "k:NoSchedule-", "other-")
    assert "taints" not in kubectl.get("node", NODE)["spec"]


def test_drain(kubectl, drained):
    kubectl("create", "deployment", "moved", "--image=i", "--replicas=4")
    kubectl("rollout", "status", "deployment/moved", "--timeout=30s")
    kubectl("create", "-f", "-", stdin=pod("alone", NODE))
    chosen = ("--pod-selector=!x", "--ignore-daemonsets", "--timeout=60s")
    kubectl("cordon", NODE)
    assert "SchedulingDisabled" in kubectl("get", "node", NODE)
    assert "declare no controller" in kubectl.refused("drain", NODE, *chosen)
    dry = kubectl("drain", NODE, *chosen, "--force", "--dry-run=server")
    assert "alone" in dry
    kubectl("drain", NODE, *chosen, "--force", "--delete-emptydir-data", limit_s=90)
    here = ("get", "pods", "--field-selector", f"spec.nodeName={NODE}", "-o", "name")
    assert kubectl(*here) == ""
    kubectl("rollout", "status", "deployment/moved", "--timeout=30s")
    kubectl("delete", "deployment", "moved")


def test_debug(kubectl):
    kubectl("run", "subject", "--image=i")
    kubectl("wait", "pod/subject", "--for=condition=Ready", "--timeout=30s")
    kubectl("debug", "subject", "--image=tools", "--target=subject", "--container=probe", "--profile=general")
    eventually(
        lambda: kubectl.get("pod", "subject")["status"]["ephemeralContainerStatuses"][0]["state"]["running"],
        "the ephemeral container runs",
    )
    copy = ["--copy-to=copied", "--set-image=subject=other", "--share-processes", "--container=probe"]
    kubectl("debug", "subject", "--image=tools", "--profile=general", *copy)
    spec = kubectl.get("pod", "copied")["spec"]
    assert ({container["image"] for container in spec["containers"]}, spec["shareProcessNamespace"]) == (
        {"other", "tools"},
        True,
    )
    said = kubectl("debug", f"node/{NODE}", "--image=tools", "--profile=sysadmin")
    name = said.split("Creating debugging pod ")[1].split()[0]
    assert kubectl.get("pod", name)["spec"]["hostPID"]
    kubectl("delete", "pod", name, "copied", "subject", "--now", "--wait=false")

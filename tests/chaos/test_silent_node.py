"""A kubelet that falls silent, as one on a machine that was cut off does: what the cluster thinks, and how it heals."""

import json
import os
import signal

import pytest

from tests.cluster import Cluster, eventually

pytestmark = [pytest.mark.real, pytest.mark.chaos, pytest.mark.timeout(180)]


def pod(name: str, tolerated_s: int) -> str:
    """A pod that stays on a node which is not reachable for so long."""
    toleration = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": tolerated_s}
    keys = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
    container = {"name": "c", "image": "kubus.local/toolbox:latest", "command": ["sleep", "1000000"]}
    spec = {
        "terminationGracePeriodSeconds": 0,
        "tolerations": [toleration | {"key": key} for key in keys],
        "containers": [container],
    }
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def condition(cluster: Cluster, what: str, name: str, kind: str) -> str:
    found = cluster.get(what, name)["status"].get("conditions", ())
    return next((one["status"] for one in found if one["type"] == kind), "")


def taints(cluster: Cluster) -> set[tuple[str, str]]:
    found = cluster.get("node", "w1")["spec"].get("taints", ())
    return {(taint["key"].removeprefix("node.kubernetes.io/"), taint["effect"]) for taint in found}


def test_a_silent_node_is_noticed_and_all_heals_without_a_restart(own_real_cluster: Cluster):
    cluster = own_real_cluster
    cluster.apply(pod("calm", 0))
    eventually(lambda: condition(cluster, "pod", "calm", "Ready") == "True", "it is ready")
    container = cluster.get("pod", "calm")["status"]["containerStatuses"][0]["containerID"]
    silent = [cluster.status()["supervisor"]["pid"], cluster.actor("kubelet@w1")["pid"]]  # or it would be restarted
    for pid in silent:
        os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: condition(cluster, "node", "w1", "Ready") == "Unknown", "the node is unknown", 30)
        eventually(lambda: ("unreachable", "NoSchedule") in taints(cluster), "the node is tainted")
        eventually(lambda: condition(cluster, "pod", "calm", "Ready") == "False", "its pod is not ready")
        # Every node of the zone is silent: more likely the fault is ours, so nobody is evicted (full disruption).
        assert "deletionTimestamp" not in cluster.get("pod", "calm")["metadata"]
        assert "NodeNotReady" in cluster.kubectl("get", "events", "-A")
    finally:
        for pid in reversed(silent):
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: condition(cluster, "node", "w1", "Ready") == "True", "the node is ready again")
    eventually(lambda: taints(cluster) == set(), "its taints are gone")
    eventually(lambda: condition(cluster, "pod", "calm", "Ready") == "True", "the pod is ready again")
    assert cluster.get("pod", "calm")["status"]["containerStatuses"][0]["containerID"] == container
    cluster.kubectl("delete", "pod", "calm")

"""A node that runs out of process ids, on real containerd: the fork bomb goes, its neighbour stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import REAL_CONFIG, Cluster, eventually
from tests.conftest import brought_up
from tests.real_tier import need_real

from .test_kubelet_real import await_ready, events, pod, remove, run_pod, script
from .test_kubelet_real import container as made_container

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

BOMB = 3000  # processes; what else the machine does meanwhile makes a difference of less than a half of that


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    need_real()
    threads = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    left = int(Path("/proc/sys/kernel/pid_max").read_text()) - threads
    hard = f'eviction_hard: {{"pid.available": "{left - BOMB // 2}"}}, eviction_pressure_transition_period_s: 5'
    yield from brought_up(real=True, config=REAL_CONFIG.replace("lease_renew_s: 2", f"lease_renew_s: 2, {hard}"))


def pressed(node: Cluster) -> tuple[str, bool]:
    found = node.get("node", "w1")
    conditions = {item["type"]: item["status"] for item in found["status"]["conditions"]}
    taints = {item["key"] for item in found["spec"].get("taints", ())}
    return conditions["PIDPressure"], "node.kubernetes.io/pid-pressure" in taints


def test_who_takes_all_process_ids_is_evicted(node: Cluster) -> None:
    run_pod(node, "calm")
    bomb = script(f"n=0; while [ $n -lt {BOMB} ]; do sleep 1000 & n=$((n+1)); done; wait")
    run_pod(node, "bomb", made_container("c", bomb))
    await_ready(node, "calm")
    eventually(lambda: pod(node, "bomb")["status"]["phase"] == "Failed", "the bomb is evicted", 60)
    status = pod(node, "bomb")["status"]
    assert status["reason"] == "Evicted"
    assert status["message"].startswith("The node was low on resource: pids.")
    assert any(item["type"] == "DisruptionTarget" for item in status["conditions"])
    assert "Evicted" in events(node, "bomb")
    assert pod(node, "calm")["status"]["phase"] == "Running"
    eventually(lambda: pressed(node) == ("False", False), "the pressure passes, and its taint", 60)
    remove(node, "bomb")
    remove(node, "calm")

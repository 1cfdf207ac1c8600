"""Two hundred simulated nodes and a thousand pods cost the API server so many requests and no more.

Seconds depend on the machine and on what else it does; what a pod is asked for does not. `tests/bench/bench_simulated`
measures the seconds, with more of both.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.bench_api import Target
from tests.bench.bench_simulated import create_deployments, requests, running
from tests.cluster import Cluster, eventually
from tests.conftest import brought_up

NODES, PODS = 200, 1000
PATIENCE_S = 90.0
CONFIG = (Path(__file__).parents[2] / "configs" / "simulated.yaml").read_text()


@pytest.fixture(scope="module")
def crowd() -> Iterator[Cluster]:
    config = CONFIG.replace("count: 3", f"count: {NODES}").replace("port: 6443", "port: 0")
    assert f"count: {NODES}" in config
    yield from brought_up(real=False, config=config)


def target_of(cluster: Cluster) -> Target:
    return Target(cluster.data_dir / "kubeconfig")


def asked(cluster: Cluster) -> Counter[str]:
    return asyncio.run(requests(target_of(cluster)))


def pods_of(cluster: Cluster) -> list[dict[str, Any]]:
    _, answer = asyncio.run(target_of(cluster).once("GET", "/api/v1/namespaces/default/pods?resourceVersion=0"))
    return json.loads(answer)["items"]


def test_a_node_is_registered_with_a_handful_of_requests(crowd: Cluster) -> None:
    done = asked(crowd)
    assert NODES == done["POST nodes"] == done["POST leases"] - 2  # those of the two leaders
    assert done["PATCH nodes"] <= 4 * NODES  # its subnet and its taints, now and then twice
    assert done["PATCH nodes/status"] <= 2 * NODES


def test_a_pod_is_created_bound_and_told_of_once(crowd: Cluster) -> None:
    before = asked(crowd)

    async def play() -> None:
        target = target_of(crowd)
        following = asyncio.ensure_future(running(target, PODS))
        await create_deployments(target, PODS)
        async with asyncio.timeout(PATIENCE_S):
            await following

    asyncio.run(play())
    eventually(lambda: (asked(crowd) - before)["PATCH pods/status"] >= PODS, "what was answered is counted")
    done = asked(crowd) - before
    assert PODS <= done["POST pods"] <= 1.1 * PODS
    assert PODS <= done["POST pods/binding"] <= 1.1 * PODS
    assert PODS <= done["PATCH pods/status"] <= 2.1 * PODS  # where it takes a second, that it starts is told, too
    assert done["GET pods"] <= 0.1 * PODS
    assert done["PUT replicasets/status"] <= 0.5 * PODS


def test_a_kubelet_that_was_killed_takes_up_all_its_pods_and_has_nothing_to_say(crowd: Cluster) -> None:
    uids = {pod["metadata"]["uid"] for pod in pods_of(crowd)}
    assert len(uids) == PODS
    before, pid = asked(crowd), crowd.actor("kubelet@w1")["pid"]
    crowd.kubus("kill", "kubelet@w1", "--signal", "KILL")

    def is_back() -> bool:
        state = json.loads(crowd.kubus("call", "kubelet@w1", "control.inspect", status=None).stdout or "{}")
        return crowd.actor("kubelet@w1")["pid"] != pid and state.get("state", {}).get("pods") == PODS

    eventually(is_back, "the next kubelet knows all pods", limit_s=PATIENCE_S)
    found = pods_of(crowd)
    assert {pod["metadata"]["uid"] for pod in found} == uids
    assert {(pod["status"]["phase"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in found} == {
        ("Running", 0)
    }
    assert (asked(crowd) - before)["PATCH pods/status"] <= 0.1 * PODS

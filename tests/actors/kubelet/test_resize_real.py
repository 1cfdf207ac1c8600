"""In-place resize on real containerd: cgroups follow, with and without a restart, and across a dead kubelet."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, eventually

from .test_kubelet_real import await_ready, container, pod, remove, run_pod, script, status

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def amounts(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}


def resize(node: Cluster, name: str, cpu: str, memory: str) -> None:
    patch = {"spec": {"containers": [{"name": "c", "resources": amounts(cpu, memory)}]}}
    node.kubectl("patch", "pod", name, "--subresource", "resize", "--patch", json.dumps(patch))


def bounds(node: Cluster, name: str) -> dict[str, int]:
    """Return the container's and the pod's limits as the kernel has them: MiB of memory, thousandths of a CPU."""
    identity = status(node, name)["containerID"].partition("://")[2]
    found = {}
    for root in Path("/sys/fs/cgroup").glob(f"memory/kubus-*/w1/pod*/{identity}"):
        found = {"memory": root, "pod": root.parent}
    quota = next(Path("/sys/fs/cgroup").glob(f"cpu/kubus-*/w1/pod*/{identity}/cpu.cfs_quota_us"))
    return {key: int((path / "memory.limit_in_bytes").read_text()) >> 20 for key, path in found.items()} | {
        "cpu": int(quota.read_text()) // 100
    }


def has(node: Cluster, name: str, cpu: str) -> bool:
    return bool(status(node, name).get("resources", {}).get("limits", {}).get("cpu") == cpu)


@pytest.fixture(scope="module")
def node(own_real_cluster: Cluster) -> Cluster:
    if not Path("/sys/fs/cgroup/memory").exists():
        pytest.skip("reads cgroup v1 files")
    return own_real_cluster


def test_resources_change_under_a_running_container(node: Cluster) -> None:
    run_pod(node, "grows", container(resources=amounts("100m", "32Mi")))
    await_ready(node, "grows")
    identity = status(node, "grows")["containerID"]
    assert status(node, "grows")["allocatedResources"] == {"cpu": "100m", "memory": "32Mi"}
    assert bounds(node, "grows") == {"memory": 32, "pod": 32, "cpu": 100}
    resize(node, "grows", "200m", "64Mi")
    eventually(lambda: has(node, "grows", "200m"), "the status follows", 20)
    assert bounds(node, "grows") == {"memory": 64, "pod": 64, "cpu": 200}
    node.kubus("kill", "kubelet@w1")
    resize(node, "grows", "150m", "48Mi")
    eventually(lambda: has(node, "grows", "150m"), "also for a new kubelet", 40)
    assert bounds(node, "grows") == {"memory": 48, "pod": 48, "cpu": 150}
    assert (status(node, "grows")["containerID"], status(node, "grows")["restartCount"]) == (identity, 0)
    resize(node, "grows", "9000", "48Mi")

    def pending() -> Any:
        conditions = {item["type"]: item for item in pod(node, "grows")["status"]["conditions"]}
        return conditions.get("PodResizePending", {}).get("reason")

    eventually(lambda: pending() == "Infeasible", "what the node will never have is told", 20)
    resize(node, "grows", "150m", "48Mi")
    eventually(lambda: pending() is None, "and taken back", 20)
    remove(node, "grows")


def test_a_container_that_wants_a_restart_gets_one(node: Cluster) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    run_pod(node, "restarts", container(resources=amounts("100m", "32Mi"), resizePolicy=policy))
    await_ready(node, "restarts")
    resize(node, "restarts", "100m", "64Mi")
    eventually(lambda: status(node, "restarts")["restartCount"] == 1, "restarted", 30)
    await_ready(node, "restarts")
    assert bounds(node, "restarts")["memory"] == 64
    remove(node, "restarts")


def test_the_bounds_of_a_whole_pod_change(node: Cluster) -> None:
    """What has no limit of its own has its pod's, which may grow and shrink; the containers go on."""
    whole = {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "32Mi"}}
    run_pod(node, "whole", container(), resources=whole)
    await_ready(node, "whole")
    assert bounds(node, "whole") == {"memory": 32, "pod": 32, "cpu": 200}
    identity = status(node, "whole")["containerID"]
    assert pod(node, "whole")["status"]["resources"]["limits"] == whole["limits"]
    for cpu, memory in (("400m", "64Mi"), ("300m", "48Mi")):
        patch = {"spec": {"resources": {"limits": {"cpu": cpu, "memory": memory}}}}
        node.kubectl("patch", "pod", "whole", "--subresource", "resize", "--patch", json.dumps(patch))
        told = {"cpu": cpu, "memory": memory}
        eventually(lambda told=told: pod(node, "whole")["status"]["resources"]["limits"] == told, "it is told", 20)
        wanted = {"memory": int(memory[:2]), "pod": int(memory[:2]), "cpu": int(cpu[:3])}
        assert bounds(node, "whole") == wanted
    assert pod(node, "whole")["status"]["allocatedResources"] == whole["requests"]
    assert (status(node, "whole")["containerID"], status(node, "whole")["restartCount"]) == (identity, 0)
    remove(node, "whole")


def test_memory_that_is_in_use_is_not_taken_away(node: Cluster) -> None:
    fill = script("dd if=/dev/zero of=/m/x bs=1M count=40; sleep 1000000 & wait")
    mounts = [{"name": "m", "mountPath": "/m"}]
    held = container("c", fill, resources=amounts("100m", "64Mi"), volumeMounts=mounts)
    run_pod(node, "held", held, volumes=[{"name": "m", "emptyDir": {"medium": "Memory"}}])
    await_ready(node, "held")
    identity = status(node, "held")["containerID"].partition("://")[2]
    usage = next(Path("/sys/fs/cgroup").glob(f"memory/kubus-*/w1/pod*/{identity}/memory.usage_in_bytes"))
    eventually(lambda: int(usage.read_text()) > 40 << 20, "it holds 40 MiB", 20)
    resize(node, "held", "100m", "20Mi")

    def refused() -> str:
        conditions = {item["type"]: item for item in pod(node, "held")["status"]["conditions"]}
        found = conditions.get("PodResizeInProgress", {})
        return found.get("message", "") if found.get("reason") == "Error" else ""

    assert "below current usage" in eventually(refused, "the condition says why", 20)
    assert (bounds(node, "held")["memory"], status(node, "held")["restartCount"]) == (64, 0)
    remove(node, "held")

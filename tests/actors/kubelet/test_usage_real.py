"""What pods use, as `kubectl top`, the summary and Prometheus show it, on real containerd."""

import json

import pytest

from tests.cluster import Cluster, eventually

from .test_kubelet_real import await_ready, container, remove, run_pod, script

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

BUSY = script("dd if=/dev/zero of=/m/x bs=1M count=20; while true; do :; done")


def test_top_summary_and_metrics(real_cluster: Cluster) -> None:
    node = real_cluster
    limits = {"limits": {"cpu": "200m", "memory": "64Mi"}}
    busy = container("c", BUSY, resources=limits, volumeMounts=[{"name": "m", "mountPath": "/m"}])
    run_pod(node, "busy", busy, volumes=[{"name": "m", "emptyDir": {"medium": "Memory"}}])
    await_ready(node, "busy")

    def shown() -> list[str]:
        return node.kubectl("top", "pods", "--containers", "--no-headers").split()

    def uses_its_limit() -> bool:
        name, of, cpu, memory = shown()
        burns, holds = int(cpu.rstrip("m")), int(memory.rstrip("Mi"))
        return (name, of) == ("busy", "c") and 100 <= burns <= 260 and 20 <= holds < 64

    eventually(uses_its_limit, "kubectl top shows what the container burns", 60)
    line = node.kubectl("top", "nodes", "--no-headers").split()
    assert line[0] == "w1"
    assert int(line[1].rstrip("m")) > 0
    base = "/api/v1/nodes/w1/proxy"
    summary = json.loads(node.kubectl("get", "--raw", f"{base}/stats/summary"))
    pods = {pod["podRef"]["name"]: pod for pod in summary["pods"]}
    assert pods["busy"]["memory"]["workingSetBytes"] > 20 << 20
    assert pods["busy"]["network"]["name"] == "eth0"
    assert pods["busy"]["network"]["rxBytes"] > 0  # the bridge says hello to its new port
    assert summary["node"]["fs"]["capacityBytes"] > 0
    resource = node.kubectl("get", "--raw", f"{base}/metrics/resource")
    assert 'container_cpu_usage_seconds_total{container="c",namespace="default",pod="busy"}' in resource
    of_node = [item["reason"] for item in node.get("events", "--field-selector", "involvedObject.kind=Node")["items"]]
    assert {"Starting", "NodeHasSufficientMemory", "NodeReady"} <= {*of_node}
    assert "container_memory_rss" in node.kubectl("get", "--raw", f"{base}/metrics/cadvisor")
    assert 'kubelet_running_containers{container_state="running"}' in node.kubectl("get", "--raw", f"{base}/metrics")
    remove(node, "busy")


# What the dashboards and alerts of kubernetes-mixin ask of kubelets, as far as there is such a thing here.
OF_DASHBOARDS = (
    "kubelet_node_name", "kubelet_running_pods", "kubelet_running_containers", "volume_manager_total_volumes",
    "kubelet_runtime_operations_total", "kubelet_runtime_operations_errors_total",
    "kubelet_runtime_operations_duration_seconds_bucket", "kubelet_pod_start_duration_seconds_bucket",
    "kubelet_pod_worker_duration_seconds_count", "storage_operation_duration_seconds_bucket",
    "kubelet_cgroup_manager_duration_seconds_bucket", "kubelet_pleg_relist_duration_seconds_bucket",
    "kubelet_pleg_relist_interval_seconds_bucket", "rest_client_requests_total", "process_resident_memory_bytes",
    "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes", "kubelet_volume_stats_used_bytes",
    "kubelet_volume_stats_inodes_used",
)  # fmt: skip
OF_CONTAINERS = (
    "container_cpu_cfs_throttled_periods_total", "container_memory_cache", "container_memory_swap",
    "container_fs_writes_bytes_total", "container_network_receive_packets_dropped_total",
)  # fmt: skip
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: told}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
"""


def test_what_dashboards_ask_for(real_cluster: Cluster) -> None:
    node = real_cluster
    node.apply(CLAIM)
    mounts = [{"name": "e", "mountPath": "/e"}, {"name": "c", "mountPath": "/c"}]
    volumes = [{"name": "e", "emptyDir": {}}, {"name": "c", "persistentVolumeClaim": {"claimName": "told"}}]
    limits = {"limits": {"cpu": "50m", "memory": "32Mi"}}
    text = script("dd if=/dev/zero of=/e/x bs=1M count=3; i=0; while :; do i=$((i + 1)); done")
    run_pod(node, "told", container("c", text, resources=limits, volumeMounts=mounts), volumes=volumes)
    await_ready(node, "told")
    base = "/api/v1/nodes/w1/proxy"

    def lines(path: str) -> list[str]:
        return node.kubectl("get", "--raw", f"{base}/{path}").splitlines()

    found = lines("metrics")
    assert [name for name in OF_DASHBOARDS if not any(line.startswith(name) for line in found)] == []
    (calls,) = (line for line in found if line.startswith("kubelet_runtime_operations_total{") and "start_con" in line)
    assert float(calls.split()[1]) >= 1
    (free,) = (line for line in found if line.startswith("kubelet_volume_stats_available_bytes{"))
    assert 'persistentvolumeclaim="told"' in free
    contained = lines("metrics/cadvisor")
    assert [name for name in OF_CONTAINERS if not any(line.startswith(name + "{") for line in contained)] == []
    pods = {pod["podRef"]["name"]: pod for pod in json.loads("".join(lines("stats/summary")))["pods"]}
    told = {volume["name"]: volume for volume in pods["told"]["volume"]}
    assert told["e"]["usedBytes"] >= 3 << 20
    assert told["c"]["pvcRef"] == {"name": "told", "namespace": "default"}
    assert pods["told"]["ephemeral-storage"]["usedBytes"] >= 3 << 20
    brief = json.loads("".join(lines("stats/summary?only_cpu_and_memory=true")))["pods"]
    assert all(pod["volume"] == [] for pod in brief)
    config = json.loads("".join(lines("configz")))["kubeletconfig"]
    assert (config["maxPods"], config["evictionPressureTransitionPeriod"]) == (110, "5m0s")
    running = json.loads("".join(lines("runningpods/")))["items"]
    assert "told" in [item["metadata"]["name"] for item in running]
    remove(node, "told")
    node.kubectl("delete", "pvc", "told")

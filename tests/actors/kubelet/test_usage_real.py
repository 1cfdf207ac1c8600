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
    assert "container_memory_rss" in node.kubectl("get", "--raw", f"{base}/metrics/cadvisor")
    assert 'kubelet_running_containers{container_state="running"}' in node.kubectl("get", "--raw", f"{base}/metrics")
    remove(node, "busy")

"""What a node shows of itself in Kubernetes' words."""

import pytest

from actors.api.config import ClusterConfig, KubeletConfig, NodeConfig, PriorityGrace
from actors.kubelet.node_views import go_duration, kubelet_configuration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (10, "10s"), (1.5, "1.5s"), (300, "5m0s"), (90, "1m30s"), (7200, "2h0m0s")]
)
def test_times_are_written_as_go_does(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def test_a_configuration() -> None:
    own = KubeletConfig(
        eviction_soft={"memory.available": "1Gi"},
        eviction_soft_grace_period_s={"memory.available": 90},
        shutdown_grace_period_by_pod_priority=[PriorityGrace(7, 20)],
    )
    made = kubelet_configuration(ClusterConfig(nodes={}), NodeConfig(roles=["kubelet"], kubelet=own))
    assert made["evictionHard"]["memory.available"] == "100Mi"
    assert made["evictionSoftGracePeriod"] == {"memory.available": "1m30s"}
    assert made["shutdownGracePeriodByPodPriority"] == [{"priority": 7, "shutdownGracePeriodSeconds": 20}]

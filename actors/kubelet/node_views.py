"""What a node shows of itself besides figures: its configuration in Kubernetes' words, what it runs, that it is well.

`/configz` is read by tools that want to know a kubelet's limits (benchmarks of its security, the e2e tests), so its
names are those of KubeletConfiguration v1beta1. `/runningpods` is what the runtime has, whatever the API says.

Neighbours: `actor` registers the paths; `observer` has what runs.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import orjson

from actors.api.config import ClusterConfig, KubeletConfig, NodeConfig
from actors.kubelet.logs import rotation as log_rotation
from actors.kubelet.messages import NodeReply
from actors.kubelet.registration import REPORT_EVERY_S
from actors.kubelet.runtime import ContainerState, ContainerStatus, SandboxStatus

JSON, TEXT = "application/json", "text/plain; charset=utf-8"

Path = Callable[[str, str], NodeReply]


class Runtime(Protocol):
    """What the runtime has, as it was last seen."""

    def sandboxes(self) -> Iterable[SandboxStatus]: ...

    def containers(self) -> Iterable[ContainerStatus]: ...


def go_duration(seconds: float) -> str:
    """Return a time as Go prints it: 1m30s."""
    whole, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(whole), 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{text}{rest:g}s"


def kubelet_configuration(cluster: ClusterConfig, node: NodeConfig) -> dict[str, Any]:
    """Return a node's configuration as a KubeletConfiguration."""
    own: KubeletConfig = node.kubelet
    return {
        "enableServer": True,
        "registerNode": True,
        "clusterDomain": cluster.network.domain,
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "maxPods": own.max_pods,
        "podPidsLimit": -1,
        "nodeStatusUpdateFrequency": go_duration(own.status_period_s),
        "nodeStatusReportFrequency": go_duration(REPORT_EVERY_S),
        "nodeLeaseDurationSeconds": own.lease_duration_s,
        "crashLoopBackOff": {"maxContainerRestartPeriod": go_duration(own.max_container_restart_period_s)},
        "containerLogMaxSize": f"{log_rotation.MAX_BYTES >> 20}Mi",
        "containerLogMaxFiles": log_rotation.MAX_FILES,
        "containerLogMonitorInterval": go_duration(log_rotation.CHECK_EVERY_S),
        "imageGCHighThresholdPercent": own.image_gc_high_threshold_percent,
        "imageGCLowThresholdPercent": own.image_gc_low_threshold_percent,
        "evictionHard": dict(own.eviction_hard),
        "evictionSoft": dict(own.eviction_soft),
        "evictionSoftGracePeriod": {k: go_duration(v) for k, v in own.eviction_soft_grace_period_s.items()},
        "evictionMinimumReclaim": dict(own.eviction_minimum_reclaim),
        "evictionPressureTransitionPeriod": go_duration(own.eviction_pressure_transition_period_s),
        "evictionMaxPodGracePeriod": int(own.eviction_max_pod_grace_period_s),
        "systemReserved": dict(own.system_reserved),
        "allowedUnsafeSysctls": list(own.allowed_unsafe_sysctls),
        "staticPodPath": own.pod_manifests,
        "shutdownGracePeriod": go_duration(own.shutdown_grace_period_s),
        "shutdownGracePeriodCriticalPods": go_duration(own.shutdown_grace_period_critical_pods_s),
        "shutdownGracePeriodByPodPriority": [
            {"priority": item.priority, "shutdownGracePeriodSeconds": int(item.shutdown_grace_period_s)}
            for item in own.shutdown_grace_period_by_pod_priority
        ],
    }


def running_pods(runtime: Runtime) -> dict[str, Any]:
    """Return a PodList of what the runtime has: names and containers that run, no more."""
    by_sandbox: dict[str, list[dict[str, Any]]] = {}
    for item in runtime.containers():
        found = item.container
        if found.state is ContainerState.RUNNING:
            by_sandbox.setdefault(found.sandbox_id, []).append(
                {"name": found.name, "image": found.image, "resources": {}}
            )
    items = []
    for sandbox in (item.sandbox for item in runtime.sandboxes() if item.sandbox.ready):
        metadata = {"name": sandbox.pod_name, "namespace": sandbox.pod_namespace, "uid": sandbox.pod_uid}
        containers = by_sandbox.get(sandbox.id, [])
        items.append({"metadata": metadata, "spec": {"containers": containers}, "status": {}})
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


def paths(cluster: ClusterConfig, node: NodeConfig, runtimes: Mapping[str, Runtime]) -> dict[str, Path]:
    """Return what to answer; `runtimes` by node."""

    def well(name: str, query: str) -> NodeReply:
        return NodeReply(200, TEXT, b"ok")

    def configz(name: str, query: str) -> NodeReply:
        return NodeReply(200, JSON, orjson.dumps({"kubeletconfig": kubelet_configuration(cluster, node)}))

    def running(name: str, query: str) -> NodeReply:
        return NodeReply(200, JSON, orjson.dumps(running_pods(runtimes[name])))

    return {
        "/configz": configz,
        "/runningpods": running,
        "/healthz/ping": well,
        "/healthz/log": well,
        "/healthz/syncloop": well,
    }

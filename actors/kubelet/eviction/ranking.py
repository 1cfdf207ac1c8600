"""Who goes first when a node runs out of something: the order of pods, and what their users are told. Pure.

Source: "Pod selection for kubelet eviction" of Kubernetes' documentation: pods that use more than they requested first,
then by priority, then by how much more they use. Critical pods stay.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from actors.api.config import SYSTEM_CRITICAL
from actors.api.quantity import bytes_of, format_quantity
from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.eviction.thresholds import RESOURCES, Amount, Threshold
from actors.kubelet.stats.usage import ContainerUsage, PodUsage

Usages = Mapping[str, PodUsage]  # by pod uid


def is_critical(pod: pods.Pod) -> bool:
    if pods.is_static(pod):
        return True
    return int(pod["spec"].get("priority") or 0) >= SYSTEM_CRITICAL


def ranked(candidates: Iterable[pods.Pod], usages: Usages, resource: str) -> list[pods.Pod]:
    """Return the pods that may be evicted, the first to go first."""
    return sorted((pod for pod in candidates if not is_critical(pod)), key=lambda pod: _rank(pod, usages, resource))


def _rank(pod: pods.Pod, usages: Usages, resource: str) -> tuple[bool, int, int]:
    used, priority = _used(usages.get(pods.uid(pod)), resource), int(pod["spec"].get("priority") or 0)
    if resource in ("pids", "inodes"):
        return False, priority, -used
    over = used - qos.pod_request(pod, resource)
    return over <= 0, priority, -over


def _used(usage: PodUsage | None, resource: str) -> int:
    if usage is None:
        return 0
    if resource == "memory":
        return usage.usage.working_set_bytes
    return usage.usage.processes if resource == "pids" else usage.disk_bytes


def message(threshold: Threshold, amount: Amount, pod: pods.Pod, usage: PodUsage | None) -> str:
    """Return the message of the Evicted pod."""
    resource = RESOURCES[threshold.signal]
    binary = resource in ("memory", "ephemeral-storage")
    text = (
        f"The node was low on resource: {resource}. Threshold quantity: {threshold.shown(amount)}, "
        f"available: {_shown(amount.available, binary)}. "
    )
    if not binary or usage is None:
        return text
    return text + "".join(_accused(pod, item, resource) for item in usage.containers)


def _accused(pod: pods.Pod, usage: ContainerUsage, resource: str) -> str:
    container: dict[str, Any] = pods.find_container(pod, usage.name) or {}
    request = ((container.get("resources") or {}).get("requests") or {}).get(resource) or "0"
    used = usage.usage.working_set_bytes if resource == "memory" else usage.rootfs_bytes + usage.logs_bytes
    if used <= bytes_of(request):
        return ""
    return (
        f"Container {usage.name} was using {_shown(used, True)}, request is {request}, has larger consumption of "
        f"{resource}. "
    )


def _shown(amount: int, binary: bool) -> str:
    return format_quantity(amount // 1024 * 1024, binary=True) if binary else str(amount)

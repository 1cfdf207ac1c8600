"""A pod's quality of service, and its requests and limits as Linux knows them.

Pure. The numbers are those of Kubernetes: 1,024 CPU shares for one CPU, quotas over 100 ms, out-of-memory scores by
class. Neighbours: `sandbox_spec` and `container_spec` pass the results to the runtime, which owns the cgroups.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from actors.api.qos import BEST_EFFORT, GUARANTEED
from actors.api.qos import qos_class as class_of_spec
from actors.api.quantity import bytes_of, cpu_millis
from actors.kubelet import pod as pods
from actors.kubelet.runtime import Resources

MIN_SHARES = 2  # the kernel's lower bound; also what a container without a request gets
MAX_SHARES = 262_144  # the kernel's upper bound
SHARES_PER_CPU = 1024
PERIOD_US = 100_000
MIN_QUOTA_US = 1_000  # the kernel refuses less
MAX_QUOTA_US = 1 << 40  # and more than 2**44; this is ten million CPUs, and so no limit
MAX_BYTES = 2**63 - 1  # that the runtime and the kernel count
GUARANTEED_OOM_SCORE_ADJ = -997
BEST_EFFORT_OOM_SCORE_ADJ = 1000
HUGEPAGES = "hugepages-"
NODE_CRITICAL = "system-node-critical"  # the priority class of what a node can't do without


def qos_class(pod: pods.Pod) -> str:
    """Return the class that the API shows; it never changes in a pod's life."""
    return class_of_spec(pod["spec"])


def container_resources(pod: pods.Pod, container: pods.ContainerDict, node_memory_bytes: int) -> Resources:
    """Return the cgroup parameters of one container: without a limit of its own it has its pod's, if there is one."""
    resources = _of(container)
    requests = resources.get("requests") or {}
    limits = {**(_pod_level(pod).get("limits") or {}), **(resources.get("limits") or {})}
    request_milli = cpu_millis(requests.get("cpu") or limits.get("cpu") or 0)
    return Resources(
        cpu_shares=shares_of(request_milli),
        cpu_quota_us=quota_of(cpu_millis(limits.get("cpu") or 0)),
        cpu_period_us=PERIOD_US,
        memory_limit_bytes=bytes_of(limits.get("memory") or 0),
        oom_score_adj=oom_score_adj(pod, container, node_memory_bytes),
        hugepage_limits={
            name.removeprefix(HUGEPAGES).replace("i", "") + "B": bytes_of(value)
            for name, value in (resources.get("limits") or {}).items()
            if name.startswith(HUGEPAGES)
        },
    )


def pod_resources(pod: pods.Pod) -> Resources:
    """Return the cgroup parameters of the whole pod: a limit only where every container has one."""
    overhead = pod["spec"].get("overhead") or {}
    request_milli = pod_request(pod, "cpu")
    cpu_limit, memory_limit = _pod_limit(pod, "cpu"), _pod_limit(pod, "memory")
    return Resources(
        cpu_shares=shares_of(request_milli),
        cpu_quota_us=quota_of(cpu_limit + cpu_millis(overhead.get("cpu") or 0)) if cpu_limit else 0,
        cpu_period_us=PERIOD_US,
        memory_limit_bytes=min(memory_limit + bytes_of(overhead.get("memory") or 0), MAX_BYTES) if memory_limit else 0,
    )


def without_limits(resources: Resources) -> Resources:
    """Return a pod's parameters while its containers change: nothing holds them back."""
    return replace(resources, cpu_quota_us=0, memory_limit_bytes=0)


def pod_request(pod: pods.Pod, name: str) -> int:
    """Return what a pod asks of a resource, as the scheduler counts it: cpu in thousandths, all else in whole units.

    Init containers run one after the other, sidecars go on beside what follows (KEP-753).
    """
    amount = cpu_millis if name == "cpu" else bytes_of
    level = (_pod_level(pod).get("requests") or {}).get(name)
    overhead = amount((pod["spec"].get("overhead") or {}).get(name) or 0)
    if level is not None:
        return amount(level) + overhead
    return _together(pod, lambda container: amount(_request(container, name))) + overhead


def _together(pod: pods.Pod, amount_of: Callable[[pods.ContainerDict], int]) -> int:
    """Return what the pod's containers need at once: init containers one by one, sidecars beside all that follows."""
    sidecars = peak = 0
    for container in pods.init_containers(pod):
        amount = amount_of(container)
        if pods.is_sidecar(container):
            sidecars += amount
            peak = max(peak, sidecars)
        else:
            peak = max(peak, sidecars + amount)
    return max(peak, sidecars + sum(map(amount_of, pods.containers(pod))))


def shares_of(milli: int) -> int:
    return min(max(milli * SHARES_PER_CPU // 1000, MIN_SHARES), MAX_SHARES)


def quota_of(milli: int) -> int:
    return min(max(milli * PERIOD_US // 1000, MIN_QUOTA_US), MAX_QUOTA_US) if milli else 0


def oom_score_adj(pod: pods.Pod, container: pods.ContainerDict, node_memory_bytes: int) -> int:
    """Return how soon the kernel kills a container when memory runs out: the smaller its request, the sooner.

    A sidecar goes no sooner than the containers that it serves. What a pod asks for as a whole, beyond what its
    containers do, counts for each in equal parts.
    """
    quality = qos_class(pod)
    if quality == GUARANTEED or pod["spec"].get("priorityClassName") == NODE_CRITICAL:
        return GUARANTEED_OOM_SCORE_ADJ
    if quality == BEST_EFFORT:
        return BEST_EFFORT_OOM_SCORE_ADJ
    request = bytes_of(_request(container, "memory"))
    if pods.is_sidecar(container) and container in pods.init_containers(pod):
        request = max(request, min(bytes_of(_request(item, "memory")) for item in pods.containers(pod)))
    request += _unclaimed_memory(pod)
    adjustment = 1000 - 1000 * request // max(node_memory_bytes, 1)
    lowest = 1000 + GUARANTEED_OOM_SCORE_ADJ
    return min(max(adjustment, lowest), BEST_EFFORT_OOM_SCORE_ADJ - 1)


def _unclaimed_memory(pod: pods.Pod) -> int:
    """Return each container's part of the memory that the pod asks for, and none of its containers does."""
    level = (_pod_level(pod).get("requests") or {}).get("memory")
    if level is None:
        return 0
    claimed = _together(pod, lambda container: bytes_of(_request(container, "memory")))
    sharers = len(pods.containers(pod)) + sum(map(pods.is_sidecar, pods.init_containers(pod)))
    return max(0, bytes_of(level) - claimed) // sharers


def _lasting(pod: pods.Pod) -> Iterable[pods.ContainerDict]:
    return [*pods.init_containers(pod), *pods.containers(pod)]


def _of(container: pods.ContainerDict) -> dict[str, Any]:
    return container.get("resources") or {}


def _pod_level(pod: pods.Pod) -> dict[str, Any]:
    return pod["spec"].get("resources") or {}


def _request(container: pods.ContainerDict, name: str) -> Any:
    """Return a request; a limit without one counts as the request."""
    resources = _of(container)
    return (resources.get("requests") or {}).get(name) or (resources.get("limits") or {}).get(name) or 0


def _pod_limit(pod: pods.Pod, name: str) -> int:
    amount = cpu_millis if name == "cpu" else bytes_of
    level = (_pod_level(pod).get("limits") or {}).get(name)
    if level is not None:
        return amount(level)

    def limit_of(container: pods.ContainerDict) -> int:
        return amount((_of(container).get("limits") or {}).get(name) or 0)

    return _together(pod, limit_of) if all(map(limit_of, _lasting(pod))) else 0

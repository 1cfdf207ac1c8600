"""Pods that this node does not take in, whoever bound them to it. Pure.

The scheduler has looked at the same, but it may have been another scheduler, a user's own nodeName, or too early. Who
is refused ends Failed with a reason that its controller understands, nothing of it is started, and it is made anew
elsewhere.

Neighbours: `worker` asks before a pod's first start, through `node_kubelet`, which knows the place; a pod that was
taken in is not asked about again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from actors.api.node_selector import matches_pod
from actors.api.qos import BEST_EFFORT
from actors.api.quantity import bytes_of, cpu_millis
from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.eviction.ranking import is_critical
from actors.kubelet.status.pod_status import EVICTED, Ending

# Parameters of a pod's own namespaces, which can harm no other pod: Kubernetes' safe set.
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
OUT_OF = "OutOf"  # with a resource's name: the reason why a pod does not fit
MEMORY_PRESSURE_TAINT = "node.kubernetes.io/memory-pressure"


@dataclass(frozen=True, slots=True)
class Place:
    """The node as a new pod finds it."""

    node: dict[str, Any] | None = None  # as the API has it; None when that is not known
    allocatable: Mapping[str, str] | None = None  # None: whatever a pod asks for
    others: Iterable[pods.Pod] = ()  # that take up room already
    request_of: Callable[[pods.Pod, str], int] = qos.pod_request  # of a pod, by the resource's name
    conditions: frozenset[str] = frozenset()
    sysctls: Iterable[str] = ()  # allowed beyond the safe ones; "net.*" is possible
    has_apparmor: bool = True
    has_strict_groups: bool = True  # the runtime can leave out the groups that an image's user has


def refusal(pod: pods.Pod, place: Place = Place()) -> Ending | None:
    """Return why the pod must not be started here; None when it may."""
    checks = (_under_pressure, _elsewhere, _too_big, _port_taken, _forbidden_sysctl, _without_apparmor, _loose_groups)
    return next((found for check in checks if (found := check(pod, place)) is not None), None)


def shortage(pod: pods.Pod, place: Place) -> Ending | None:
    """Return what the node has too little of for a pod."""
    return _too_big(pod, place)


def _refused(reason: str, message: str) -> Ending:
    return Ending(reason, f"Pod was rejected: {message}")


def _under_pressure(pod: pods.Pod, place: Place) -> Ending | None:
    if not place.conditions or is_critical(pod):
        return None
    is_spared = qos.qos_class(pod) != BEST_EFFORT or _tolerates(pod, MEMORY_PRESSURE_TAINT)
    if place.conditions == {"MemoryPressure"} and is_spared:
        return None
    names = " ".join(sorted(place.conditions))
    return _refused(EVICTED, f"The node had condition: [{names}]. ")


def _tolerates(pod: pods.Pod, taint: str) -> bool:
    for toleration in pod["spec"].get("tolerations") or ():
        exists = toleration.get("operator") == "Exists"
        if toleration.get("effect") in (None, "", "NoSchedule") and (
            toleration.get("key") == taint or (exists and not toleration.get("key"))
        ):
            return True
    return False


def _elsewhere(pod: pods.Pod, place: Place) -> Ending | None:
    wanted = (pod["spec"].get("os") or {}).get("name")
    labels = ((place.node or {}).get("metadata") or {}).get("labels") or {}
    if wanted and labels and labels.get("kubernetes.io/os", wanted) != wanted:
        return _refused("PodOSNotSupported", f"Failed to admit pod as the OS field {wanted!r} doesn't match node OS")
    if place.node is None or matches_pod(pod["spec"], place.node):
        return None
    text = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    return _refused("NodeAffinity", text)


def _too_big(pod: pods.Pod, place: Place) -> Ending | None:
    if place.allocatable is None:
        return None
    return next((_out_of(*figures) for figures in _short_of(pod, place)), None)


def _short_of(pod: pods.Pod, place: Place) -> Iterator[tuple[str, int, int, int]]:
    """Give the resources of which there is too little, with what is wanted, used and there at all."""
    free = place.allocatable or {}
    others = [other for other in place.others if pods.uid(other) != pods.uid(pod)]
    room = _amount("pods", free.get("pods", "0"))
    if len(others) + 1 > room:
        yield "pods", 1, len(others), room
    for name in sorted(_requested(pod)):
        capacity = _amount(name, free.get(name, "0"))
        wanted, used = place.request_of(pod, name), sum(place.request_of(other, name) for other in others)
        if wanted and wanted + used > capacity:
            yield name, wanted, used, capacity


def missing_for(pod: pods.Pod, place: Place) -> dict[str, int]:
    """Return how much more of which resource the node needed to have, if nothing but that keeps the pod out."""
    found = refusal(pod, place)
    if found is None or not found.reason.startswith(OUT_OF):
        return {}
    if refusal(pod, replace(place, allocatable=None)) is not None:
        return {}
    return {name: wanted + used - capacity for name, wanted, used, capacity in _short_of(pod, place)}


def _requested(pod: pods.Pod) -> set[str]:
    found = set(pod["spec"].get("overhead") or {}) | set((pod["spec"].get("resources") or {}).get("requests") or {})
    for container in (*pods.init_containers(pod), *pods.containers(pod)):
        resources = container.get("resources") or {}
        found |= {*(resources.get("requests") or {}), *(resources.get("limits") or {})}
    return found


def _out_of(name: str, wanted: int, used: int, capacity: int) -> Ending:
    text = f"Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}"
    return _refused(f"{OUT_OF}{name}", text)


def _amount(name: str, quantity: str) -> int:
    return cpu_millis(quantity) if name == "cpu" else bytes_of(quantity)


def _port_taken(pod: pods.Pod, place: Place) -> Ending | None:
    wanted = _host_ports(pod)
    if not wanted:
        return None
    taken = {port for other in place.others if pods.uid(other) != pods.uid(pod) for port in _host_ports(other)}
    for protocol, address, number in wanted:
        for other_protocol, other_address, other_number in taken:
            same = (protocol, number) == (other_protocol, other_number)
            if same and (address == other_address or "0.0.0.0" in (address, other_address)):
                text = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
                return _refused("NodePorts", text)
    return None


def _host_ports(pod: pods.Pod) -> set[tuple[str, str, int]]:
    return {
        (port.get("protocol") or "TCP", port.get("hostIP") or "0.0.0.0", port["hostPort"])
        for container in pods.containers(pod)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    }


def _forbidden_sysctl(pod: pods.Pod, place: Place) -> Ending | None:
    for item in (pod["spec"].get("securityContext") or {}).get("sysctls") or ():
        why = _sysctl_fault(pod, item["name"].replace("/", "."), place.sysctls)
        if why:
            return _refused("SysctlForbidden", f'forbidden sysctl: "{item["name"]}" {why}')
    return None


def _sysctl_fault(pod: pods.Pod, name: str, allowed: Iterable[str]) -> str:
    """A parameter must be on the list, and its namespace must be the pod's own."""
    if name not in SAFE_SYSCTLS and not any(_covers(pattern, name) for pattern in allowed):
        return "not allowlisted"
    if name.startswith("net.") and pods.is_host_network(pod):
        return "not allowed with host net enabled"
    if name.startswith("kernel.shm") and pod["spec"].get("hostIPC"):
        return "not allowed with host ipc enabled"
    return ""


def _covers(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _without_apparmor(pod: pods.Pod, place: Place) -> Ending | None:
    if place.has_apparmor:
        return None
    owners = [pod["spec"], *pods.all_containers(pod)]
    profiles = [(owner.get("securityContext") or {}).get("appArmorProfile") or {} for owner in owners]
    if any(profile.get("type") not in (None, "Unconfined") for profile in profiles):
        return _refused("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host")
    return None


def _loose_groups(pod: pods.Pod, place: Place) -> Ending | None:
    """A runtime that does not know the policy would give processes more groups than the pod allows."""
    policy = (pod["spec"].get("securityContext") or {}).get("supplementalGroupsPolicy")
    if policy != "Strict" or place.has_strict_groups:
        return None
    return _refused(
        "SupplementalGroupsPolicyNotSupported", "SupplementalGroupsPolicy=Strict is not supported in this node"
    )

"""What a Node object says: capacity, labels, addresses, conditions. Pure.

Neighbours: `machine` measures, `registration` writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.api.meta import get_condition, rfc3339, rfc3339_micro
from actors.api.quantity import bytes_of, cpu_millis, format_quantity, parse_quantity
from actors.kubelet.eviction.thresholds import bound
from actors.kubelet.runtime import Image

KUBELET_VERSION = "v1.36.0+kubus"
IMAGES_LIMIT = 50  # of the images that a Node lists, the biggest, as Kubernetes does
NAMES_OF_IMAGE_LIMIT = 5
NOT_READY_TAINT = "node.kubernetes.io/not-ready"
HEARTBEAT_FIELD = "lastHeartbeatTime"

PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)
PRESSED = {
    "MemoryPressure": ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    "DiskPressure": ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    "PIDPressure": ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
}
TURNS = {  # condition -> what an event calls its turning False, and True
    "MemoryPressure": ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    "DiskPressure": ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    "PIDPressure": ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
    "Ready": ("NodeNotReady", "NodeReady"),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found out about the machine, once."""

    capacity: Mapping[str, str]  # cpu, memory, ephemeral-storage, pods, hugepages-*
    reserved: Mapping[str, str] = field(default_factory=dict)
    addresses: Sequence[str] = ()
    info: Mapping[str, str] = field(default_factory=dict)  # of nodeInfo: kernelVersion, osImage, machineID ...
    swap_bytes: int = 0
    os: str = "linux"
    arch: str = "amd64"


@dataclass(frozen=True, slots=True)
class Observation:
    """What is true of the node now."""

    now_s: float
    faults: Sequence[str] = ()  # why it is not ready
    pressures: frozenset[str] = frozenset()
    runtime: str = ""  # containerd://1.6.20
    images: Sequence[Image] = ()


def new_node(
    name: str, machine: Machine, labels: Mapping[str, str], taints: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Return the Node to register. It is tainted not-ready until the node controller sees it Ready."""
    own = labels_of(name, machine) | dict(labels)
    tainted = [dict(taint) for taint in taints] + [{"key": NOT_READY_TAINT, "effect": "NoSchedule"}]
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": own},
        "spec": {"taints": tainted},
    }


def labels_of(name: str, machine: Machine) -> dict[str, str]:
    """Return the labels that the kubelet keeps true."""
    return {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": machine.os,
        "kubernetes.io/arch": machine.arch,
        "beta.kubernetes.io/os": machine.os,
        "beta.kubernetes.io/arch": machine.arch,
    }


def node_status(name: str, machine: Machine, observed: Observation, previous: dict[str, Any]) -> dict[str, Any]:
    """Return the NodeStatus; conditions of others are kept by whoever writes it."""
    addresses = [{"type": "InternalIP", "address": item} for item in machine.addresses]
    extended = _extended(machine.capacity, previous)
    gone = [name for name in previous.get("allocatable") or {} if is_extended(name) and name not in extended]
    unclaimed: dict[str, Any] = {name: None for name in gone if name not in machine.capacity}
    return {
        "capacity": {**machine.capacity, **extended},
        "allocatable": {**unclaimed, **allocatable(machine), **extended},
        "addresses": [*addresses, {"type": "Hostname", "address": name}],
        "conditions": _conditions(observed, previous.get("conditions") or []),
        "features": {"supplementalGroupsPolicy": False},
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": dict(machine.info)
        | {
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "containerRuntimeVersion": observed.runtime or "unknown://unknown",
            "operatingSystem": machine.os,
            "architecture": machine.arch,
            **({"swap": {"capacity": machine.swap_bytes}} if machine.swap_bytes else {}),
        },
        "images": [_image(item) for item in sorted(observed.images, key=lambda item: -item.size_bytes)[:IMAGES_LIMIT]],
    }


def allocatable(machine: Machine) -> dict[str, str]:
    """Return capacity less what is reserved for the system."""
    free = dict(machine.capacity)
    for name, kept in machine.reserved.items():
        if name == "cpu" and name in free:
            free[name] = format_quantity(parse_quantity(f"{max(0, cpu_millis(free[name]) - cpu_millis(kept))}m"))
        elif name in free:
            left = max(parse_quantity("0"), parse_quantity(free[name]) - parse_quantity(kept))
            free[name] = format_quantity(left, binary=True)
    return free


def reserved(
    capacity: Mapping[str, str], system: Mapping[str, str], hard_thresholds: Mapping[str, str]
) -> dict[str, str]:
    """Return what pods don't get: the system's share, what evictions keep free, and memory that is huge pages."""
    kept = {name: parse_quantity(amount) for name, amount in system.items()}
    for signal, name in (("memory.available", "memory"), ("nodefs.available", "ephemeral-storage")):
        threshold = hard_thresholds.get(signal)
        if threshold and name in capacity:
            kept[name] = kept.get(name, parse_quantity("0")) + bound(threshold, bytes_of(capacity[name]))
    for name, amount in capacity.items():
        if name.startswith("hugepages-"):
            kept["memory"] = kept.get("memory", parse_quantity("0")) + parse_quantity(amount)
    return {name: format_quantity(amount) for name, amount in kept.items() if amount}


def is_extended(resource: str) -> bool:
    """Whether a resource is one of somebody else's making, such as example.com/dongle."""
    domain, slash, _ = resource.partition("/")
    return bool(slash) and domain != "kubernetes.io" and not domain.endswith(".kubernetes.io")


def _extended(capacity: Mapping[str, str], previous: dict[str, Any]) -> dict[str, str]:
    """Return the extended resources that somebody wrote into the Node: they are handed out as they are."""
    written = previous.get("capacity") or {}
    return {name: amount for name, amount in written.items() if is_extended(name) and name not in capacity}


def told_of(name: str, before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the events that say what became different of a node, as (type, reason, message)."""
    events = []
    booted, boot = ((status.get("nodeInfo") or {}).get("bootID") for status in (before, after))
    if booted and boot and booted != boot:
        events.append(("Warning", "Rebooted", f"Node {name} has been rebooted, boot id: {boot}"))
    for kind, (no, yes) in TURNS.items():
        had, has = (get_condition(status.get("conditions") or (), kind) or {} for status in (before, after))
        if has.get("status") != had.get("status"):
            reason = yes if has.get("status") == "True" else no
            events.append(("Normal", reason, f"Node {name} status is now: {reason}"))
    return events


def differs(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Tell whether a status says more than that the kubelet is alive."""
    return _without_heartbeats(new) != _without_heartbeats({field: old.get(field) for field in new})


def lease(name: str, now_s: float, duration_s: int, node: dict[str, Any] | None) -> dict[str, Any]:
    """Return the Lease whose renewal says that the node lives."""
    metadata: dict[str, Any] = {"name": name, "namespace": "kube-node-lease"}
    if node is not None:
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
        metadata["ownerReferences"] = [owner]
    return {
        "kind": "Lease",
        "apiVersion": "coordination.k8s.io/v1",
        "metadata": metadata,
        "spec": {"holderIdentity": name, "leaseDurationSeconds": duration_s, "renewTime": rfc3339_micro(now_s)},
    }


def _conditions(observed: Observation, previous: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    made = []
    for kind, reason, message in PRESSURES:
        pressed = kind in observed.pressures
        texts = PRESSED[kind] if pressed else (reason, message)
        made.append(_condition(kind, pressed, *texts, previous, observed.now_s))
    if observed.faults:
        made.append(_condition("Ready", False, "KubeletNotReady", ", ".join(observed.faults), previous, observed.now_s))
    else:
        texts = ("KubeletReady", "kubelet is posting ready status")
        made.append(_condition("Ready", True, *texts, previous, observed.now_s))
    return made


def _condition(
    kind: str, holds: bool, reason: str, message: str, previous: Sequence[dict[str, Any]], now_s: float
) -> dict[str, Any]:
    value, now = "True" if holds else "False", rfc3339(now_s)
    before = get_condition(previous, kind)
    moved = before["lastTransitionTime"] if before and before.get("status") == value else now
    return {
        "type": kind,
        "status": value,
        HEARTBEAT_FIELD: now,
        "lastTransitionTime": moved,
        "reason": reason,
        "message": message,
    }


def _without_heartbeats(status: dict[str, Any]) -> dict[str, Any]:
    conditions = status.get("conditions") or ()
    own = {kind for kind, _, _ in PRESSURES} | {"Ready"}
    kept = {
        item["type"]: {key: value for key, value in item.items() if key != HEARTBEAT_FIELD}
        for item in conditions
        if item["type"] in own
    }
    return {**status, "conditions": kept}


def _image(image: Image) -> dict[str, Any]:
    names = [*image.digests, *image.tags][:NAMES_OF_IMAGE_LIMIT]
    return {"names": names, "sizeBytes": image.size_bytes}

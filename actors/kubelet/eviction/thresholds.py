"""Eviction signals, and the thresholds that a config sets for them. Pure.

Source: "Node-pressure Eviction" of Kubernetes' documentation. A quantity is absolute or a percentage of the capacity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from actors.api.config import KubeletConfig
from actors.api.quantity import format_quantity, parse_quantity
from actors.kubelet.stats.usage import Disk, NodeUsage

MEMORY, PIDS = "memory.available", "pid.available"
NODE_FS, NODE_INODES = "nodefs.available", "nodefs.inodesFree"
IMAGE_FS, IMAGE_INODES = "imagefs.available", "imagefs.inodesFree"

CONDITIONS = {
    MEMORY: "MemoryPressure",
    NODE_FS: "DiskPressure",
    NODE_INODES: "DiskPressure",
    IMAGE_FS: "DiskPressure",
    IMAGE_INODES: "DiskPressure",
    PIDS: "PIDPressure",
}
RESOURCES = {
    MEMORY: "memory",
    NODE_FS: "ephemeral-storage",
    NODE_INODES: "inodes",
    IMAGE_FS: "ephemeral-storage",
    IMAGE_INODES: "inodes",
    PIDS: "pids",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """What is left of something, of how much."""

    available: int
    capacity: int


Signals = Mapping[str, Amount]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Met when less than `value` is available. Soft ones have a grace; `reclaim` is to be free on top afterwards."""

    signal: str
    value: str  # "100Mi", "10%"
    grace_s: float | None = None  # None: hard
    reclaim: str = "0"

    @property
    def is_hard(self) -> bool:
        return self.grace_s is None

    def is_met(self, amount: Amount, with_reclaim: bool = False) -> bool:
        least = bound(self.value, amount.capacity)
        if with_reclaim:
            least += bound(self.reclaim, amount.capacity)
        return amount.available < least

    def shown(self, amount: Amount) -> str:
        return format_quantity(bound(self.value, amount.capacity), binary=self.signal != PIDS)


def bound(value: str, capacity: int) -> int:
    """Return a quantity, or so many percent of the capacity. ValueError when it is neither."""
    if value.endswith("%"):
        return int(Decimal(value[:-1]) * capacity / 100)
    return int(parse_quantity(value))


def thresholds_of(config: KubeletConfig) -> tuple[Threshold, ...]:
    """Return the thresholds of a config. ValueError names what is no signal, or no quantity."""
    reclaim = config.eviction_minimum_reclaim
    found = [Threshold(signal, value, None, reclaim.get(signal, "0")) for signal, value in config.eviction_hard.items()]
    found += [
        Threshold(signal, value, config.eviction_soft_grace_period_s.get(signal, 0.0), reclaim.get(signal, "0"))
        for signal, value in config.eviction_soft.items()
    ]
    for threshold in found:
        if threshold.signal not in CONDITIONS:
            raise ValueError(f"eviction signal {threshold.signal!r}; expected one of {', '.join(CONDITIONS)}")
        bound(threshold.value, 0)
        bound(threshold.reclaim, 0)
    return tuple(found)


def signals_of(node: NodeUsage, images: Disk | None) -> dict[str, Amount]:
    """Return what is left. `images` is the file system of images, if they have one of their own."""
    found = {
        MEMORY: Amount(node.available_bytes, node.capacity_bytes),
        NODE_FS: Amount(node.disk.available_bytes, node.disk.capacity_bytes),
    }
    if node.disk.inodes:
        found[NODE_INODES] = Amount(node.disk.inodes_free, node.disk.inodes)
    if node.max_pids:
        found[PIDS] = Amount(max(0, node.max_pids - node.usage.processes), node.max_pids)
    if images is not None:
        found[IMAGE_FS] = Amount(images.available_bytes, images.capacity_bytes)
        if images.inodes:
            found[IMAGE_INODES] = Amount(images.inodes_free, images.inodes)
    return {signal: amount for signal, amount in found.items() if amount.capacity}

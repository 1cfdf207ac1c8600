"""What a container, a pod or a node uses at one moment, and rates between two. Pure.

Neighbours: `cgroups` reads, `sampler` keeps, everybody else in this folder shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from actors.kubelet.volumes.space import Space

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one cgroup. `working_set_bytes` is what can't be given back at once: all but the inactive file cache."""

    cpu_ns: int = 0  # used since the cgroup was made
    working_set_bytes: int = 0
    usage_bytes: int = 0
    rss_bytes: int = 0
    page_faults: int = 0
    major_page_faults: int = 0
    processes: int = 0
    cache_bytes: int = 0
    swap_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What a container has done besides computing, and how often it was held back. Read only for whoever asks."""

    periods: int = 0  # of the kernel's bandwidth control, in which the container had something to do
    throttled_periods: int = 0
    throttled_ns: int = 0
    reads: int = 0  # of block devices, likewise below
    writes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Interface:
    """What has passed through a network interface since it was made."""

    name: str
    rx_bytes: int = 0
    rx_errors: int = 0
    tx_bytes: int = 0
    tx_errors: int = 0
    rx_packets: int = 0
    rx_dropped: int = 0
    tx_packets: int = 0
    tx_dropped: int = 0


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    name: str
    id: str
    usage: Usage
    started_ns: int = 0
    rootfs_bytes: int = 0
    logs_bytes: int = 0
    image: str = ""


class Claimed(NamedTuple):
    """The claim of a volume, and how full its file system is."""

    name: str
    space: Space


@dataclass(frozen=True, slots=True)
class PodUsage:
    """`usage` is of the whole pod, its sandbox included."""

    uid: str
    namespace: str
    name: str
    usage: Usage
    containers: tuple[ContainerUsage, ...] = ()
    started: str = ""  # RFC 3339
    volumes: Mapping[str, int] = field(default_factory=dict)  # bytes of emptyDirs on the disk
    interfaces: tuple[Interface, ...] = ()  # of a network of its own
    claims: Mapping[str, "Claimed"] = field(default_factory=dict)  # by volume

    @property
    def disk_bytes(self) -> int:
        """Return the pod's use of local ephemeral storage."""
        return sum(self.volumes.values()) + sum(item.rootfs_bytes + item.logs_bytes for item in self.containers)


@dataclass(frozen=True, slots=True)
class Disk:
    capacity_bytes: int = 0
    available_bytes: int = 0
    inodes: int = 0
    inodes_free: int = 0


@dataclass(frozen=True, slots=True)
class NodeUsage:
    usage: Usage = Usage()
    available_bytes: int = 0  # of memory
    capacity_bytes: int = 0
    disk: Disk = Disk()
    max_pids: int = 0
    booted: str = ""  # RFC 3339
    cpus: int = 1
    interfaces: tuple[Interface, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything at one moment. `rates` are nano-cores by container id, pod uid, and "" for the node."""

    time_s: float
    node: NodeUsage
    pods: tuple[PodUsage, ...] = ()
    window_s: float = 0.0  # what the rates are over; 0: there was no earlier sample
    rates: Mapping[str, int] = field(default_factory=dict)


def counters(sample: Sample) -> dict[str, int]:
    """Return the CPU counters of a sample, by the names that `rates` has."""
    found = {"": sample.node.usage.cpu_ns}
    for pod in sample.pods:
        found[pod.uid] = pod.usage.cpu_ns
        found |= {container.id: container.usage.cpu_ns for container in pod.containers}
    return found


def rates_between(before: Mapping[str, int], after: Mapping[str, int], window_s: float) -> dict[str, int]:
    """Return nano-cores of what is in both; a counter that went back is of a cgroup that was made anew."""
    if window_s <= 0:
        return {}
    return {
        name: int((value - before[name]) / window_s)
        for name, value in after.items()
        if name in before and value >= before[name]
    }

"""A sample as /stats/summary shows it: JSON for people and for metrics collectors. Pure."""

from collections.abc import Sequence
from typing import Any

from actors.api.meta import rfc3339
from actors.kubelet.stats.usage import NS_PER_S, ContainerUsage, Disk, Interface, PodUsage, Sample, Usage

MAIN_INTERFACE = "eth0"  # what CNI calls a pod's


def summary(node: str, sample: Sample) -> dict[str, Any]:
    now = rfc3339(sample.time_s)
    whole = sample.node
    memory = _memory(whole.usage, now) | {"availableBytes": whole.available_bytes}
    disk = _disk(whole.disk, now)
    return {
        "node": {
            "nodeName": node,
            "startTime": whole.booted or None,
            "cpu": _cpu(whole.usage, sample.rates.get(""), now),
            "memory": memory,
            "fs": disk,
            **_network(whole.interfaces, now),
            "runtime": {"imageFs": disk, "containerFs": disk},
            "rlimit": {"time": now, "maxpid": whole.max_pids, "curproc": whole.usage.processes},
        },
        "pods": [_pod(pod, sample, now) for pod in sample.pods],
    }


def _pod(pod: PodUsage, sample: Sample, now: str) -> dict[str, Any]:
    return {
        "podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "startTime": pod.started or None,
        "containers": [_container(item, sample, now) for item in pod.containers],
        "cpu": _cpu(pod.usage, sample.rates.get(pod.uid), now),
        "memory": _memory(pod.usage, now),
        **_network(pod.interfaces, now),
        "volume": [*_volumes(pod, sample, now), *_claims(pod, now)],
        "ephemeral-storage": {**_room(sample.node.disk, now), "usedBytes": pod.disk_bytes},
        "process_stats": {"process_count": pod.usage.processes},
    }


def _volumes(pod: PodUsage, sample: Sample, now: str) -> list[dict[str, Any]]:
    """Tell of emptyDirs, which share the node's disk."""
    return [{**_room(sample.node.disk, now), "name": name, "usedBytes": used} for name, used in pod.volumes.items()]


def _claims(pod: PodUsage, now: str) -> list[dict[str, Any]]:
    return [
        {
            "time": now,
            "name": volume,
            "pvcRef": {"name": claimed.name, "namespace": pod.namespace},
            "capacityBytes": claimed.space.capacity_bytes,
            "availableBytes": claimed.space.available_bytes,
            "usedBytes": claimed.space.used_bytes,
            "inodes": claimed.space.inodes,
            "inodesFree": claimed.space.inodes_free,
            "inodesUsed": claimed.space.inodes_used,
        }
        for volume, claimed in pod.claims.items()
    ]


def _container(container: ContainerUsage, sample: Sample, now: str) -> dict[str, Any]:
    return {
        "name": container.name,
        "startTime": rfc3339(container.started_ns / NS_PER_S),
        "cpu": _cpu(container.usage, sample.rates.get(container.id), now),
        "memory": _memory(container.usage, now),
        "rootfs": {**_room(sample.node.disk, now), "usedBytes": container.rootfs_bytes},
        "logs": {**_room(sample.node.disk, now), "usedBytes": container.logs_bytes},
    }


def _cpu(usage: Usage, rate: int | None, now: str) -> dict[str, Any]:
    found: dict[str, Any] = {"time": now, "usageCoreNanoSeconds": usage.cpu_ns}
    return found if rate is None else found | {"usageNanoCores": rate}


def _memory(usage: Usage, now: str) -> dict[str, Any]:
    return {
        "time": now,
        "usageBytes": usage.usage_bytes,
        "workingSetBytes": usage.working_set_bytes,
        "rssBytes": usage.rss_bytes,
        "pageFaults": usage.page_faults,
        "majorPageFaults": usage.major_page_faults,
    }


def _network(interfaces: Sequence[Interface], now: str) -> dict[str, Any]:
    """Return the counters, those of the first interface (a pod's eth0) also by themselves; nothing without any."""
    if not interfaces:
        return {}
    each = [
        {
            "name": item.name,
            "rxBytes": item.rx_bytes,
            "rxErrors": item.rx_errors,
            "txBytes": item.tx_bytes,
            "txErrors": item.tx_errors,
        }
        for item in interfaces
    ]
    main = next((item for item in each if item["name"] == MAIN_INTERFACE), each[0])
    return {"network": {"time": now, **main, "interfaces": each}}


def _room(disk: Disk, now: str) -> dict[str, Any]:
    """Tell how much there is of the disk that something is on."""
    return {
        "time": now,
        "availableBytes": disk.available_bytes,
        "capacityBytes": disk.capacity_bytes,
        "inodesFree": disk.inodes_free,
        "inodes": disk.inodes,
    }


def _disk(disk: Disk, now: str) -> dict[str, Any]:
    return {
        **_room(disk, now),
        "usedBytes": disk.capacity_bytes - disk.available_bytes,
        "inodesUsed": disk.inodes - disk.inodes_free,
    }

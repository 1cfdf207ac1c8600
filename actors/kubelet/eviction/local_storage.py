"""Pods that use more local storage than they said they would, whatever the node has left: they are evicted. Pure."""

from typing import NamedTuple

from actors.api.quantity import bytes_of
from actors.kubelet import pod as pods
from actors.kubelet.stats.usage import PodUsage

RESOURCE = "ephemeral-storage"
# What was broken, in the words that evictions are counted by.
VOLUME_LIMIT, POD_LIMIT, CONTAINER_LIMIT = "emptydirfs.limit", "ephemeralpodfs.limit", "ephemeralcontainerfs.limit"


class Excess(NamedTuple):
    signal: str
    message: str


def is_limited(pod: pods.Pod) -> bool:
    """Whether a pod limits anything of its local storage: only then it is worth measuring."""
    volumes = pod["spec"].get("volumes") or ()
    if any((volume.get("emptyDir") or {}).get("sizeLimit") for volume in volumes if _on_disk(volume)):
        return True
    return any(_limit(container) for container in pods.containers(pod))


def excess(pod: pods.Pod, usage: PodUsage) -> Excess | None:
    """Say which limit a pod broke; None when it kept them all."""
    for volume in pod["spec"].get("volumes") or ():
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit and _on_disk(volume) and usage.volumes.get(volume["name"], 0) > bytes_of(limit) > 0:
            text = f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{limit}". '
            return Excess(VOLUME_LIMIT, text)
    limits = {container["name"]: _limit(container) for container in pods.containers(pod)}
    if limits and all(limits.values()):
        total = sum(map(bytes_of, limits.values()))
        if usage.disk_bytes > total:
            text = f"Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
            return Excess(POD_LIMIT, text)
    for item in usage.containers:
        limit = limits.get(item.name)
        if limit and item.rootfs_bytes + item.logs_bytes > bytes_of(limit):
            text = f'Container {item.name} exceeded its local ephemeral storage limit "{limit}". '
            return Excess(CONTAINER_LIMIT, text)
    return None


def _on_disk(volume: dict) -> bool:
    return (volume.get("emptyDir") or {}).get("medium") != "Memory"


def _limit(container: pods.ContainerDict) -> str:
    return str(((container.get("resources") or {}).get("limits") or {}).get(RESOURCE) or "")

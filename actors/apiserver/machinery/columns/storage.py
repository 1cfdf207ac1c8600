"""What storage drivers tell: drivers, nodes, capacities, attachments; and classes of devices and claims of them."""

from actors.apiserver.machinery.columns.cells import AGE, NAME, UNSET, computed, read, text
from actors.apiserver.machinery.resource import Column


def _flag(name: str, path: str, default: bool = False) -> Column:
    return computed(name, lambda obj: str(read(obj, path, default)).lower())


CSI_DRIVER: tuple[Column, ...] = (
    NAME,
    _flag("AttachRequired", "spec.attachRequired", default=True),
    _flag("PodInfoOnMount", "spec.podInfoOnMount"),
    _flag("StorageCapacity", "spec.storageCapacity"),
    computed(
        "TokenRequests",
        lambda obj: ",".join(item.get("audience", "") for item in read(obj, "spec.tokenRequests", [])) or UNSET,
    ),
    _flag("RequiresRepublish", "spec.requiresRepublish"),
    computed("Modes", lambda obj: ",".join(read(obj, "spec.volumeLifecycleModes", []))),
    AGE,
)
CSI_NODE: tuple[Column, ...] = (NAME, computed("Drivers", lambda obj: len(read(obj, "spec.drivers", []))), AGE)
CSI_STORAGE_CAPACITY: tuple[Column, ...] = (
    NAME,
    text("StorageClassName", "storageClassName", ""),
    text("Capacity", "capacity", UNSET),
    AGE,
)
VOLUME_ATTACHMENT: tuple[Column, ...] = (
    NAME,
    text("Attacher", "spec.attacher", ""),
    text("PV", "spec.source.persistentVolumeName", ""),
    text("Node", "spec.nodeName", ""),
    _flag("Attached", "status.attached"),
    AGE,
)
VOLUME_ATTRIBUTES_CLASS: tuple[Column, ...] = (NAME, text("DriverName", "driverName", ""), AGE)


def _claim_state(obj: dict) -> str:
    states = [
        name
        for name, path in (("allocated", "status.allocation"), ("reserved", "status.reservedFor"))
        if read(obj, path)
    ]
    states = [*(["deleted"] if obj["metadata"].get("deletionTimestamp") else ()), *states]
    return ",".join(states) or "pending"


RESOURCE_CLAIM: tuple[Column, ...] = (NAME, computed("State", _claim_state), AGE)
RESOURCE_SLICE: tuple[Column, ...] = (
    NAME,
    text("Node", "spec.nodeName", UNSET),
    text("Driver", "spec.driver", ""),
    text("Pool", "spec.pool.name", ""),
    AGE,
)

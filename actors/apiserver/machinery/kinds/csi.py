"""CSIDriver, CSINode, CSIStorageCapacity, VolumeAttachment, VolumeAttributesClass: what storage drivers tell.

No driver runs here: these objects are kept for those that users bring.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field, quantities
from actors.apiserver.machinery.kinds.placement import label_selector_causes
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Strategy

Object = dict[str, Any]

_FS_GROUP_POLICIES = ("ReadWriteOnceWithFSType", "File", "None")
_LIFECYCLE_MODES = ("Persistent", "Ephemeral")
_MAX_DRIVER_NAME = 63
_MAX_NODE_ID = 256
_DRIVER_FIXED = ("attachRequired", "volumeLifecycleModes")


def driver_name_causes(name: str, path: str) -> list[Cause]:
    """Return what is wrong with the name of a CSI driver."""
    if not name:
        return [field.required(path)]
    if len(name) > _MAX_DRIVER_NAME:
        return [field.too_long(path, _MAX_DRIVER_NAME)]
    return field.messages(path, name, names.dns_subdomain(name.lower()))


def fixed(obj: Object, old: Object, paths: tuple[str, ...], at: str = "") -> list[Cause]:
    """Return a cause for each field that must not change, and did."""
    changed = [name for name in paths if obj.get(name) != old.get(name)]
    return [field.immutable(f"{at}{name}", obj.get(name)) for name in changed]


class CSIDriverStrategy(Strategy):
    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("attachRequired", True)
        for name in ("podInfoOnMount", "requiresRepublish", "seLinuxMount", "storageCapacity"):
            spec.setdefault(name, False)
        spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
        if not spec.get("volumeLifecycleModes"):
            spec["volumeLifecycleModes"] = ["Persistent"]

    def validate(self, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        causes = driver_name_causes(obj["metadata"].get("name", ""), "metadata.name")
        causes += field.one_of("spec.fsGroupPolicy", spec["fsGroupPolicy"], _FS_GROUP_POLICIES)
        for mode in spec["volumeLifecycleModes"]:
            causes += field.one_of("spec.volumeLifecycleModes", mode, _LIFECYCLE_MODES)
        audiences = [item.get("audience", "") for item in spec.get("tokenRequests") or ()]
        for i, audience in enumerate(audiences):
            if audience in audiences[:i]:
                causes.append(field.duplicate(f"spec.tokenRequests[{i}].audience", audience))
        return causes

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        return fixed(obj["spec"], old["spec"], _DRIVER_FIXED, "spec.")


class CSINodeStrategy(Strategy):
    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {}).setdefault("drivers", [])

    def validate(self, obj: Object) -> list[Cause]:
        causes: list[Cause] = []
        seen: set[str] = set()
        for i, driver in enumerate(obj["spec"]["drivers"]):
            at, name, node_id = f"spec.drivers[{i}]", driver.get("name", ""), driver.get("nodeID", "")
            causes += driver_name_causes(name, f"{at}.name")
            if name in seen:
                causes.append(field.duplicate(f"{at}.name", name))
            seen.add(name)
            if not node_id:
                causes.append(field.required(f"{at}.nodeID"))
            elif len(node_id) > _MAX_NODE_ID:
                causes.append(field.too_long(f"{at}.nodeID", _MAX_NODE_ID))
            causes += field.non_negative(f"{at}.allocatable.count", (driver.get("allocatable") or {}).get("count"))
            for j, key in enumerate(driver.get("topologyKeys") or ()):
                causes += field.messages(f"{at}.topologyKeys[{j}]", key, names.qualified_name(key))
        return causes

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        """A driver may come and go; what one says of itself stays, but for how much it can attach."""
        before = {item["name"]: item for item in old["spec"]["drivers"]}
        causes = []
        for i, driver in enumerate(obj["spec"]["drivers"]):
            known = before.get(driver.get("name", ""))
            if known is not None:
                causes += fixed(driver, known, ("nodeID", "topologyKeys"), f"spec.drivers[{i}].")
        return causes


class CSIStorageCapacityStrategy(Strategy):
    def validate(self, obj: Object) -> list[Cause]:
        class_name = obj.get("storageClassName", "")
        causes = field.messages("storageClassName", class_name, names.dns_subdomain(class_name))
        causes += label_selector_causes(obj.get("nodeTopology"), "nodeTopology")
        for name in ("capacity", "maximumVolumeSize"):
            amount = obj.get(name)
            if amount is not None and quantities.amount(amount) < 0:
                causes.append(field.invalid(name, amount, "must be greater than or equal to 0"))
        return causes

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        return fixed(obj, old, ("nodeTopology", "storageClassName"))


class VolumeAttachmentStrategy(WithStatus):
    tracks_generation = False

    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})

    def initial_status(self, obj: Object) -> Object:
        return {"attached": False}

    def validate(self, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        causes = driver_name_causes(spec.get("attacher", ""), "spec.attacher")
        node = spec.get("nodeName", "")
        causes += field.messages("spec.nodeName", node, names.dns_subdomain(node))
        source = spec.get("source") or {}
        if not source.get("persistentVolumeName") and not source.get("inlineVolumeSpec"):
            causes.append(
                field.required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
            )
        elif source.get("persistentVolumeName") and source.get("inlineVolumeSpec"):
            detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
            causes.append(field.invalid("spec.source", source, detail))
        return causes

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        return [] if obj["spec"] == old["spec"] else [field.immutable("spec", obj["spec"])]


class VolumeAttributesClassStrategy(Strategy):
    def validate(self, obj: Object) -> list[Cause]:
        causes = driver_name_causes(obj.get("driverName", ""), "driverName")
        if not obj.get("parameters"):
            causes.append(field.required("parameters", "must contain at least one key/value pair"))
        causes += [
            field.required("parameters", "keys must not be empty") for key in obj.get("parameters") or () if not key
        ]
        return causes

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        return fixed(obj, old, ("driverName", "parameters"))

"""PersistentVolume, PersistentVolumeClaim, StorageClass."""

from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field, names, quantities
from actors.apiserver.machinery.kinds.placement import label_selector_causes, node_selector_causes
from actors.apiserver.machinery.kinds.resource_lists import amount_causes
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Strategy

_ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_VOLUME_MODES = ("Filesystem", "Block")
_RECLAIM_POLICIES = ("Retain", "Delete", "Recycle")
_NOT_SOURCES = (
    "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
    "storageClassName", "volumeAttributesClassName", "volumeMode",
)  # fmt: skip
_CLASS_FIXED = ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")


def _access_mode_causes(spec: dict[str, Any]) -> list[Cause]:
    modes, path = spec.get("accessModes") or [], "spec.accessModes"
    if not modes:
        return [field.required(path, "at least 1 access mode is required")]
    causes: list[Cause] = []
    for mode in modes:
        causes += field.one_of(path, mode, _ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        causes.append(field.forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return causes


class PersistentVolumeClaimStrategy(WithStatus):
    tracks_generation = False

    def default(self, obj: dict[str, Any]) -> None:
        obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")

    def initial_status(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {"phase": "Pending"}

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj["spec"]
        causes = _access_mode_causes(spec) + label_selector_causes(spec.get("selector"), "spec.selector")
        storage, path = ((spec.get("resources") or {}).get("requests") or {}).get("storage"), "spec.resources[storage]"
        if storage is None:
            causes.append(field.required(path))
        elif quantities.amount(storage) <= 0:
            causes.append(field.invalid(path, storage, "must be greater than zero"))
        causes += field.one_of("spec.volumeMode", spec["volumeMode"], _VOLUME_MODES)
        if name := spec.get("storageClassName"):
            causes += field.messages("spec.storageClassName", name, names.dns_subdomain(name))
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        spec, before = dict(obj["spec"]), dict(old["spec"])
        if not before.get("volumeName"):
            spec.pop("volumeName", None)
        if before.get("storageClassName") is None:
            spec.pop("storageClassName", None)
        wanted, had = spec.pop("resources", {}), before.pop("resources", {})
        for kept in (spec, before):
            kept.pop("volumeAttributesClassName", None)
        if not old["spec"].get("volumeName"):
            before.pop("volumeName", None)
        if spec != before:
            detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName"
            return [field.forbidden("spec", f"{detail} for bound claims")]
        after, was = ((part.get("requests") or {}).get("storage", "0") for part in (wanted, had))
        if quantities.amount(after) < quantities.amount(was):
            detail = "field can not be less than previous value"
            return [field.forbidden("spec.resources.requests.storage", detail)]
        return []


class PersistentVolumeStrategy(WithStatus):
    tracks_generation = False

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")
        if "hostPath" in spec:
            spec["hostPath"].setdefault("type", "")

    def initial_status(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {"phase": "Pending"}

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj["spec"]
        causes = _access_mode_causes(spec)
        storage, path = (spec.get("capacity") or {}).get("storage"), "spec.capacity[storage]"
        causes += [field.required("spec.capacity")] if storage is None else amount_causes(storage, path)
        policy = spec["persistentVolumeReclaimPolicy"]
        causes += field.one_of("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM_POLICIES)
        causes += field.one_of("spec.volumeMode", spec["volumeMode"], _VOLUME_MODES)
        sources = [name for name in spec if name not in _NOT_SOURCES]
        if not sources:
            causes.append(field.required("spec", "must specify a volume type"))
        for name in sources[1:]:
            causes.append(field.forbidden(f"spec.{name}", "may not specify more than 1 volume type"))
        affinity = (spec.get("nodeAffinity") or {}).get("required")
        if affinity is not None:
            causes += node_selector_causes(affinity, "spec.nodeAffinity.required")
        elif "local" in spec:
            causes.append(field.required("spec.nodeAffinity", "Local volume requires node affinity"))
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        after, before = (
            {name: part for name, part in o["spec"].items() if name not in _NOT_SOURCES} for o in (obj, old)
        )
        if after != before:
            return [
                field.forbidden(
                    "spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"
                )
            ]
        return []


class StorageClassStrategy(Strategy):
    def default(self, obj: dict[str, Any]) -> None:
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        causes = [] if obj.get("provisioner") else [field.required("provisioner")]
        causes += field.one_of("reclaimPolicy", obj["reclaimPolicy"], ("Delete", "Retain"))
        modes = ("Immediate", "WaitForFirstConsumer")
        return causes + field.one_of("volumeBindingMode", obj["volumeBindingMode"], modes)

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return [
            field.forbidden(name, f"updates to {name} are forbidden.")
            for name in _CLASS_FIXED
            if obj.get(name) != old.get(name)
        ]

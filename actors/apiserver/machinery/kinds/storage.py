"""PersistentVolume, PersistentVolumeClaim, StorageClass."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field, quantities
from actors.apiserver.machinery.kinds.placement import label_selector_causes, node_selector_causes
from actors.apiserver.machinery.kinds.pod_warnings import (
    DEPRECATED_VOLUMES,
    claim_spec_warnings,
    node_selector_warnings,
)
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
_OLD_SOURCES = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))
_MAX_PARAMETERS_BYTES = 256 << 10  # of a storage class, keys and values together
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


def normalize_data_sources(spec: dict[str, Any]) -> None:
    """The old and the new way to say what a claim begins with say the same, where both can."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and _kind_of(source) not in _OLD_SOURCES:
        del spec["dataSource"]
        source = None
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif source is None and reference and not reference.get("namespace") and _kind_of(reference) in _OLD_SOURCES:
        spec["dataSource"] = {name: value for name, value in reference.items() if name != "namespace"}


def _kind_of(source: dict[str, Any]) -> tuple[str, str]:
    return source.get("apiGroup") or "", source.get("kind", "")


def data_source_causes(spec: dict[str, Any], path: str = "spec") -> list[Cause]:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    causes = []
    for name, one in (("dataSource", source), ("dataSourceRef", reference)):
        if one is None:
            continue
        causes += [field.required(f"{path}.{name}.{part}") for part in ("name", "kind") if not one.get(part)]
        if not one.get("apiGroup") and one.get("kind") != "PersistentVolumeClaim":
            detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
            causes.append(field.invalid(f"{path}.{name}", one.get("kind", ""), detail))
    if source is None or reference is None:
        return causes
    if reference.get("namespace"):
        detail = "may not be specified when dataSourceRef.namespace is specified"
        causes.append(field.invalid(path, f"{path}.dataSource", detail))
    elif (*_kind_of(source), source.get("name")) != (*_kind_of(reference), reference.get("name")):
        causes.append(field.invalid(path, f"{path}.dataSource", "must match dataSourceRef"))
    return causes


def _csi_causes(source: dict[str, Any], at: str) -> list[Cause]:
    driver = source.get("driver", "")
    causes = (
        field.messages(f"{at}.driver", driver, names.dns_subdomain(driver.lower()))
        if driver
        else [field.required(f"{at}.driver")]
    )
    return causes if source.get("volumeHandle") else [*causes, field.required(f"{at}.volumeHandle")]


def _topology_causes(terms: list[dict] | None, path: str) -> list[Cause]:
    causes = []
    for i, term in enumerate(terms or ()):
        key, values = term.get("key", ""), term.get("values") or ()
        causes += field.messages(f"{path}[{i}].key", key, names.qualified_name(key))
        if not values:
            causes.append(field.required(f"{path}[{i}].values"))
        for j, value in enumerate(values):
            if value in values[:j]:
                causes.append(field.duplicate(f"{path}[{i}].values[{j}]", value))
    return causes


_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_OLD_ANNOTATIONS = {
    _OLD_CLASS: 'deprecated since v1.8; use "storageClassName" attribute instead',
    "volume.beta.kubernetes.io/mount-options": 'deprecated since v1.31; use "mountOptions" attribute instead',
}


class PersistentVolumeClaimStrategy(WithStatus):
    tracks_generation = False

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        found = []
        if _OLD_CLASS in (obj["metadata"].get("annotations") or {}):
            found.append(f"metadata.annotations[{_OLD_CLASS}]: {_OLD_ANNOTATIONS[_OLD_CLASS]}")
        return found + claim_spec_warnings(obj["spec"], "spec")

    def default(self, obj: dict[str, Any]) -> None:
        obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        super().prepare_for_create(obj)
        normalize_data_sources(obj["spec"])

    def prepare_for_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        super().prepare_for_update(obj, old)
        normalize_data_sources(obj["spec"])

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
        for part in ("storageClassName", "volumeAttributesClassName"):
            if name := spec.get(part):
                causes += field.messages(f"spec.{part}", name, names.dns_subdomain(name))
        return causes + data_source_causes(spec)

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        spec, before = dict(obj["spec"]), dict(old["spec"])
        normalize_data_sources(before)
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

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        spec, annotations = obj["spec"], obj["metadata"].get("annotations") or {}
        found = [f"metadata.annotations[{key}]: {text}" for key, text in _OLD_ANNOTATIONS.items() if key in annotations]
        if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
            detail = "Instead, the recommended approach is to use dynamic provisioning."
            found.append(f"spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. {detail}")
        found += [f"spec.{kind}: {text}" for kind, text in DEPRECATED_VOLUMES.items() if kind in spec]
        required = (spec.get("nodeAffinity") or {}).get("required")
        return found + node_selector_warnings(required, "spec.nodeAffinity.required")

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
        if "hostPath" in spec and spec["hostPath"].get("path") == "/" and policy == "Recycle":
            detail = "may not be 'recycle' for a hostPath mount of '/'"
            causes.append(field.forbidden("spec.persistentVolumeReclaimPolicy", detail))
        for part in ("storageClassName", "volumeAttributesClassName"):
            if name := spec.get(part):
                causes += field.messages(f"spec.{part}", name, names.dns_subdomain(name))
        if "csi" in spec:
            causes += _csi_causes(spec["csi"], "spec.csi")
        affinity = (spec.get("nodeAffinity") or {}).get("required")
        if affinity is not None:
            causes += node_selector_causes(affinity, "spec.nodeAffinity.required")
        elif spec.get("nodeAffinity") is not None:
            causes.append(field.required("spec.nodeAffinity.required", "must specify required node constraints"))
        elif "local" in spec:
            causes.append(field.required("spec.nodeAffinity", "Local volume requires node affinity"))
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        causes = []
        if obj["spec"]["volumeMode"] != old["spec"].get("volumeMode", "Filesystem"):
            causes.append(field.immutable("volumeMode", obj["spec"]["volumeMode"]))
        affinity = obj["spec"].get("nodeAffinity")
        if old["spec"].get("nodeAffinity") not in (None, affinity):
            detail = "field is immutable, except for updating from beta label to GA"
            causes.append(field.invalid("spec.nodeAffinity", affinity, detail))
        after, before = (
            {name: part for name, part in o["spec"].items() if name not in _NOT_SOURCES} for o in (obj, old)
        )
        if after != before:
            detail = "spec.persistentvolumesource is immutable after creation"
            causes.append(field.forbidden("spec.persistentvolumesource", detail))
        return causes


class StorageClassStrategy(Strategy):
    def default(self, obj: dict[str, Any]) -> None:
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        causes = [] if obj.get("provisioner") else [field.required("provisioner")]
        causes += field.one_of("reclaimPolicy", obj["reclaimPolicy"], ("Delete", "Retain"))
        modes = ("Immediate", "WaitForFirstConsumer")
        causes += field.one_of("volumeBindingMode", obj["volumeBindingMode"], modes)
        parameters = obj.get("parameters") or {}
        if "" in parameters:
            causes.append(field.invalid("parameters", "", "field can not be empty."))
        if sum(len(key.encode()) + len(value.encode()) for key, value in parameters.items()) > _MAX_PARAMETERS_BYTES:
            causes.append(field.too_long("parameters", _MAX_PARAMETERS_BYTES))
        for i, term in enumerate(obj.get("allowedTopologies") or ()):
            causes += _topology_causes(
                term.get("matchLabelExpressions"), f"allowedTopologies[{i}].matchLabelExpressions"
            )
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return [
            field.forbidden(name, f"updates to {name} are forbidden.")
            for name in _CLASS_FIXED
            if obj.get(name) != old.get(name)
        ]

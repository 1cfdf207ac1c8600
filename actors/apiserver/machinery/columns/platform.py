"""Volumes and their classes, quotas, budgets, autoscalers."""

from typing import Any

from actors.apiserver.machinery.columns.cells import (
    AGE,
    CREATED_AT,
    NAME,
    UNSET,
    WIDE,
    computed,
    number,
    read,
    text,
)
from actors.apiserver.machinery.kinds import autoscaling
from actors.apiserver.machinery.resource import Column

_SHORT_MODES = {
    "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"
}  # fmt: skip
NOT_AVAILABLE = "N/A"


def _modes(path: str) -> Column:
    return computed("Access Modes", lambda obj: ",".join(_SHORT_MODES.get(m, m) for m in read(obj, path, [])))


def _phase(obj: dict) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else read(obj, "status.phase", "")


def _claim(volume: dict) -> str:
    claim = read(volume, "spec.claimRef")
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


PERSISTENT_VOLUME: tuple[Column, ...] = (
    NAME,
    text("Capacity", "spec.capacity.storage", ""),
    _modes("spec.accessModes"),
    text("Reclaim Policy", "spec.persistentVolumeReclaimPolicy", ""),
    computed("Status", _phase),
    computed("Claim", _claim),
    text("StorageClass", "spec.storageClassName", ""),
    text("VolumeAttributesClass", "spec.volumeAttributesClassName", UNSET),
    text("Reason", "status.reason", ""),
    AGE,
    text("VolumeMode", "spec.volumeMode", UNSET, WIDE),
)

PERSISTENT_VOLUME_CLAIM: tuple[Column, ...] = (
    NAME,
    computed("Status", _phase),
    text("Volume", "spec.volumeName", ""),
    computed("Capacity", lambda obj: read(obj, "status.capacity.storage", "") if read(obj, "spec.volumeName") else ""),
    _modes("status.accessModes"),
    text("StorageClass", "spec.storageClassName", ""),
    text("VolumeAttributesClass", "spec.volumeAttributesClassName", UNSET),
    AGE,
    text("VolumeMode", "spec.volumeMode", UNSET, WIDE),
)

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def _class_name(obj: dict) -> str:
    is_default = (obj["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
    return obj["metadata"].get("name", "") + (" (default)" if is_default else "")


STORAGE_CLASS: tuple[Column, ...] = (
    Column("Name", lambda obj, now: _class_name(obj), format="name", description=NAME.description),
    text("Provisioner", "provisioner", ""),
    text("ReclaimPolicy", "reclaimPolicy", "Delete"),
    text("VolumeBindingMode", "volumeBindingMode", "Immediate"),
    computed("AllowVolumeExpansion", lambda obj: bool(obj.get("allowVolumeExpansion"))),
    AGE,
)


def _quota(prefix: str, limits: bool) -> Column:
    def amounts(obj: dict) -> str:
        used, hard = read(obj, "status.used", {}), read(obj, "status.hard", {})
        chosen = [name for name in sorted(hard) if name.startswith("limits.") == limits]
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in chosen)

    return computed(prefix, amounts)


RESOURCE_QUOTA: tuple[Column, ...] = (NAME, _quota("Request", False), _quota("Limit", True), AGE)
LIMIT_RANGE: tuple[Column, ...] = (NAME, CREATED_AT)

POD_DISRUPTION_BUDGET: tuple[Column, ...] = (
    NAME,
    computed("Min Available", lambda obj: str(read(obj, "spec.minAvailable", NOT_AVAILABLE))),
    computed("Max Unavailable", lambda obj: str(read(obj, "spec.maxUnavailable", NOT_AVAILABLE))),
    number("Allowed Disruptions", "status.disruptionsAllowed"),
    AGE,
)


def _value_of(target: dict[str, Any] | None) -> str:
    target = target or {}
    if target.get("averageUtilization") is not None:
        return f"{target['averageUtilization']}%"
    return target.get("averageValue") or target.get("value") or "<auto>"


def _metric_name(part: dict[str, Any]) -> str:
    return part.get("name") or (part.get("metric") or {}).get("name", "")


def _targets(obj: dict) -> str:
    """Return `cpu: 42%/80%` for each metric; what is not measured yet is <unknown>."""
    current = read(obj, "status.currentMetrics", [])
    shown = []
    for i, metric in enumerate(read(obj, "spec.metrics", [])):
        kind = metric.get("type", "")
        part = metric.get(kind[:1].lower() + kind[1:]) or {}
        now = (current[i] if i < len(current) else {}).get(kind[:1].lower() + kind[1:]) or {}
        measured = _value_of(now["current"]) if now.get("current") else "<unknown>"
        shown.append(f"{_metric_name(part)}: {measured}/{_value_of(part.get('target'))}")
    return ", ".join(shown) or "<none>"


def _reference(obj: dict) -> str:
    target = read(obj, "spec.scaleTargetRef", {})
    return f"{target.get('kind')}/{target.get('name')}"


HORIZONTAL_POD_AUTOSCALER: tuple[Column, ...] = (
    NAME,
    computed("Reference", _reference),
    computed("Targets", _targets),
    computed("MinPods", lambda obj: str(read(obj, "spec.minReplicas", UNSET))),
    number("MaxPods", "spec.maxReplicas"),
    number("Replicas", "status.currentReplicas"),
    AGE,
)

HORIZONTAL_POD_AUTOSCALER_V1: tuple[Column, ...] = tuple(
    computed("Targets", lambda obj: _targets(autoscaling.to_stored(obj))) if column.name == "Targets" else column
    for column in HORIZONTAL_POD_AUTOSCALER
)

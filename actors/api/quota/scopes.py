"""Which objects a ResourceQuota with scopes speaks of.

`scopes` and `scopeSelector` are one list of requirements, all of which must hold. Pods know all scopes but
VolumeAttributesClass, which is of PersistentVolumeClaims; no other kind knows any, and no scoped quota speaks of it.
"""

from collections.abc import Mapping
from typing import Any

from actors.api.qos import BEST_EFFORT, qos_class
from actors.api.selectors import from_match

Object = Mapping[str, Any]


def requirements(quota: Object) -> list[Mapping[str, Any]]:
    """Return what a quota's scopes require: scopeName, operator, values."""
    spec = quota.get("spec") or {}
    plain = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    return plain + list((spec.get("scopeSelector") or {}).get("matchExpressions") or ())


def matches(requirement: Object, group_resource: str, obj: Object) -> bool:
    """Does an object fulfil one requirement?"""
    scope = requirement["scopeName"]
    if group_resource == "pods":
        return _pod_matches(requirement, scope, obj)
    if group_resource == "persistentvolumeclaims" and scope == "VolumeAttributesClass":
        names = _volume_attributes_classes(obj)
        if requirement.get("operator") == "Exists":
            return bool(names)
        return any(_selects(requirement, name) for name in names or [""])
    return False


def is_best_effort(pod: Object) -> bool:
    """Does no container, and not the Pod itself, request or limit cpu or memory?"""
    return qos_class(pod.get("spec") or {}) == BEST_EFFORT


def _pod_matches(requirement: Object, scope: str, pod: Object) -> bool:
    spec = pod.get("spec") or {}
    if scope in ("Terminating", "NotTerminating"):
        deadline = spec.get("activeDeadlineSeconds")
        return (deadline is not None and deadline >= 0) == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return is_best_effort(pod) == (scope == "BestEffort")
    if scope == "PriorityClass":
        name = spec.get("priorityClassName") or ""
        return bool(name) if requirement.get("operator") == "Exists" else _selects(requirement, name)
    return scope == "CrossNamespacePodAffinity" and _crosses_namespaces(spec.get("affinity") or {})


def _selects(requirement: Object, value: str) -> bool:
    """Match the requirement as a label selector would match a label of the scope's name; "" is no label."""
    scope = requirement["scopeName"]
    expression = {"key": scope, "operator": requirement.get("operator"), "values": requirement.get("values")}
    return from_match(None, [expression]).matches({scope: value} if value else {})


def _crosses_namespaces(affinity: Object) -> bool:
    for side in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(side) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        for weighted in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            terms.append(weighted.get("podAffinityTerm") or {})
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def _volume_attributes_classes(claim: Object) -> list[str]:
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    named = (
        spec.get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    )
    return [name for name in named if name]

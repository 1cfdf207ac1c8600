"""The scale subresource: a Deployment, ReplicaSet, ReplicationController or StatefulSet as a number of replicas."""

from typing import Any

from actors.api import errors
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.resource import Resource

_OPERATORS = {"In": "in", "NotIn": "notin"}


def to_scale(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
    """Return the autoscaling/v1 Scale of an object."""
    if resource.custom is not None and resource.custom.scale is not None:
        return resource.custom.scale.to_scale(obj)
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {"replicas": status.get("replicas", 0), "selector": selector_text(spec.get("selector"))},
    }


def apply_scale(resource: Resource, obj: dict[str, Any], scale: dict[str, Any]) -> dict[str, Any]:
    """Return the object with the replicas of a Scale, sharing its other parts. ApiError Invalid for a wrong Scale."""
    if resource.custom is not None and resource.custom.scale is not None:
        return resource.custom.scale.apply_scale(obj, scale)
    metadata, replicas = scale.get("metadata") or {}, (scale.get("spec") or {}).get("replicas", 0)
    causes: list[Cause] = field.non_negative("spec.replicas", replicas)
    if metadata.get("name", obj["metadata"]["name"]) != obj["metadata"]["name"]:
        causes.append(field.immutable("metadata.name", metadata["name"]))
    if causes:
        raise errors.invalid("Scale", obj["metadata"]["name"], causes, group="autoscaling")
    changed = {**obj, "spec": {**obj["spec"], "replicas": replicas}, "metadata": dict(obj["metadata"])}
    for name in ("resourceVersion", "uid"):
        if metadata.get(name):
            changed["metadata"][name] = metadata[name]
    return changed


def selector_text(selector: dict[str, Any] | None) -> str:
    """Return a selector as a query writes it: `app=web,tier in (a,b)`. A ReplicationController's is a plain map."""
    if not selector:
        return ""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        key, operator = expression["key"], expression["operator"]
        if operator in _OPERATORS:
            terms.append(f"{key} {_OPERATORS[operator]} ({','.join(sorted(expression.get('values') or ()))})")
        else:
            terms.append(key if operator == "Exists" else f"!{key}")
    return ",".join(terms)

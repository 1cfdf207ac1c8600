"""The scale subresource of a custom resource: three or four paths, of which the schema says where they lead.

Neighbours: `machinery.scale` asks when a resource has its own paths; `resources` makes one for each version.
"""

from typing import Any

from actors.api import errors
from actors.apiserver.extensions.jsonpath import field_steps
from actors.apiserver.machinery import field

_KEPT = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


class CustomScale:
    def __init__(self, source: dict[str, Any]) -> None:
        self._spec = field_steps(source["specReplicasPath"])
        self._status = field_steps(source["statusReplicasPath"])
        self._selector = field_steps(source["labelSelectorPath"]) if source.get("labelSelectorPath") else []

    def to_scale(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Return the autoscaling/v1 Scale of an object. ApiError when it has no number of replicas."""
        replicas = _read(obj, self._spec)
        if replicas is None:
            where = "." + ".".join(self._spec)
            raise errors.internal(f"the spec replicas field {where!r} does not exist".replace("'", '"'))
        status: dict[str, Any] = {"replicas": _number(_read(obj, self._status))}
        selector = _read(obj, self._selector) if self._selector else None
        if selector:
            status["selector"] = selector
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {name: obj["metadata"][name] for name in _KEPT if name in obj["metadata"]},
            "spec": {"replicas": _number(replicas)},
            "status": status,
        }

    def apply_scale(self, obj: dict[str, Any], scale: dict[str, Any]) -> dict[str, Any]:
        """Put the replicas of a Scale into an object that is the caller's own, and return it. ApiError Invalid."""
        metadata, replicas = scale.get("metadata") or {}, (scale.get("spec") or {}).get("replicas", 0)
        causes = field.non_negative("spec.replicas", replicas)
        name = obj["metadata"]["name"]
        if metadata.get("name", name) != name:
            causes.append(field.immutable("metadata.name", metadata["name"]))
        if causes:
            raise errors.invalid("Scale", name, causes, group="autoscaling")
        inner = obj
        for step in self._spec[:-1]:
            inner = inner.setdefault(step, {})
        inner[self._spec[-1]] = replicas
        for given in ("resourceVersion", "uid"):
            if metadata.get(given):
                obj["metadata"][given] = metadata[given]
        return obj


def _read(obj: Any, steps: list[str]) -> Any:
    for step in steps:
        obj = obj.get(step) if type(obj) is dict else None
    return obj


def _number(value: Any) -> int:
    return value if type(value) is int else 0

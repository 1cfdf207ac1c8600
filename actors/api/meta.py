"""Metadata that every role reads and writes: keys, owners, timestamps, conditions."""

import functools
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]


def key_of(obj: Object) -> str:
    """Return `namespace/name`, or `name` of what has no namespace."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else metadata["name"]


def split_key(key: str) -> tuple[str, str]:
    """Return (namespace, name) of a key; the namespace is empty where there is none."""
    namespace, slash, name = key.rpartition("/")
    return (namespace, name) if slash else ("", key)


def rfc3339(wall_s: float) -> str:
    """Return a timestamp as `metav1.Time` is written: UTC, whole seconds."""
    return _rfc3339(int(wall_s))


@functools.lru_cache(maxsize=64)
def _rfc3339(wall_s: int) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(wall_s: float) -> str:
    """Return a timestamp as `metav1.MicroTime` is written."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> float:
    """Return seconds since the epoch of an RFC 3339 timestamp; ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"timestamp {text!r} has no time zone")
    return moment.timestamp()


def now_rfc3339(clock: Any) -> str:
    """Return the wall time of a `runtime.clock.Clock` as a timestamp."""
    return rfc3339(clock.wall())


def owner_reference(owner: Object, *, controller: bool = True) -> Object:
    """Return an OwnerReference to an object; as its controller, deletion of the owner waits for the dependent."""
    metadata = owner["metadata"]
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    if controller:
        reference |= {"controller": True, "blockOwnerDeletion": True}
    return reference


def controller_of(obj: Object) -> Object | None:
    """Return the OwnerReference of the controller that owns an object, if one does."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return reference
    return None


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def object_reference(obj: Object) -> Object:
    """Return an ObjectReference, as an Event's `involvedObject` is one."""
    metadata = obj["metadata"]
    fields = {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "namespace": metadata.get("namespace"),
        "name": metadata.get("name"),
        "uid": metadata.get("uid"),
        "resourceVersion": metadata.get("resourceVersion"),
    }
    return {name: value for name, value in fields.items() if value}


def get_condition(conditions: Iterable[Object] | None, kind: str) -> Object | None:
    """Return the condition of a type."""
    for condition in conditions or ():
        if condition["type"] == kind:
            return condition
    return None


def set_condition(
    conditions: list[Object] | None, kind: str, status: str, reason: str, message: str, now: str
) -> list[Object]:
    """Return the conditions with one set. Its transition time moves only when its status changes."""
    before = get_condition(conditions, kind)
    moved_at = before.get("lastTransitionTime", now) if before and before.get("status") == status else now
    condition = (before or {}) | {"type": kind, "status": status, "lastTransitionTime": moved_at}
    for field, value in (("reason", reason), ("message", message)):
        if value:
            condition[field] = value
        else:
            condition.pop(field, None)
    rest = list(conditions or ())
    if before is None:
        return [*rest, condition]
    return [condition if old is before else old for old in rest]

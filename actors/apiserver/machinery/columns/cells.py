"""Cells that many kinds share: name, age, labels, containers, and how missing values look."""

from collections.abc import Callable, Iterable
from typing import Any

from actors.apiserver.machinery.durations import UNKNOWN, since
from actors.apiserver.machinery.resource import Column
from actors.apiserver.machinery.scale import selector_text

NONE, UNSET = "<none>", "<unset>"
WIDE = 1  # priority of columns that only `-o wide` shows

NAME_HELP = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a "
    "client to request the generation of an appropriate name automatically. Name is primarily intended for creation "
    "idempotence and configuration definition. Cannot be updated."
)
AGE_HELP = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed "
    "to be set in happens-before order across separate operations. Clients may not set this value."
)


def _name(obj: dict, now: float) -> str:
    return obj["metadata"].get("name", "")


def age(obj: dict, now: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def created_at(obj: dict, now: float) -> str:
    return obj["metadata"].get("creationTimestamp", UNKNOWN)


NAME = Column("Name", _name, format="name", description=NAME_HELP)
AGE = Column("Age", age, description=AGE_HELP)
CREATED_AT = Column("Created At", created_at, description=AGE_HELP)


def read(obj: dict, path: str, default: Any = None) -> Any:
    """Return the value at a dotted path; the default when a step is missing."""
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if type(value) is dict else None
        if value is None:
            return default
    return value


def text(name: str, path: str, default: str = NONE, priority: int = 0, description: str = "") -> Column:
    """Return a column of a string field; an empty one shows as the default."""
    return Column(name, lambda obj, now: read(obj, path) or default, priority=priority, description=description)


def number(name: str, path: str, default: int = 0, priority: int = 0, description: str = "") -> Column:
    return Column(
        name, lambda obj, now: read(obj, path, default), type="integer", priority=priority, description=description
    )


def computed(name: str, value: Callable[[dict], Any], priority: int = 0, type: str = "string") -> Column:
    """Return a column whose cell needs no clock."""
    return Column(name, lambda obj, now: value(obj), type=type, priority=priority)


def joined(parts: Iterable[str], empty: str = NONE) -> str:
    return ",".join(parts) or empty


def labels_text(labels: dict[str, str] | None) -> str:
    return joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def template_columns(path: str = "spec.template.spec") -> tuple[Column, Column]:
    """Return the wide columns of a template's containers and their images."""

    def containers(obj: dict) -> list[dict]:
        return read(obj, f"{path}.containers", [])

    return (
        computed("Containers", lambda obj: ",".join(c.get("name", "") for c in containers(obj)), WIDE),
        computed("Images", lambda obj: ",".join(c.get("image", "") for c in containers(obj)), WIDE),
    )


SELECTOR = computed("Selector", lambda obj: selector_text(read(obj, "spec.selector")) or NONE, WIDE)

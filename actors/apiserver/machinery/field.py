"""What is wrong with a field, in the words of Kubernetes' validation.

Each function returns a `Cause`; validation collects them all before it answers. Paths are Kubernetes' own:
`spec.containers[0].image`, `metadata.labels`, `data[key with.dot]`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from actors.api.errors import Cause

MAX_VALUE_CHARS = 1024  # of a bad value quoted in a message; more would drown the message


def required(path: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", "Required value" + (f": {detail}" if detail else ""), path)


def invalid(path: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {shown(value)}: {detail}", path)


def not_supported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    """The value is none of a closed set."""
    names = ", ".join(f'"{name}"' for name in sorted(supported))
    return Cause("FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {names}", path)


def duplicate(path: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {shown(value)}", path)


def forbidden(path: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", path)


def not_found(path: str, value: Any) -> Cause:
    return Cause("FieldValueNotFound", f"Not found: {shown(value)}", path)


def too_long(path: str, limit_bytes: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit_bytes} bytes", path)


def too_many(path: str, actual: int, limit: int) -> Cause:
    return Cause("FieldValueTooMany", f"Too many: {actual}: must have at most {limit} items", path)


def immutable(path: str, value: Any) -> Cause:
    return invalid(path, value, "field is immutable")


def shown(value: Any) -> str:
    """Return a value as a message quotes it: JSON, and cut when it is long."""
    if value is None:
        return "null"
    text = value.decode() if isinstance(value, bytes) else orjson.dumps(value).decode()
    return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "..."


def one_of(path: str, value: Any, supported: Iterable[str]) -> list[Cause]:
    """Return a cause unless the value is in the closed set."""
    return [] if value in supported else [not_supported(path, value, supported)]


def needed_one_of(path: str, value: Any, supported: Iterable[str]) -> list[Cause]:
    """Like `one_of`, and a missing value is a cause of its own."""
    if value in (None, ""):
        return [required(path, "supported values: " + ", ".join(f'"{name}"' for name in sorted(supported)))]
    return one_of(path, value, supported)


def non_negative(path: str, value: int | None) -> list[Cause]:
    if value is not None and value < 0:
        return [invalid(path, value, "must be greater than or equal to 0")]
    return []


def within(path: str, value: int, low: int, high: int) -> list[Cause]:
    if low <= value <= high:
        return []
    return [invalid(path, value, f"must be between {low} and {high}, inclusive")]


def bounded(path: str, items: Sequence[Any], most: int, check: Callable[[Any, str], list[Cause]]) -> list[Cause]:
    """Return what `check` finds in each item; of a list that is too long only that."""
    if len(items) > most:
        return [too_many(path, len(items), most)]
    return [cause for i, item in enumerate(items) for cause in check(item, f"{path}[{i}]")]


def distinct(
    path: str, items: Sequence[Any], most: int, check: Callable[[Any, str], list[Cause]], key: Callable[[Any], Any]
) -> list[Cause]:
    """The same, and no two items may have the same key."""
    causes = bounded(path, items, most, check)
    if len(items) > most:
        return causes
    seen: set[Any] = set()
    for i, item in enumerate(items):
        found = key(item)
        if found in seen:
            causes.append(duplicate(f"{path}[{i}]", found))
        seen.add(found)
    return causes


def messages(path: str, value: Any, details: Iterable[str]) -> list[Cause]:
    """Return one Invalid cause for each detail that a check of `names` returned."""
    return [invalid(path, value, detail) for detail in details] if details else []

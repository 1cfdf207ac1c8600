"""additionalPrinterColumns: a column of `kubectl get` out of a JSONPath.

Neighbours: `jsonpath` finds the values; `machinery.table` asks for cells.
"""

from collections.abc import Callable
from typing import Any

import orjson

from actors.apiserver.extensions.jsonpath import compile_path
from actors.apiserver.machinery.columns.cells import AGE, NAME
from actors.apiserver.machinery.durations import since
from actors.apiserver.machinery.resource import Column

TYPES = ("integer", "number", "string", "boolean", "date")
FORMATS = ("int32", "int64", "float", "double", "byte", "date", "date-time", "password")


def columns_of(version: dict[str, Any]) -> tuple[Column, ...]:
    """Return the columns of a version: the name, and its own; without any, the age."""
    own = version.get("additionalPrinterColumns") or []
    return (NAME, *(_column(source) for source in own)) if own else (NAME, AGE)


def _column(source: dict[str, Any]) -> Column:
    kind = source["type"]
    return Column(
        source["name"],
        _cell(source["jsonPath"], kind),
        type=kind,
        format=source.get("format", ""),
        description=source.get("description", ""),
        priority=source.get("priority", 0),
    )


def _cell(path: str, kind: str) -> Callable[[dict[str, Any], float], Any]:
    find: Callable[[Any], list[Any]] | None = None

    def cell(obj: dict[str, Any], now: float) -> Any:
        nonlocal find
        if find is None:
            find = compile_path(path)
        found = find(obj)
        return _shown(found, kind, now) if found else None

    return cell


def _shown(found: list[Any], kind: str, now: float) -> Any:
    """The cell of the values at a path: the first, or for strings all of them."""
    first = found[0]
    if kind == "integer":
        return int(first) if type(first) in (int, float) else None
    if kind == "number":
        return float(first) if type(first) in (int, float) else None
    if kind == "boolean":
        return first if type(first) is bool else None
    if kind == "date":
        return since(first, now) if type(first) is str else "<unknown>"
    return ",".join(_text(one) for one in found)


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    return "" if value is None else orjson.dumps(value).decode()

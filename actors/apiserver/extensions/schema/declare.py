"""A structural schema as CEL sees it: declared types for the checker and estimator, and the conversion of values.

Strings of the formats date, date-time and duration are timestamps and durations there, those of format byte are bytes,
and numbers are floating-point whatever JSON wrote. Property names that are no identifiers are escaped. Where nothing of
this occurs, which is nearly everywhere, values go into CEL as they are.

Neighbours: `rules` uses both; `actors.apiserver.cel.declared` has the types.
"""

import base64
import datetime
from collections.abc import Callable
from typing import Any

from actors.apiserver.cel import declared
from actors.apiserver.cel.declared import ANYTHING, Declared
from actors.apiserver.cel.environment import DURATION, TIMESTAMP
from actors.apiserver.extensions.schema import formats
from actors.apiserver.extensions.schema.node import Node

Convert = Callable[[Any], Any]

_TYPES = {"integer": declared.INT, "number": declared.DOUBLE, "boolean": declared.BOOL}
_STRING_KINDS = {
    "date": declared.TIMESTAMP,
    "date-time": declared.TIMESTAMP,
    "duration": declared.DURATION,
    "byte": declared.BYTES,
}
_NAMES_ONLY = Declared(
    declared.OBJECT, fields={"name": Declared(declared.STRING, 253), "generateName": Declared(declared.STRING, 253)}
)
_TYPE_META = {
    "apiVersion": Declared(declared.STRING, 253 + 64),
    "kind": Declared(declared.STRING, 63),
    "metadata": _NAMES_ONLY,
}


def declare(node: Node) -> Declared:
    """Return what expressions may know of a node's values."""
    if node.nullable or node.wanted in ("", "integer,string"):
        return ANYTHING if node.wanted in ("", "integer,string") else _nullable(node)
    return _declare(node)


def _nullable(node: Node) -> Declared:
    inner = _declare(node)
    if inner.kind in (declared.OBJECT, declared.LIST, declared.MAP):
        return inner
    return Declared(declared.DYN, inner.max_size, inner.smallest_bytes)


def _declare(node: Node) -> Declared:
    schema = node.schema
    if node.wanted == "string":
        return _declare_string(schema)
    if node.wanted in _TYPES:
        return Declared(_TYPES[node.wanted], 1)
    if node.wanted == "array":
        element = declare(node.items) if node.items is not None else ANYTHING
        return declared.list_of(element, schema.get("maxItems"))
    if isinstance(node.additional, Node) or node.additional is True:
        element = declare(node.additional) if isinstance(node.additional, Node) else ANYTHING
        return declared.map_of(element, schema.get("maxProperties"))
    if node.preserve and not node.properties and not node.embedded:
        return ANYTHING
    fields = {declared.escape(name): declare(one) for name, one in node.properties.items()}
    fields.pop("", None)
    if node.root or node.embedded:
        fields |= _TYPE_META
    required = [declare(node.properties[name]) for name in node.required if name in node.properties]
    smallest = 2 + sum(one.smallest_bytes + 6 for one in required)
    return Declared(declared.OBJECT, smallest_bytes=smallest, fields=fields)


def _declare_string(schema: Any) -> Declared:
    kind = _STRING_KINDS.get(schema.get("format", ""), declared.STRING)
    if kind in (declared.TIMESTAMP, declared.DURATION):
        return Declared(kind, 32, 4)
    longest = schema.get("maxLength")
    if schema.get("enum"):
        longest = max((len(one) for one in schema["enum"] if isinstance(one, str)), default=0)
    most = declared.MAX_REQUEST_BYTES if longest is None else longest
    return Declared(kind, most, 2 + (schema.get("minLength") or 0))


def converter(node: Node) -> Convert | None:
    """Return what makes a node's values CEL's; None when they are already."""
    if node.wanted == "string":
        return _CONVERT_STRING.get(node.schema.get("format", ""))
    if node.wanted == "number":
        return lambda value: float(value) if type(value) is int else value
    if node.wanted == "array" and node.items is not None:
        item = converter(node.items)
        return None if item is None else lambda value: _each(value, item)
    if isinstance(node.additional, Node):
        inner = converter(node.additional)
        return None if inner is None else lambda value: _each_value(value, inner)
    if node.properties:
        return _object_converter(node)
    return None


def _object_converter(node: Node) -> Convert | None:
    renamed = {name: declared.escape(name) for name in node.properties if declared.escape(name) not in ("", name)}
    inner = {name: change for name, one in node.properties.items() if (change := converter(one)) is not None}
    if not renamed and not inner:
        return None

    def convert(value: Any) -> Any:
        if type(value) is not dict:
            return value
        made = {}
        for name, part in value.items():
            change = inner.get(name)
            made[renamed.get(name, name)] = part if change is None or part is None else change(part)
        return made

    return convert


def _each(value: Any, convert: Convert) -> Any:
    return [None if part is None else convert(part) for part in value] if type(value) is list else value


def _each_value(value: Any, convert: Convert) -> Any:
    if type(value) is not dict:
        return value
    return {name: None if part is None else convert(part) for name, part in value.items()}


def _date(value: Any) -> Any:
    day = datetime.datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=datetime.UTC)
    return TIMESTAMP(seconds=int(day.timestamp()))


def _date_time(value: Any) -> Any:
    made = TIMESTAMP()
    made.FromDatetime(formats.parse_date_time(value))
    return made


def _duration(value: Any) -> Any:
    return DURATION(seconds=(ns := formats.duration_ns(value)) // 10**9, nanos=ns % 10**9)


def _tolerant(convert: Convert) -> Convert:
    """A text that has not its format stays what it is: validation has said so already, or it was so before."""

    def converted(value: Any) -> Any:
        try:
            return convert(value)
        except (ValueError, TypeError):
            return value

    return converted


_CONVERT_STRING: dict[str, Convert] = {
    "date": _tolerant(_date),
    "date-time": _tolerant(_date_time),
    "duration": _tolerant(_duration),
    "byte": _tolerant(base64.b64decode),
}

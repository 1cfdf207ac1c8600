"""A structural schema as CEL sees it: declared types for the checker and estimator, and the conversion of values.

Strings of the formats date, date-time and duration are timestamps and durations there, those of format byte are bytes,
and numbers are floating-point whatever JSON wrote. Lists of type set and map are equal in any order. A null where a
property may be null is as if it were not there. Property names that are no identifiers are escaped. Where nothing of
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
from actors.apiserver.cel.values import MapList, SetList
from actors.apiserver.extensions.schema import formats
from actors.apiserver.extensions.schema.node import Node

Convert = Callable[[Any], Any]

_SCALARS = {
    "integer": Declared(declared.INT, smallest_bytes=1),
    "number": Declared(declared.DOUBLE, smallest_bytes=1),
    "boolean": Declared(declared.BOOL, smallest_bytes=len("true")),
}
_FORMATTED = {  # with the longest and the shortest text of the format, in quotes
    "date": Declared(declared.TIMESTAMP, len('"2006-01-02"'), len('"2006-01-02"')),
    "date-time": Declared(declared.TIMESTAMP, 32, len('"2006-01-02T15:04:05"')),
    "duration": Declared(declared.DURATION, 32, len('"0"')),
}
_BYTES_OF_CHARACTER = 4  # at most, which counts as what a string's length is bounded by
_TYPE_META = {
    "apiVersion": declared.ANY_STRING,
    "kind": declared.ANY_STRING,
    "metadata": Declared(
        declared.OBJECT,
        smallest_bytes=2,
        fields={"name": declared.ANY_STRING, "generateName": declared.ANY_STRING},
    ),
}


def declare(node: Node) -> Declared:
    """Return what expressions may know of a node's values."""
    schema = node.schema
    if node.wanted == "integer,string":
        longest = schema.get("maxLength")
        return ANYTHING if longest is None else Declared(declared.DYN, max(longest, 0) * _BYTES_OF_CHARACTER)
    if node.wanted == "":
        return ANYTHING
    if node.wanted == "string":
        return _declare_string(schema)
    if node.wanted in _SCALARS:
        return _SCALARS[node.wanted]
    if node.wanted == "array":
        element = declare(node.items) if node.items is not None else ANYTHING
        return declared.list_of(element, schema.get("maxItems"))
    if isinstance(node.additional, Node) or node.additional is True:
        element = declare(node.additional) if isinstance(node.additional, Node) else ANYTHING
        return declared.map_of(element, schema.get("maxProperties"))
    if node.preserve and not node.properties and not node.embedded:
        return ANYTHING
    return _declare_object(node)


def _declare_object(node: Node) -> Declared:
    fields: dict[str, Declared] = {}
    smallest = len("{}")
    for name, one in node.properties.items():
        made = declare(one)
        if escaped := declared.escape(name):
            fields[escaped] = made
        if name in node.required and not one.default_bytes:
            smallest += len(name) + made.smallest_bytes + len('"":,')
    if node.root or node.embedded:
        fields |= _TYPE_META
    return Declared(declared.OBJECT, smallest_bytes=smallest, fields=fields)


def _declare_string(schema: Any) -> Declared:
    kind, longest = schema.get("format", ""), schema.get("maxLength")
    if kind in _FORMATTED:
        return _FORMATTED[kind]
    if kind == "byte":
        most = declared.ANY_STRING.max_size if longest is None else max(longest, 0)
        return Declared(declared.BYTES, most, declared.ANY_STRING.smallest_bytes)
    if longest is not None:
        most = max(longest, 0) * _BYTES_OF_CHARACTER
    elif schema.get("enum"):
        most = max((len(one.encode()) for one in schema["enum"] if isinstance(one, str)), default=0)
    else:
        return declared.ANY_STRING
    return Declared(declared.STRING, most, declared.ANY_STRING.smallest_bytes)


def converter(node: Node) -> Convert | None:
    """Return what makes a node's values CEL's; None when they are already."""
    if node.wanted == "string":
        return _CONVERT_STRING.get(node.schema.get("format", ""))
    if node.wanted == "number":
        return lambda value: float(value) if type(value) is int else value
    if node.wanted == "array" and node.items is not None:
        return _list_converter(node, converter(node.items))
    if isinstance(node.additional, Node):
        inner = converter(node.additional)
        return None if inner is None else lambda value: _each_value(value, inner)
    if node.properties:
        return _object_converter(node)
    return None


def _list_converter(node: Node, item: Convert | None) -> Convert | None:
    """Sets and maps of lists are equal in any order. A map's keys are those of the items as they come out of it."""
    made: Convert | None = None
    if node.list_type == "set":
        made = _as_set
    elif node.list_type == "map":
        keys = tuple(declared.escape(key) or key for key in node.list_keys)

        def made(value: Any) -> Any:
            return MapList(value, lambda part: _identity(part, keys)) if isinstance(value, list) else value

    if item is None:
        return made
    if made is None:
        return lambda value: _each(value, item)
    return lambda value: made(_each(value, item))


def _as_set(value: Any) -> Any:
    return SetList(value) if isinstance(value, list) else value


def _identity(part: Any, keys: tuple[str, ...]) -> Any:
    return tuple(str(part.get(key)) for key in keys) if type(part) is dict else ()


def _object_converter(node: Node) -> Convert | None:
    """A property that may be null and is counts as one that is not there."""
    renamed = {name: declared.escape(name) for name in node.properties if declared.escape(name) not in ("", name)}
    inner = {name: change for name, one in node.properties.items() if (change := converter(one)) is not None}
    nullable = frozenset(name for name, one in node.properties.items() if one.nullable)
    if not renamed and not inner and not nullable:
        return None

    def convert(value: Any) -> Any:
        if type(value) is not dict:
            return value
        made = {}
        for name, part in value.items():
            if part is None and name in nullable:
                continue
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

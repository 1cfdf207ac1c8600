"""CEL's values, as Python has them: JSON's, bytes, Protobuf's Timestamp and Duration, opaque messages, and these.

Equality is CEL's: numbers of different types are equal where their values are, true is not 1, and a list that a schema
calls a set, or a map by keys, is equal in any order. Sizes are what `size()` says; what has none has size 1.

Neighbours: `interpreter` and `operators` work on them; `extensions.schema.declare` makes sets and maps of lists.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cel_expr_python import cel
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


class Uint(int):
    """An unsigned integer, which JSON cannot say: `1u`, `uint(1)`."""

    __slots__ = ()


class SetList(list):
    """A list of type set: equal in any order; `+` is the union."""

    __slots__ = ()


class MapList(list):
    """A list of type map: equal in any order; `+` lets the second list's items take the places of the first's."""

    __slots__ = ("key_of",)

    def __init__(self, items: list[Any], key_of: Callable[[Any], bytes]) -> None:
        super().__init__(items)
        self.key_of = key_of


class Optional:
    """A value that may be missing."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


MISSING: Any = object()
NONE = Optional(MISSING)


class TypeOf:
    """A type as a value: `type(1)`, `int`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Lookup:
    """A value with members that are made when they are looked at: a policy's variables."""

    def member(self, name: str) -> Any:
        """Return a member, or MISSING. Raises CelError."""
        raise NotImplementedError

    def has(self, name: str) -> bool:
        raise NotImplementedError


_TYPE_NAMES: dict[type, str] = {
    bool: "bool", int: "int", Uint: "uint", float: "double", str: "string", bytes: "bytes", type(None): "null_type",
    list: "list", SetList: "list", MapList: "list", dict: "map", Optional: "optional_type", TypeOf: "type",
}  # fmt: skip
_BY_KIND = {
    "BOOL": "bool", "INT": "int", "UINT": "uint", "DOUBLE": "double", "STRING": "string", "BYTES": "bytes",
    "NULL": "null_type", "LIST": "list", "MAP": "map", "TYPE": "type", "TIMESTAMP": "google.protobuf.Timestamp",
    "DURATION": "google.protobuf.Duration",
}  # fmt: skip


def type_of(value: Any) -> TypeOf:
    name = _TYPE_NAMES.get(type(value))
    if name is None:
        name = value.DESCRIPTOR.full_name if isinstance(value, Message) else type(value).__name__
    return TypeOf(name)


def same(one: Any, other: Any) -> bool:
    """CEL's equality, of any two values."""
    if one is other:
        return bool(one == other)  # NaN is not itself
    kind = type(one)
    if kind is str or kind is bytes or kind is bool:
        return kind is type(other) and one == other
    if kind is int or kind is float or kind is Uint:
        return type(other) in (int, float, Uint) and one == other
    if isinstance(one, list):
        return isinstance(other, list) and _same_lists(one, other)
    if kind is dict:
        return (
            type(other) is dict
            and len(one) == len(other)
            and all(key in other and same(part, other[key]) for key, part in one.items())
        )
    if kind is Optional:
        return type(other) is Optional and same(one.value, other.value)
    if kind is TypeOf:
        return type(other) is TypeOf and one.name == other.name
    return kind is type(other) and one == other


def _same_lists(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    keyed = one if isinstance(one, MapList) else other
    if isinstance(keyed, MapList):
        others = {keyed.key_of(item): item for item in other}
        return all((key := keyed.key_of(item)) in others and same(item, others[key]) for item in one)
    if isinstance(one, SetList) or isinstance(other, SetList):
        return all(contains(other, item) for item in one)
    return all(same(a, b) for a, b in zip(one, other, strict=True))


def contains(items: list[Any], wanted: Any) -> bool:
    if type(wanted) is str:
        return wanted in items
    return any(same(item, wanted) for item in items)


def joined(one: list[Any], other: list[Any]) -> list[Any]:
    """Return the sum of two lists."""
    if isinstance(one, MapList):
        later = {one.key_of(item): item for item in other}
        kept = [later.pop(one.key_of(item), item) for item in one]
        return MapList([*kept, *later.values()], one.key_of)
    if isinstance(one, SetList):
        return SetList([*one, *(item for item in other if not contains(one, item))])
    return [*one, *other]


def size_of(value: Any) -> int:
    """What an operation that goes through a value meets: characters, bytes, items, entries; 1 for all else."""
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    return 1


def plain(value: Any) -> Any:
    """Return a value that the library's evaluator has made as one of these."""
    if isinstance(value, datetime):
        moment = Timestamp()
        moment.FromDatetime(value.astimezone(UTC) if value.tzinfo else value)
        return moment
    if isinstance(value, timedelta):
        span = Duration()
        span.FromTimedelta(value)
        return span
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): plain(part) for key, part in value.items()}
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, cel.Type):
        return TypeOf(_BY_KIND.get(value.name(), value.name()))
    return value


def exposed(value: Any) -> Any:
    """Return a result as whoever asked expects it: times as Python's, without what only CEL has."""
    if isinstance(value, list):
        return [exposed(item) for item in value]
    if type(value) is dict:
        return {key: exposed(part) for key, part in value.items()}
    if type(value) is Optional:
        return None if value.value is MISSING else exposed(value.value)
    if isinstance(value, Timestamp):
        return value.ToDatetime(tzinfo=UTC)
    if isinstance(value, Duration):
        return value.ToTimedelta()
    return value

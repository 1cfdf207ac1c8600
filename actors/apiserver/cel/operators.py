"""The language's own operators and the functions that most expressions use, on Python's values.

All else is the library's (`delegating`). An integer has 64 bits; what leaves them is an error, as everywhere in CEL.

Neighbours: `interpreter` calls; `values` says what is equal.
"""

import math
import re
import string
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from actors.apiserver.cel.errors import EvaluationError, no_such_overload
from actors.apiserver.cel.values import (
    MISSING,
    NONE,
    Optional,
    TypeOf,
    Uint,
    contains,
    joined,
    same,
    type_of,
)
from actors.apiserver.patterns import BadPattern, compile_pattern

Function = Callable[..., Any]

_LARGEST, _SMALLEST, _LARGEST_UINT = 2**63 - 1, -(2**63), 2**64 - 1
_NUMBERS = frozenset({int, float, Uint})
_NANOS = 10**9
_UNITS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": _NANOS, "m": 60 * _NANOS, "h": 3600 * _NANOS,
    "": 0,
}  # fmt: skip
_DURATION = re.compile(
    r"([-+]?)(?:0|(?:(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII
).fullmatch
_DURATION_PARTS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|)", re.ASCII).findall


def _checked(value: int, like: Any) -> int:
    if type(like) is Uint:
        if not 0 <= value <= _LARGEST_UINT:
            raise EvaluationError("unsigned integer overflow")
        return Uint(value)
    if not _SMALLEST <= value <= _LARGEST:
        raise EvaluationError("integer overflow")
    return value


def _whole_pair(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (type(one) is int or type(one) is Uint)


def nanos_of(value: Any) -> int:
    return value.seconds * _NANOS + value.nanos


def _made(kind: Any, nanos: int) -> Any:
    seconds, rest = divmod(nanos, _NANOS)
    if kind is Duration and seconds < 0 and rest:
        seconds, rest = seconds + 1, rest - _NANOS
    return kind(seconds=seconds, nanos=rest)


def add(one: Any, other: Any) -> Any:
    kind = type(one)
    if _whole_pair(one, other):
        return _checked(int(one) + int(other), one)
    if kind is type(other) and kind in (float, str, bytes):
        return one + other
    if isinstance(one, list) and isinstance(other, list):
        return joined(one, other)
    times = {kind, type(other)}
    if times == {Timestamp, Duration} or times == {Duration}:
        return _made(Timestamp if Timestamp in times else Duration, nanos_of(one) + nanos_of(other))
    raise no_such_overload("_+_", one, other)


def subtract(one: Any, other: Any) -> Any:
    if _whole_pair(one, other):
        return _checked(int(one) - int(other), one)
    kinds = type(one), type(other)
    if kinds == (float, float):
        return one - other
    if kinds in ((Timestamp, Timestamp), (Duration, Duration), (Timestamp, Duration)):
        return _made(Timestamp if kinds == (Timestamp, Duration) else Duration, nanos_of(one) - nanos_of(other))
    raise no_such_overload("_-_", one, other)


def multiply(one: Any, other: Any) -> Any:
    if _whole_pair(one, other):
        return _checked(int(one) * int(other), one)
    if type(one) is float and type(other) is float:
        return one * other
    raise no_such_overload("_*_", one, other)


def divide(one: Any, other: Any) -> Any:
    if _whole_pair(one, other):
        if other == 0:
            raise EvaluationError("division by zero")
        found = abs(int(one)) // abs(int(other))
        return _checked(found if (one < 0) == (other < 0) else -found, one)
    if type(one) is float and type(other) is float:
        if other == 0:
            return math.nan if one == 0 or math.isnan(one) else math.copysign(math.inf, one) * math.copysign(1, other)
        return one / other
    raise no_such_overload("_/_", one, other)


def modulo(one: Any, other: Any) -> Any:
    if not _whole_pair(one, other):
        raise no_such_overload("_%_", one, other)
    if other == 0:
        raise EvaluationError("modulus by zero")
    found = abs(int(one)) % abs(int(other))
    return _checked(found if one >= 0 else -found, one)


def negate(value: Any) -> Any:
    if type(value) is int:
        return _checked(-value, value)
    if type(value) is float:
        return -value
    raise no_such_overload("-_", value)


def not_(value: Any) -> bool:
    if type(value) is not bool:
        raise no_such_overload("!_", value)
    return not value


def _ordered(name: str, of: Callable[[Any, Any], bool]) -> Function:
    def compare(one: Any, other: Any) -> bool:
        kind, kind_of_other = type(one), type(other)
        if kind in _NUMBERS and kind_of_other in _NUMBERS:
            return of(one, other)
        if kind is kind_of_other:
            if kind in (str, bytes, bool):
                return of(one, other)
            if kind in (Timestamp, Duration):
                return of(nanos_of(one), nanos_of(other))
        raise no_such_overload(name, one, other)

    return compare


def in_(wanted: Any, within: Any) -> bool:
    if isinstance(within, list):
        return contains(within, wanted)
    if type(within) is dict:
        return _is_key(wanted) and wanted in within and (type(wanted) is not bool or _has_bool(within, wanted))
    raise no_such_overload("@in", wanted, within)


def _is_key(value: Any) -> bool:
    return type(value) in (str, int, bool, Uint, float)


def _has_bool(within: dict[Any, Any], wanted: bool) -> bool:
    return any(key is wanted for key in within)


def size(value: Any) -> int:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise no_such_overload("size", value)


def _of_texts(name: str, of: Callable[[str, str], bool]) -> Function:
    def called(one: Any, other: Any) -> bool:
        if type(one) is str and type(other) is str:
            return of(one, other)
        raise no_such_overload(name, one, other)

    return called


def _matches(text: str, pattern: str) -> bool:
    try:
        return compile_pattern(pattern).search(text) is not None
    except BadPattern as error:
        raise EvaluationError(f"error parsing regexp: {error}") from error


def _split(text: Any, separator: Any) -> list[str]:
    if type(text) is not str or type(separator) is not str:
        raise no_such_overload("split", text, separator)
    return text.split(separator) if separator else list(text)


def _join(items: Any, separator: Any = "") -> str:
    if not isinstance(items, list) or type(separator) is not str or any(type(item) is not str for item in items):
        raise no_such_overload("join", items, separator)
    return separator.join(items)


_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def _translated(name: str, table: dict[int, int]) -> Function:
    def called(text: Any) -> str:
        if type(text) is not str:
            raise no_such_overload(name, text)
        return text.translate(table)

    return called


def _timestamp(value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value
    if type(value) is int:
        return Timestamp(seconds=value)
    made = Timestamp()
    try:
        made.FromJsonString(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise EvaluationError(f"type conversion error from {type_of(value).name} to 'timestamp'") from error
    return made


def _duration(value: Any) -> Any:
    if isinstance(value, Duration):
        return value
    if type(value) is not str or (found := _DURATION(value)) is None:
        raise EvaluationError(f"type conversion error from {type_of(value).name} to 'duration'")
    parts = _DURATION_PARTS(value)
    nanos = int(sum(Decimal(number) * _UNITS[unit] for number, unit in parts))
    if nanos > _LARGEST:
        raise EvaluationError("range")
    return _made(Duration, -nanos if found[1] == "-" else nanos)


def _optional_of(value: Any) -> Optional:
    return Optional(value)


def _of_non_zero(value: Any) -> Optional:
    is_zero = value is None or (isinstance(value, bool | int | float | str | bytes | list | dict) and not value)
    return NONE if is_zero else Optional(value)


def _value(option: Any) -> Any:
    if type(option) is not Optional:
        raise no_such_overload("value", option)
    if option.value is MISSING:
        raise EvaluationError("optional.none() dereference")
    return option.value


def _has_value(option: Any) -> bool:
    if type(option) is not Optional:
        raise no_such_overload("hasValue", option)
    return option.value is not MISSING


def _type_of(value: Any) -> TypeOf:
    return type_of(value)


NATIVE: Mapping[tuple[str, int], Function] = {
    ("_==_", 2): same,
    ("_!=_", 2): lambda one, other: not same(one, other),
    ("_<_", 2): _ordered("_<_", lambda a, b: a < b),
    ("_<=_", 2): _ordered("_<=_", lambda a, b: a <= b),
    ("_>_", 2): _ordered("_>_", lambda a, b: a > b),
    ("_>=_", 2): _ordered("_>=_", lambda a, b: a >= b),
    ("_+_", 2): add,
    ("_-_", 2): subtract,
    ("_*_", 2): multiply,
    ("_/_", 2): divide,
    ("_%_", 2): modulo,
    ("-_", 1): negate,
    ("!_", 1): not_,
    ("@in", 2): in_,
    ("size", 1): size,
    ("startsWith", 2): _of_texts("startsWith", str.startswith),
    ("endsWith", 2): _of_texts("endsWith", str.endswith),
    ("contains", 2): _of_texts("contains", str.__contains__),
    ("matches", 2): _of_texts("matches", _matches),
    ("type", 1): _type_of,
    ("dyn", 1): lambda value: value,
    ("timestamp", 1): _timestamp,
    ("split", 2): _split,
    ("join", 1): _join,
    ("join", 2): _join,
    ("lowerAscii", 1): _translated("lowerAscii", _LOWER),
    ("upperAscii", 1): _translated("upperAscii", _UPPER),
    ("duration", 1): _duration,
    ("optional.of", 1): _optional_of,
    ("optional.none", 0): lambda: NONE,
    ("optional.ofNonZeroValue", 1): _of_non_zero,
    ("value", 1): _value,
    ("hasValue", 1): _has_value,
}

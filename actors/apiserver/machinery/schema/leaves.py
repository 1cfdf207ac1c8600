"""The leaf types of Kubernetes objects: what passes at once, and how the rest is brought into form or refused.

A leaf has two halves. `fits(value)` is quick and says that the value is right and already in the form in which it is
stored. `conform(value, path)` returns the stored form of anything acceptable (a quantity made canonical, a time in
UTC), or raises `Mistyped` with the words of Go's decoder.

Neighbours: `shapes` composes leaves into structs, lists and maps.
"""

import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from actors.apiserver.machinery import quantities

INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)

_GO_KIND: dict[type, str] = {str: "string", int: "number", float: "number", bool: "bool", list: "array", dict: "object"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").fullmatch
_MICROTIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z").fullmatch
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)").fullmatch


class Mistyped(ValueError):
    """A value of the wrong type. The message lacks the `STRUCT.path` part until a struct adds it with `at`."""

    def __init__(self, message: str, wants_path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.wants_path = wants_path

    def at(self, struct: str, path: str) -> str:
        """Return the whole message for a field of a struct."""
        if not self.wants_path:
            return self.message
        where = f"Go struct field {struct}.{path}" if path else "Go value"
        return f"json: cannot unmarshal {self.message} into {where} of type {self.wants_path}"


def mistyped(value: Any, go_type: str) -> Mistyped:
    """Return the error for a value that is not of the type that Go would want."""
    kind = _GO_KIND.get(type(value), "null")
    if kind == "number" and go_type not in ("string", "bool") and not go_type.startswith(("[", "map", "v1.")):
        return Mistyped(f"number {value}", go_type)
    return Mistyped(kind, go_type)


class Leaf:
    """A type without parts. `zero` is what Go keeps for a null inside a list or a map."""

    __slots__ = ("conform", "exact", "fits", "name", "zero")

    def __init__(
        self,
        name: str,
        zero: Any,
        fits: Callable[[Any], bool],
        conform: Callable[[Any], Any],
        exact: type | None = None,
    ) -> None:
        self.name = name
        self.zero = zero
        self.fits = fits
        self.conform = conform
        self.exact = exact  # when being of this Python type is all it takes


def _exactly(kind: type, go_type: str) -> Callable[[Any], Any]:
    def conform(value: Any) -> Any:
        if type(value) is not kind:
            raise mistyped(value, go_type)
        return value

    return conform


def _integer(bounds: range, go_type: str) -> tuple[Callable[[Any], bool], Callable[[Any], Any]]:
    low, high = bounds.start, bounds.stop

    def fits(value: Any) -> bool:
        return type(value) is int and low <= value < high

    def conform(value: Any) -> Any:
        if not fits(value):
            raise mistyped(value, go_type)
        return value

    return fits, conform


def _double_fits(value: Any) -> bool:
    return type(value) is float or type(value) is int


def _conform_double(value: Any) -> Any:
    if not _double_fits(value):
        raise mistyped(value, "float64")
    return value


def _intstr_fits(value: Any) -> bool:
    return type(value) is str or (type(value) is int and value in INT32)


def _conform_intstr(value: Any) -> Any:
    if not _intstr_fits(value):
        raise mistyped(value, "intstr.IntOrString" if type(value) is not int else "int32")
    return value


def _bytes_fit(value: Any) -> bool:
    if type(value) is not str:
        return False
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        return False
    return len(value) % 4 == 0


def _conform_bytes(value: Any) -> str:
    if type(value) is not str:
        raise mistyped(value, "[]uint8")
    joined = value.replace("\n", "").replace("\r", "")
    if not _bytes_fit(joined):
        raise Mistyped(f"illegal base64 data at input byte {_first_bad_byte(joined)}")
    return joined


def _first_bad_byte(text: str) -> int:
    found = re.search(r"[^A-Za-z0-9+/=]|=(?!=?$)", text)
    return found.start() if found else len(text) - len(text) % 4


def _quantity_fits(value: Any) -> bool:
    try:
        return type(value) is str and quantities.canonical(value) == value
    except quantities.BadQuantity:
        return False


def _conform_quantity(value: Any) -> str:
    if type(value) not in (str, int, float):
        raise mistyped(value, "resource.Quantity")
    try:
        return quantities.canonical(value if type(value) is str else repr(value))
    except quantities.BadQuantity as error:
        raise Mistyped(str(error)) from error


def parse_time(value: Any) -> datetime:
    """Return a moment in UTC. Raises Mistyped."""
    if type(value) is not str:
        raise mistyped(value, "v1.Time")
    if not _RFC3339(value):
        layout = "2006-01-02T15:04:05Z07:00"
        raise Mistyped(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"')
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Mistyped(f'parsing time "{value}": out of range') from error


def _is_moment(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _time_fits(value: Any) -> bool:
    return type(value) is str and _TIME(value) is not None and _is_moment(value)


def _conform_time(value: Any) -> str:
    return parse_time(value).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _microtime_fits(value: Any) -> bool:
    return type(value) is str and _MICROTIME(value) is not None and _is_moment(value)


def _conform_microtime(value: Any) -> str:
    return parse_time(value).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _anything(value: Any) -> bool:
    return True


_I32, _CONFORM_I32 = _integer(INT32, "int32")
_I64, _CONFORM_I64 = _integer(INT64, "int64")

LEAVES: dict[str, Leaf] = {
    leaf.name: leaf
    for leaf in (
        Leaf("string", "", lambda v: type(v) is str, _exactly(str, "string"), str),
        Leaf("bool", False, lambda v: type(v) is bool, _exactly(bool, "bool"), bool),
        Leaf("int32", 0, _I32, _CONFORM_I32),
        Leaf("int64", 0, _I64, _CONFORM_I64),
        Leaf("double", 0, _double_fits, _conform_double),
        Leaf("intstr", 0, _intstr_fits, _conform_intstr),
        Leaf("bytes", None, _bytes_fit, _conform_bytes),
        Leaf("quantity", "0", _quantity_fits, _conform_quantity),
        Leaf("time", None, _time_fits, _conform_time),
        Leaf("microtime", None, _microtime_fits, _conform_microtime),
        Leaf("any", None, _anything, lambda v: v),
    )
}

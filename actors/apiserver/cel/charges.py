"""What a call costs, by what it was called with.

Kubernetes' figures: those of its own functions, and cel-go's of the standard ones. A call whose meaning is not known
before it is made, as where a value is of dynamic type, costs 1 whatever it goes through; rules of custom resources
have types, so there a call is charged by its values.

`validate` has its format's longest pattern in Kubernetes; those of four formats (uri, uuid, byte, datetime) are near.

Source: apiserver/pkg/cel/library, google/cel-go. Neighbours: `interpreter` charges; `estimates` estimates.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any

from actors.apiserver.cel import opaque
from actors.apiserver.cel.values import size_of

PER_CHARACTER = 0.1  # of a string that is gone through
REGEX_FACTOR = 0.25  # of each character of a pattern
LIST, MAP, STRUCT = 10, 30, 40  # of making one
CHECK = 350_000  # of asking the authorizer: two fit into what an expression may cost
PER_REQUIREMENT = 50  # of a selector: a requirement's struct and its list of values

Charge = Callable[[Sequence[Any], Any], int]

_PATTERN_SIZES = {
    "dns1123Label": 30, "dns1123Subdomain": 60, "dns1035Label": 30, "qualifiedName": 60, "dns1123LabelPrefix": 30,
    "dns1123SubdomainPrefix": 60, "dns1035LabelPrefix": 30, "labelValue": 40, "uri": 1_000, "uuid": 140, "byte": 80,
    "date": 130, "datetime": 130,
}  # fmt: skip


def through(size: int, times: int = 1) -> int:
    """What going through so many characters costs."""
    return ceil(size * times * PER_CHARACTER)


def traversal(value: Any) -> int:
    """What going through a value and all that is in it costs."""
    if isinstance(value, str):
        return int(len(value.encode()) * PER_CHARACTER)
    if isinstance(value, bytes):
        return int(len(value) * PER_CHARACTER)
    if isinstance(value, list):
        return sum(map(traversal, value))
    if isinstance(value, dict):
        return sum(traversal(key) + traversal(part) for key, part in value.items())
    return 1


def pattern(text: int, size: int) -> int:
    """What matching a text of this length with a pattern of this size costs."""
    return ceil((1 + text) * PER_CHARACTER) * ceil(size * REGEX_FACTOR)


def _first(args: Sequence[Any], result: Any) -> int:
    return through(size_of(args[0]))


def _twice(args: Sequence[Any], result: Any) -> int:
    return through(size_of(args[0]), 2)


def _traversed(args: Sequence[Any], result: Any) -> int:
    return traversal(args[0]) if args else 1


def _smaller(args: Sequence[Any], result: Any) -> int:
    return through(min(size_of(args[0]), size_of(args[1])))


def _both(args: Sequence[Any], result: Any) -> int:
    return through(size_of(args[0]) + size_of(args[1]))


def _matched(args: Sequence[Any], result: Any) -> int:
    return pattern(size_of(args[0]), size_of(args[1]))


def _product(args: Sequence[Any], result: Any) -> int:
    return through(size_of(args[0])) * through(size_of(args[1]))


def _selector(args: Sequence[Any], result: Any) -> int:
    size = size_of(args[1])
    return LIST + through(size) + ceil(size * 0.5) * PER_REQUIREMENT


def _prefix_bytes(cidr: Any) -> int:
    return ceil(int(opaque.text_of(cidr).rpartition("/")[2]) / 8)


def _contains_ip(args: Sequence[Any], result: Any) -> int:
    parsed = through(len(args[1])) if isinstance(args[1], str) else 0
    return through(_prefix_bytes(args[0]), 2) + parsed


def _contains_cidr(args: Sequence[Any], result: Any) -> int:
    return _contains_ip(args, result) + through(_prefix_bytes(args[0])) + 1


def _sets(factor: int) -> Charge:
    return lambda args, result: 1 + size_of(args[0]) * size_of(args[1]) * factor


def _validated(args: Sequence[Any], result: Any) -> int:
    """One less than what it is, for the wrapping that `methods` writes around it costs 1."""
    return pattern(size_of(args[1]), _PATTERN_SIZES[opaque.text_of(args[0])]) - 1


def _is_opaque(value: Any) -> bool:
    return hasattr(value, "DESCRIPTOR")


_SCALARS = frozenset({int, bool, float, type(None)})


def _equal(args: Sequence[Any], result: Any) -> int:
    one, other = args
    if one.__class__ in _SCALARS and other.__class__ in _SCALARS:
        return 1
    return 1 if _is_opaque(one) else _smaller(args, result)


def _ordered(args: Sequence[Any], result: Any) -> int:
    one = args[0]
    return _smaller(args, result) if one.__class__ is str or one.__class__ is bytes else 1


def _added(args: Sequence[Any], result: Any) -> int:
    one = args[0]
    return _both(args, result) if one.__class__ is str or one.__class__ is bytes else 1


def _in(args: Sequence[Any], result: Any) -> int:
    return size_of(args[1]) if isinstance(args[1], list) else 1


def _from_bytes(args: Sequence[Any], result: Any) -> int:
    return _first(args, result) if isinstance(args[0], bytes) else 1


def _from_text(args: Sequence[Any], result: Any) -> int:
    return _first(args, result) if isinstance(args[0], str) else 1


_OF_FUNCTIONS: Mapping[str, Charge] = {
    "check": lambda args, result: CHECK,
    "fieldSelector": _selector,
    "labelSelector": _selector,
    "join": lambda args, result: through(size_of(result), 2),
    "find": _matched,
    "findAll": _matched,
    "ip": lambda args, result: 1 if _is_opaque(args[0]) else _first(args, result),
    "ip.isCanonical": _twice,
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "kubernetes.validated": _validated,
    "kubernetes.namedFormat": lambda args, result: 0,  # the wrapping around it costs 1
    "sets.contains": _sets(1),
    "sets.intersects": _sets(1),
    "sets.equivalent": _sets(2),
    "_==_": _equal,
    "_!=_": _smaller,
    "startsWith": _first,
    "endsWith": _first,
    "matches": _matched,
    "strings.quote": _first,
    "format": _first,
    **dict.fromkeys(("isSorted", "sum", "max", "min", "kubernetes.indexIn", "kubernetes.lastIndexIn"), _traversed),
    **dict.fromkeys(("url", "lowerAscii", "upperAscii", "substring", "trim", "jsonpatch.escapeKey"), _first),
    **dict.fromkeys(("cidr", "isIP", "isCIDR", "quantity", "isQuantity", "semver", "isSemver"), _first),
    **dict.fromkeys(("replace", "split"), _twice),
}
_BY_VALUES: Mapping[str, Charge] = {
    "@in": _in,
    "_+_": _added,
    "contains": _product,
    "string": _from_bytes,
    "bytes": _from_text,
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), _ordered),
}


def charge_of(function: str, overloads: tuple[str, ...], is_typed: bool) -> Charge | None:
    """Return what a call costs; None when that is 1. `is_typed`: charge by values what the checker left open."""
    fixed = _OF_FUNCTIONS.get(function)
    if fixed is not None:
        return fixed
    return _BY_VALUES.get(function) if is_typed or len(overloads) == 1 else None

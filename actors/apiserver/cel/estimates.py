"""What a call may cost, and how large its result may be, by the sizes of what it is called with.

Kubernetes' figures, as `charges` has those of calls that are made: which rules a CustomResourceDefinition may have
depends on them, so they are kept to the unit.

Source: apiserver/pkg/cel/library, google/cel-go's checker. Neighbours: `cost` walks the tree and asks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from actors.apiserver.cel import declared
from actors.apiserver.cel.charges import CHECK, LIST, PER_CHARACTER, PER_REQUIREMENT, REGEX_FACTOR
from actors.apiserver.cel.declared import Declared
from actors.apiserver.cel.ranges import MAX, ONE, Range, exactly

MAX_FORMAT_REGEX = 128  # characters of the longest pattern that a format may have
MAX_FORMAT_NAME = 64
_ADDRESS_BYTES = Range(4, 16)
_SMALL = frozenset(
    {"kubernetes.Quantity", "kubernetes.Semver", "kubernetes.IP", "kubernetes.CIDR", "kubernetes.Authorizer"}
)


class Argument(Protocol):
    """What is known of an argument: its type, its size, the size of its members, and its value if it is a constant."""

    @property
    def type(self) -> Declared: ...
    @property
    def size(self) -> Range: ...
    @property
    def known_size(self) -> Range | None: ...
    @property
    def member_size(self) -> Range | None: ...
    @property
    def literal(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Call:
    """Without the arguments' own cost. `size`: of the result, if it is known."""

    cost: Range
    size: Range | None = None


Estimate = Callable[[list[Argument]], Call]


def _through(index: int, factor: float = PER_CHARACTER, keeps_size: bool = False) -> Estimate:
    def estimate(args: list[Argument]) -> Call:
        size = args[index].size
        return Call(size.times(factor), size if keeps_size else None)

    return estimate


def _fixed(cost: int) -> Estimate:
    return lambda args: Call(exactly(cost))


def _selector(args: list[Argument]) -> Call:
    size = args[1].size
    return Call(exactly(LIST) + size.times(PER_CHARACTER) + size.times(0.5).times(PER_REQUIREMENT))


def _of_list(args: list[Argument]) -> Call:
    """Each member is looked at; the members' texts are gone through."""
    target = args[0]
    if target.type.kind != declared.LIST:
        return Call(target.size.times(PER_CHARACTER))
    each = ONE
    element = target.type.element
    if element is not None and element.kind in (declared.STRING, declared.BYTES):
        each = each + (target.member_size or Range(0, MAX)).times(PER_CHARACTER)
    return Call(target.size * each)


def _replace(args: list[Argument]) -> Call:
    size, old, new = (one.size for one in args[:3])
    most = kept = 0
    if old.least == 0:
        most, kept = min(size.most + 1, MAX), size.most
    elif new.most <= old.least:
        kept = size.most
    else:
        most = ceil(size.most / old.least)
    least = kept_least = 0
    if old.most == 0:
        least, kept_least = min(size.least + 1, MAX), size.least
    elif old.most <= new.least:
        kept_least = size.least
    else:
        least = ceil(size.least / old.most)
    return Call(size.times(2 * PER_CHARACTER), Range(least, most) * new + Range(kept_least, kept))


def _split(args: list[Argument]) -> Call:
    size = args[0].size
    limit = args[2].literal if len(args) > 2 else None
    return Call(size.times(2 * PER_CHARACTER), Range(0, limit if type(limit) is int and limit >= 0 else size.most))


def _join(args: list[Argument]) -> Call:
    items = args[0].size
    size = items * (args[0].member_size or Range(0, MAX))
    if len(args) > 1:
        size = size + args[1].size * Range(max(items.least - 1, 0), max(items.most - 1, 0))
    return Call(size.times(PER_CHARACTER), size)


def _find(args: list[Argument]) -> Call:
    text, pattern = args[0].size, args[1].size
    return Call((text + ONE).times(PER_CHARACTER) * pattern.times(REGEX_FACTOR), Range(0, text.most))


def _contains_address(is_network: bool) -> Estimate:
    def estimate(args: list[Argument]) -> Call:
        cost = (_ADDRESS_BYTES + _ADDRESS_BYTES).times(PER_CHARACTER)
        if is_network:
            cost = cost + _ADDRESS_BYTES.times(PER_CHARACTER) + ONE
        if args[1].type.kind == declared.STRING:
            cost = cost + args[1].size.times(PER_CHARACTER)
        return Call(cost)

    return estimate


def _validated(args: list[Argument]) -> Call:
    """One less than what it is, for the wrapping that `methods` writes around it costs 1."""
    cost = args[1].size.times(PER_CHARACTER).times(MAX_FORMAT_REGEX * REGEX_FACTOR)
    return Call(Range(max(cost.least - 1, 0), max(cost.most - 1, 0)))


def _sets(factor: int) -> Estimate:
    return lambda args: Call(ONE + args[0].size * args[1].size * exactly(factor))


def _equal(args: list[Argument]) -> Call:
    one, other = args
    if one.type.kind == other.type.kind == declared.OPAQUE and one.type.name == other.type.name:
        if one.type.name in _SMALL:
            return Call(ONE)
        if one.type.name == "kubernetes.Format":
            return Call(Range(1, MAX_FORMAT_NAME).times(PER_CHARACTER))
        if one.type.name == "kubernetes.URL":
            return Call(Range(1, (other.known_size or ONE).most).times(PER_CHARACTER))
    return _smaller(args)


def _smaller(args: list[Argument]) -> Call:
    most = min(args[0].size.most, args[1].size.most)
    return Call(Range(1 if most else 0, most).times(PER_CHARACTER))


def _sum(args: list[Argument]) -> Call:
    size = args[0].size + args[1].size
    return Call(size.times(PER_CHARACTER), size)


def _sum_of_lists(args: list[Argument]) -> Call:
    return Call(ONE, args[0].size + args[1].size)


def _to_bytes(args: list[Argument]) -> Call:
    size = args[0].size
    return Call(size.times(PER_CHARACTER), Range(size.least, min(size.most * 4, MAX)))


def _to_text(args: list[Argument]) -> Call:
    size = args[0].size
    return Call(size.times(PER_CHARACTER), Range(size.least // 4, size.most))


def _quoted(args: list[Argument]) -> Call:
    size = args[0].size
    return Call(size.times(PER_CHARACTER), Range(size.least + 2, min(size.most * 2 + 2, MAX)))


def _contains(args: list[Argument]) -> Call:
    return Call(args[0].size.times(PER_CHARACTER) * args[1].size.times(PER_CHARACTER))


def _address(args: list[Argument]) -> Call:
    return Call(args[0].size.times(PER_CHARACTER) if args[0].type.kind == declared.STRING else ONE)


OF_FUNCTIONS: Mapping[str, Estimate] = {
    "check": _fixed(CHECK),
    "fieldSelector": _selector,
    "labelSelector": _selector,
    "replace": _replace,
    "split": _split,
    "join": _join,
    "find": _find,
    "findAll": _find,
    "ip": _address,
    "ip.isCanonical": _through(0, 2 * PER_CHARACTER),
    "containsIP": _contains_address(False),
    "containsCIDR": _contains_address(True),
    "kubernetes.validated": _validated,
    "kubernetes.namedFormat": _fixed(0),
    "sets.contains": _sets(1),
    "sets.intersects": _sets(1),
    "sets.equivalent": _sets(2),
    "_==_": _equal,
    **dict.fromkeys(("isSorted", "sum", "max", "min", "kubernetes.indexIn", "kubernetes.lastIndexIn"), _of_list),
    **dict.fromkeys(
        ("url", "jsonpatch.escapeKey", "lowerAscii", "upperAscii", "substring", "trim"), _through(0, keeps_size=True)
    ),
    **dict.fromkeys(("cidr", "isIP", "isCIDR", "quantity", "isQuantity", "semver", "isSemver"), _through(0)),
}
OF_OVERLOADS: Mapping[str, Estimate] = {
    "string_format": _through(0),
    "string_to_bytes": _to_bytes,
    "bytes_to_string": _to_text,
    "strings_quote": _quoted,
    "starts_with_string": _through(1),
    "ends_with_string": _through(1),
    "in_list": lambda args: Call(args[1].size),
    "matches_string": lambda args: Call(_find(args).cost),
    "contains_string": _contains,
    "add_string": _sum,
    "add_bytes": _sum,
    "add_list": _sum_of_lists,
    "not_equals": _smaller,
    **dict.fromkeys(
        (
            f"{order}_{of}"
            for order in ("less", "less_equals", "greater", "greater_equals")
            for of in ("string", "bytes")
        ),
        _smaller,
    ),
}
_MATCHES = frozenset({"matches", "matches_string"})


def of_call(function: str, overload: str, args: list[Argument]) -> Call:
    """Return what one overload of a function may cost."""
    estimate = OF_FUNCTIONS.get(function) or OF_OVERLOADS.get("matches_string" if overload in _MATCHES else overload)
    return Call(ONE) if estimate is None else estimate(args)

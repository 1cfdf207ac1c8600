"""`isSorted`, `sum`, `min` and `max` of lists whose members can be ordered; `indexOf` of lists, and of strings; maps
out of lists.

Neighbours: `methods` writes `indexOf`, `lastIndexOf`, `transformMap` and `transformMapEntry` as the calls that are
declared here.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from actors.apiserver.cel.library.declaring import BOOL, DYN, INT, Type, declare, function, method
from actors.apiserver.cel.operators import add, nanos_of
from actors.apiserver.cel.values import Uint, same

_LIST = Type.List(DYN)
_MAP = Type.Map(DYN, DYN)
_PLAIN = (int, float, str, bytes, bool)
_TIMES = (Timestamp, Duration)


def _order(value: Any) -> Any:
    """What a member is ordered by. Raises TypeError for one that cannot be."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, _TIMES):
        return nanos_of(value)
    raise TypeError("the members of the list cannot be ordered")


def _sum(values: list[Any]) -> Any:
    total = values[0] if values else 0
    for value in values[1:]:
        total = add(total, value)
    if type(total) not in (int, float, Uint, Duration):
        raise TypeError("the members of the list cannot be added")
    return total


def _is_sorted(values: list[Any]) -> bool:
    ordered = [_order(value) for value in values]
    return all(a <= b for a, b in pairwise(ordered))


def _of_none_empty(name: str, choose: Any) -> Any:
    def chosen(values: list[Any]) -> Any:
        if not values:
            raise ValueError(f"{name} called on empty list")
        return choose(values, key=_order)

    return chosen


def _index(values: list[Any], wanted: Any) -> int:
    return next((at for at, value in enumerate(values) if same(value, wanted)), -1)


def _last_index(values: list[Any], wanted: Any) -> int:
    return next((at for at in reversed(range(len(values))) if same(values[at], wanted)), -1)


def _found(text: str, part: str, start: int = 0) -> int:
    _check_start(text, start)
    return text.find(part, start)


def _last_found(text: str, part: str, start: int | None = None) -> int:
    if start is None:
        return text.rfind(part)
    _check_start(text, start)
    return text.rfind(part, 0, start + len(part))


def _check_start(text: str, start: int) -> None:
    if not 0 <= start <= len(text):
        raise ValueError(f"index out of range: {start}")


def _map_of(pairs: list[list[Any]]) -> dict[Any, Any]:
    return {key: value for key, value in pairs}


def _map_of_entries(maps: list[dict[Any, Any]]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for entries in maps:
        for key, value in entries.items():
            if key in made:
                raise ValueError(f"insert failed: key {key!r} already exists")
            made[key] = value
    return made


def _by_kind(of_lists: Callable[..., int], of_strings: Callable[..., int]) -> Callable[[list[Any]], int]:
    """One function for both, of what is searched, what for, and where to begin.

    All in one list, for the evaluator calls nothing from Python whose argument may be anything.
    """

    def found(arguments: list[Any]) -> int:
        within, wanted, *start = arguments
        if isinstance(within, list) and not start:
            return of_lists(within, wanted)
        if isinstance(within, str) and isinstance(wanted, str) and all(type(one) is int for one in start):
            return of_strings(within, wanted, *start)
        raise TypeError("no such overload")

    return found


def functions() -> list[Any]:
    return [
        *(
            declare(
                f"kubernetes.{name}",
                function(f"{name}_of_any", INT, [_LIST], _by_kind(of_lists, of_strings)),
            )
            for name, of_lists, of_strings in (
                ("indexIn", _index, _found),
                ("lastIndexIn", _last_index, _last_found),
            )
        ),
        declare("kubernetes.mapOf", function("map_of_pairs", _MAP, [Type.List(_LIST)], _map_of)),
        declare("kubernetes.mapOfEntries", function("map_of_maps", _MAP, [Type.List(_MAP)], _map_of_entries)),
        declare("isSorted", method("list_is_sorted", BOOL, [_LIST], _is_sorted)),
        declare("sum", method("list_sum", DYN, [_LIST], _sum)),
        declare("min", method("list_min", DYN, [_LIST], _of_none_empty("min", min))),
        declare("max", method("list_max", DYN, [_LIST], _of_none_empty("max", max))),
    ]

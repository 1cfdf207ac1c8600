"""`isSorted`, `sum`, `min` and `max` of lists whose members can be ordered."""

from typing import Any

from actors.apiserver.cel.library.declaring import BOOL, DYN, Type, declare, method

_LIST = Type.List(DYN)
_ORDERED = (int, float, str, bytes, bool)


def _comparable(values: list[Any]) -> list[Any]:
    for value in values:
        if not isinstance(value, _ORDERED):
            raise TypeError("the members of the list cannot be ordered")
    return values


def _is_sorted(values: list[Any]) -> bool:
    _comparable(values)
    return all(a <= b for a, b in zip(values, values[1:], strict=False))


def _of_none_empty(name: str, choose: Any) -> Any:
    def chosen(values: list[Any]) -> Any:
        if not values:
            raise ValueError(f"{name} called on empty list")
        return choose(_comparable(values))

    return chosen


def functions() -> list[Any]:
    return [
        declare("isSorted", method("list_is_sorted", BOOL, [_LIST], _is_sorted)),
        declare("sum", method("list_sum", DYN, [_LIST], sum)),
        declare("min", method("list_min", DYN, [_LIST], _of_none_empty("min", min))),
        declare("max", method("list_max", DYN, [_LIST], _of_none_empty("max", max))),
    ]

"""`isLessThan`, `isGreaterThan` and `compareTo`: one name each for quantities and for versions."""

from typing import Any

from actors.apiserver.cel.library import quantities, semantic_versions
from actors.apiserver.cel.library.declaring import BOOL, INT, QUANTITY, SEMVER, also, declare, method

_COMPARE = {"Quantity": quantities.compare, "Semver": semantic_versions.compare}


def _compare(one: Any, other: Any) -> int:
    kind = type(one).DESCRIPTOR.name
    if kind not in _COMPARE or type(other) is not type(one):
        raise TypeError("no such overload")
    return _COMPARE[kind](one, other)


def functions() -> list[Any]:
    of_quantities, of_versions = [QUANTITY, QUANTITY], [SEMVER, SEMVER]
    return [
        declare(
            "isLessThan",
            method("quantity_is_less_than", BOOL, of_quantities, lambda a, b: _compare(a, b) < 0),
            also("semver_is_less_than", BOOL, of_versions, lambda a, b: _compare(a, b) < 0),
        ),
        declare(
            "isGreaterThan",
            method("quantity_is_greater_than", BOOL, of_quantities, lambda a, b: _compare(a, b) > 0),
            also("semver_is_greater_than", BOOL, of_versions, lambda a, b: _compare(a, b) > 0),
        ),
        declare(
            "compareTo",
            method("quantity_compare_to", INT, of_quantities, _compare),
            also("semver_compare_to", INT, of_versions, _compare),
        ),
    ]

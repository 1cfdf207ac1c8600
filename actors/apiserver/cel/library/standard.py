"""Functions of the standard library that Kubernetes has more overloads of: `1 < 1.5`, and addresses as strings.

The C++ implementation lets nobody add to a function that it declares. So `environment` leaves these out of its standard
library, and they are declared here as a whole; the evaluator has them, for values of dynamic type, all the same.

Source: Kubernetes compiles with comparisons across types of numbers. Neighbours: `environment`.
"""

from typing import Any

from actors.apiserver.cel import opaque
from actors.apiserver.cel.library.declaring import (
    BOOL,
    BYTES,
    CIDR,
    DOUBLE,
    DURATION,
    INT,
    IP,
    STRING,
    TIMESTAMP,
    UINT,
    declare,
    evaluated,
    function,
)  # fmt: skip

_COMPARISONS = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}
_NUMBERS = {"int64": INT, "double": DOUBLE, "uint64": UINT}
_ORDERED = {"bool": BOOL, "string": STRING, "bytes": BYTES, "timestamp": TIMESTAMP, "duration": DURATION}

REDECLARED = (*_COMPARISONS, "string")


def functions() -> list[Any]:
    return [*(_comparison(name, overload) for name, overload in _COMPARISONS.items()), _string()]


def _comparison(name: str, overload: str) -> Any:
    numbers = [
        evaluated(f"{overload}_{one}" if one == other else f"{overload}_{one}_{other}", BOOL, [left, right])
        for one, left in _NUMBERS.items()
        for other, right in _NUMBERS.items()
    ]
    return declare(name, *numbers, *(evaluated(f"{overload}_{of}", BOOL, [kind] * 2) for of, kind in _ORDERED.items()))


def _string() -> Any:
    kinds = _NUMBERS | _ORDERED
    return declare(
        "string",
        *(evaluated(f"{of}_to_string", STRING, [kind]) for of, kind in kinds.items()),
        function("ip_to_string", STRING, [IP], opaque.text_of),  # and any other message: addresses.py has texts alike
        evaluated("cidr_to_string", STRING, [CIDR]),
    )

"""Short forms for declaring functions.

What is declared is told to the compiler, and noted with its implementation for `delegating`, which calls it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

Type = cel.Type
BOOL, INT, DOUBLE, STRING, DYN = Type.BOOL, Type.INT, Type.DOUBLE, Type.STRING, Type.DYN
UINT, BYTES, TIMESTAMP, DURATION = Type.UINT, Type.BYTES, Type.TIMESTAMP, Type.DURATION
QUANTITY, IP, CIDR, URL, SEMVER, AUTHORIZER, FORMAT = (
    Type(f"kubernetes.{name}") for name in ("Quantity", "IP", "CIDR", "URL", "Semver", "Authorizer", "Format")
)  # as opaque.py names them


@dataclass(frozen=True, slots=True)
class Implementation:
    """One overload: what it takes, and what does it; None when the library does."""

    overload: str
    result: Any
    parameters: list[Any]
    do: Callable[..., Any] | None = None
    is_member: bool = False
    is_library_s: bool = True  # is the library told what does it?


IMPLEMENTED: dict[str, list[Implementation]] = {}  # by the function's name


def declare(name: str, *overloads: Implementation) -> Any:
    IMPLEMENTED[name] = list(overloads)
    return cel.FunctionDecl(name, [_declared(one) for one in overloads])


def _declared(one: Implementation) -> Any:
    options = {} if one.do is None or not one.is_library_s else {"impl": one.do}
    return cel.Overload(
        one.overload, return_type=one.result, parameters=one.parameters, is_member=one.is_member, **options
    )


def function(overload: str, result: Any, parameters: list[Any], do: Callable[..., Any]) -> Implementation:
    """An overload called as `name(a, b)`."""
    return Implementation(overload, result, parameters, do)


def method(overload: str, result: Any, parameters: list[Any], do: Callable[..., Any]) -> Implementation:
    """An overload called as `a.name(b)`."""
    return Implementation(overload, result, parameters, do, is_member=True)


def also(overload: str, result: Any, parameters: list[Any], do: Callable[..., Any]) -> Implementation:
    """A method's overload for a second kind of message: the library, which takes messages for alike, allows one."""
    return Implementation(overload, result, parameters, do, is_member=True, is_library_s=False)


def evaluated(overload: str, result: Any, parameters: list[Any]) -> Implementation:
    """An overload of a function that the evaluator has anyhow."""
    return Implementation(overload, result, parameters)


def succeeds(parse: Callable[..., Any]) -> Callable[..., bool]:
    """Return a predicate that is true where `parse` raises no ValueError."""

    def check(*arguments: Any) -> bool:
        try:
            parse(*arguments)
        except ValueError:
            return False
        return True

    return check

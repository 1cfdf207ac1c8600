"""Short forms for declaring functions."""

from collections.abc import Callable
from typing import Any

from cel_expr_python import cel

Type = cel.Type
BOOL, INT, DOUBLE, STRING, DYN = Type.BOOL, Type.INT, Type.DOUBLE, Type.STRING, Type.DYN
UINT, BYTES, TIMESTAMP, DURATION = Type.UINT, Type.BYTES, Type.TIMESTAMP, Type.DURATION
QUANTITY, IP, CIDR, URL, SEMVER, AUTHORIZER, FORMAT = (
    Type(f"kubernetes.{name}") for name in ("Quantity", "IP", "CIDR", "URL", "Semver", "Authorizer", "Format")
)  # as opaque.py names them


def declare(name: str, *overloads: Any) -> Any:
    return cel.FunctionDecl(name, list(overloads))


def function(overload: str, result: Any, parameters: list[Any], do: Callable[..., Any]) -> Any:
    """An overload called as `name(a, b)`."""
    return cel.Overload(overload, return_type=result, parameters=parameters, impl=do)


def method(overload: str, result: Any, parameters: list[Any], do: Callable[..., Any]) -> Any:
    """An overload called as `a.name(b)`."""
    return cel.Overload(overload, return_type=result, parameters=parameters, is_member=True, impl=do)


def also(overload: str, result: Any, parameters: list[Any]) -> Any:
    """A method's overload that another one, of the same kinds of value, does the work of.

    The evaluator tells messages from strings, not one message from another; so the overload that is declared first gets
    them all, and looks at what it got.
    """
    return cel.Overload(overload, return_type=result, parameters=parameters, is_member=True)


def evaluated(overload: str, result: Any, parameters: list[Any]) -> Any:
    """An overload of a function that the evaluator has anyhow, or that another overload does the work of."""
    return cel.Overload(overload, return_type=result, parameters=parameters)


def succeeds(parse: Callable[..., Any]) -> Callable[..., bool]:
    """Return a predicate that is true where `parse` raises no ValueError."""

    def check(*arguments: Any) -> bool:
        try:
            parse(*arguments)
        except ValueError:
            return False
        return True

    return check

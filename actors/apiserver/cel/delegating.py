"""Functions of an expression that are not the interpreter's own: Kubernetes' in Python, the language's in the library.

A function that Python implements is called with what its declaration wants. Any other is an expression of its own to
the library: `a0.format(a1)`, compiled once, evaluated with the arguments.

Neighbours: `library.declaring` notes what is implemented, `checker` is the library; `interpreter` calls.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from actors.apiserver.cel.checker import untyped
from actors.apiserver.cel.errors import EvaluationError, evaluation_error, no_such_overload
from actors.apiserver.cel.library.declaring import IMPLEMENTED, Implementation
from actors.apiserver.cel.values import Uint, plain

Function = Callable[..., Any]

_WRITTEN = {"math.@max": "math.greatest", "math.@min": "math.least"}  # what macros call, as it can be written
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "DYN": lambda value: True,
    "STRING": lambda value: type(value) is str,
    "INT": lambda value: type(value) is int,
    "UINT": lambda value: type(value) is Uint,
    "DOUBLE": lambda value: type(value) is float,
    "BOOL": lambda value: type(value) is bool,
    "BYTES": lambda value: type(value) is bytes,
    "LIST": lambda value: isinstance(value, list),
    "MAP": lambda value: type(value) is dict,
    "TIMESTAMP": lambda value: isinstance(value, Timestamp),
    "DURATION": lambda value: isinstance(value, Duration),
}


def _check_of(kind: Any) -> Callable[[Any], bool]:
    name = kind.name().partition("<")[0]
    return _CHECKS.get(name) or (lambda value: isinstance(value, Message) and value.DESCRIPTOR.full_name == name)


def implemented(function: str) -> Function | None:
    """Return what calls Python's implementations of a function; None when it has none."""
    overloads = IMPLEMENTED.get(function)
    if not overloads or any(one.do is None for one in overloads):
        return None
    choices = [(one, tuple(_check_of(kind) for kind in one.parameters)) for one in overloads]

    def call(*args: Any) -> Any:
        for one, checks in choices:
            if len(checks) == len(args) and all(check(arg) for check, arg in zip(checks, args, strict=True)):
                return _done(one, args)
        raise no_such_overload(function, *args)

    return call


def _done(one: Implementation, args: Sequence[Any]) -> Any:
    assert one.do is not None, "overloads without are left to the library"
    try:
        return one.do(*args)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise EvaluationError(str(error)) from error


@lru_cache(maxsize=512)
def of_library(function: str, is_member: bool, count: int) -> Function:
    """Return what lets the library evaluate one call. Raises CompileError."""
    names = [f"a{i}" for i in range(count)]
    written = _WRITTEN.get(function, function)
    text = f"{names[0]}.{written}({', '.join(names[1:])})" if is_member else f"{written}({', '.join(names)})"
    evaluate = untyped(*names).evaluator(text)

    def call(*args: Any) -> Any:
        try:
            return plain(evaluate(dict(zip(names, args, strict=True))))
        except (RuntimeError, TypeError, OverflowError) as error:
            raise evaluation_error(str(error)) from error

    return call

"""Compiles expressions, and evaluates them within limits.

The library parses, expands macros and checks types; the tree that comes of it is evaluated here (`interpreter`), so
that what each step costs is known: the library neither counts nor stops at a limit of ours.

Values: JSON's, bytes, and Protobuf's Timestamp and Duration. Neighbours: `checker` is the library; `typecheck` for
checked rules; `limits` for what evaluations may cost.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from actors.apiserver.cel import methods
from actors.apiserver.cel.checker import Checker
from actors.apiserver.cel.errors import CompileError, CostExceeded, EvaluationError
from actors.apiserver.cel.interpreter import Frame, Interpreter, Run
from actors.apiserver.cel.limits import PER_CALL, Budget
from actors.apiserver.cel.values import exposed

MAX_EXPRESSION_CHARS = 100_000  # Kubernetes' code point limit of the parser
CACHED_PROGRAMS = 1024  # of one environment; a program takes about 15 KB

DYN = cel.Type.DYN
TIMESTAMP, DURATION = Timestamp, Duration


class Program:
    """A compiled expression."""

    __slots__ = ("_compiled", "_interpreter", "_run", "source")

    def __init__(self, source: str, compiled: Any, interpreter: Interpreter) -> None:
        self.source = source
        self._compiled = compiled
        self._interpreter = interpreter
        self._run: Run | None = None

    def evaluate(self, variables: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """Return the value. Raises EvaluationError; Stopped when it, or its budget, would have cost too much."""
        return exposed(self.raw(variables, budget or Budget()))

    def raw(self, variables: Mapping[str, Any], budget: Budget) -> Any:
        """Return the value as other expressions see it. Raises as `evaluate`."""
        if self._run is None:
            self._run = self._interpreter.compile(self.serialized())
        frame = Frame(dict(variables), budget)
        failed: EvaluationError | None = None
        value = None
        try:
            value = self._run(frame)
        except EvaluationError as error:
            failed = error
        except RecursionError:
            failed = EvaluationError("max recursion depth exceeded")
        budget.spend(frame.cost)
        if frame.cost > PER_CALL:
            raise CostExceeded() from failed
        if failed is not None:
            raise failed
        return value

    def result_type(self) -> str:
        """Return the name of the result's type: BOOL, STRING, DYN."""
        return self._compiled.return_type().name()

    def serialized(self) -> bytes:
        """Return the checked tree as Protobuf: `cost` reads it."""
        return self._compiled.serialize()


class Environment:
    """The variables that expressions may use, all of dynamic type unless `types` says more.

    `is_typed`: what is evaluated was checked with types, elsewhere; calls are charged as if they were known here.
    """

    def __init__(self, variables: Mapping[str, Any], pool: Any = None, is_typed: bool = False) -> None:
        self._interpreter = Interpreter(frozenset(variables), is_typed)
        self._checker = Checker(variables, pool)
        self.compile = lru_cache(maxsize=CACHED_PROGRAMS)(self._compile)

    def _compile(self, expression: str) -> Program:
        """Return a program, the same one for the same text. Raises CompileError."""
        if len(expression) > MAX_EXPRESSION_CHARS:
            raise CompileError(f"expression is longer than {MAX_EXPRESSION_CHARS} characters")
        return Program(expression, self._checker.compile(methods.rewritten(expression)), self._interpreter)


@lru_cache(maxsize=64)
def dynamic(*names: str) -> Environment:
    """Return the environment whose variables have these names and no static type."""
    return Environment({name: DYN for name in names})


@lru_cache(maxsize=16)
def typed(*names: str) -> Environment:
    """Return the same for expressions that were checked with types: rules of custom resources."""
    return Environment({name: DYN for name in names}, is_typed=True)

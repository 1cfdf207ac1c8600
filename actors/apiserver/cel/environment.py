"""Compiles expressions and evaluates them within limits.

An evaluation cannot be interrupted, so it is bounded beforehand: the evaluator stops after ITERATIONS steps of its
loops, regular expressions are linear, and whoever takes rules from strangers estimates their `cost` first.

Values: JSON's, bytes, and Protobuf's Timestamp and Duration. Neighbours: `library`; `typecheck` for checked rules.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from actors.apiserver.cel import library, methods
from actors.apiserver.cel.errors import CompileError, compile_error, evaluation_error
from actors.apiserver.cel.library import standard

ITERATIONS = 10_000  # of all loops of one evaluation together: the C++ implementation's own bound
MAX_EXPRESSION_CHARS = 100_000  # Kubernetes' code point limit of the parser
CACHED_PROGRAMS = 1024  # of one environment; a program takes about 15 KB

_CONFIG = """
name: kubernetes
extensions:
- name: lists
- name: sets
- name: two-var-comprehensions
- name: optional
- name: strings
- name: math
- name: bindings
- name: encoders
stdlib:
  exclude_functions:
""" + "".join(f'  - name: "{name}"\n' for name in standard.REDECLARED)

DYN = cel.Type.DYN
TIMESTAMP, DURATION = Timestamp, Duration


class Program:
    """A compiled expression."""

    __slots__ = ("_compiled", "source")

    def __init__(self, source: str, compiled: Any) -> None:
        self.source = source
        self._compiled = compiled

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Return the value. Raises EvaluationError; BudgetExceeded when it did too much."""
        try:
            result = self._compiled.eval(data=variables)
            if result.type() == cel.Type.ERROR:
                raise evaluation_error(str(result.value()))
            return result.plain_value()
        except (RuntimeError, TypeError, OverflowError) as error:
            raise evaluation_error(str(error)) from error

    def result_type(self) -> str:
        """Return the name of the result's type: BOOL, STRING, DYN."""
        return self._compiled.return_type().name()

    def serialized(self) -> bytes:
        """Return the checked tree as Protobuf: `cost` reads it."""
        return self._compiled.serialize()


class Environment:
    """The variables that expressions may use, all of dynamic type unless `types` says more."""

    def __init__(self, variables: Mapping[str, Any], pool: Any = None) -> None:
        options = {"descriptor_pool": pool} if pool is not None else {}
        try:
            self._env = cel.NewEnv(
                config=cel.NewEnvConfigFromYaml(_CONFIG),
                variables=dict(variables),
                functions=list(library.functions()),
                **options,
            )
        except (RuntimeError, TypeError) as error:
            raise compile_error(error) from error
        self.compile = lru_cache(maxsize=CACHED_PROGRAMS)(self._compile)

    def _compile(self, expression: str) -> Program:
        """Return a program, the same one for the same text. Raises CompileError."""
        if len(expression) > MAX_EXPRESSION_CHARS:
            raise CompileError(f"expression is longer than {MAX_EXPRESSION_CHARS} characters")
        try:
            return Program(expression, self._env.compile(methods.rewritten(expression)))
        except (RuntimeError, TypeError) as error:
            raise compile_error(error) from error


@lru_cache(maxsize=64)
def dynamic(*names: str) -> Environment:
    """Return the environment whose variables have these names and no static type."""
    return Environment({name: DYN for name in names})

"""The library: it parses expressions, expands their macros and checks types; and evaluates single calls.

Neighbours: `environment` has it check what is evaluated here; `delegating` has it evaluate what is not; `library`
declares Kubernetes' functions to it.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from actors.apiserver.cel import library
from actors.apiserver.cel.errors import compile_error, evaluation_error
from actors.apiserver.cel.library import standard
from actors.apiserver.cel.values import Uint

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


class Checker:
    """Knows variables and their types; `pool` describes the types that are messages."""

    def __init__(self, variables: Mapping[str, Any], pool: Any = None) -> None:
        """Raises CompileError."""
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

    def compile(self, expression: str) -> Any:
        """Return a checked expression. Raises CompileError."""
        try:
            return self._env.compile(expression)
        except (RuntimeError, TypeError) as error:
            raise compile_error(error) from error

    def evaluator(self, expression: str) -> Callable[[Mapping[str, Any]], Any]:
        """Return what lets the library evaluate an expression. Raises CompileError; it does EvaluationError."""
        compiled = self.compile(expression)

        def evaluate(variables: Mapping[str, Any]) -> Any:
            result = compiled.eval(data=variables)
            if result.type() == cel.Type.ERROR:
                raise evaluation_error(str(result.value()))
            value = result.plain_value()
            return Uint(value) if result.type() == cel.Type.UINT else value

        return evaluate


@lru_cache(maxsize=16)
def untyped(*names: str) -> Checker:
    """Return the checker whose variables have these names and no static type."""
    return Checker(dict.fromkeys(names, cel.Type.DYN))

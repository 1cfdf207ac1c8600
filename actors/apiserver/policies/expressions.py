"""Evaluates the expressions of one policy for one write.

A policy's variables are evaluated when an expression that names them is, and once. One that has no value spoils only
what really reads it: `has(object.x) && variables.y > 0` is false where there is no x, whatever y would be.

Neighbours: `cel` compiles and evaluates; `literals` rewrites; `validation` and `mutation` ask.
"""

import re
from collections.abc import Sequence
from typing import Any

from actors.apiserver.admission.attributes import Admission
from actors.apiserver.cel.environment import Environment, Program, dynamic
from actors.apiserver.cel.errors import CelError, EvaluationError
from actors.apiserver.cel.library.authorizing import Question, deciding
from actors.apiserver.policies.literals import rewritten
from actors.apiserver.webhooks.variables import NAMES as INPUTS
from actors.apiserver.webhooks.variables import decide

_VARIABLE = re.compile(r"\bvariables\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")
_NO_SUCH_KEY = "no such key: "

Object = dict[str, Any]


MORE_NAMES = ("namespaceObject", "params", "variables")  # of policies, besides those of match conditions
NAMES = (*INPUTS, *MORE_NAMES)


def environment(more_names: tuple[str, ...] = MORE_NAMES) -> Environment:
    """The environment of policies; with fewer names, that of match conditions."""
    return dynamic(*INPUTS, *more_names)


def compile_expression(expression: str, more_names: tuple[str, ...] = MORE_NAMES) -> Program:
    """Return the program of an expression. Raises CompileError."""
    return environment(more_names).compile(rewritten(expression))


class Evaluation:
    """One policy looking at one write, with one parameter. `inputs` are the variables but `variables` itself."""

    def __init__(self, asked: Admission, inputs: Object, variables: Sequence[tuple[str, str]]) -> None:
        self._asked = asked
        self._inputs = inputs
        self._declared = dict(variables)
        self._values: Object = {}
        self._errors: dict[str, CelError] = {}

    def value(self, expression: str) -> Any:
        """Return the value of an expression. Raises CelError."""
        with deciding(self._decide):
            return self._value(expression)

    def with_object(self, obj: Object | None) -> "Evaluation":
        """Return an evaluation of the same that sees the object as it is now."""
        return Evaluation(self._asked, self._inputs | {"object": obj}, tuple(self._declared.items()))

    def _value(self, expression: str) -> Any:
        self._need(expression)
        program = compile_expression(expression)
        try:
            return program.evaluate(self._inputs | {"variables": self._values})
        except EvaluationError as error:
            cause = self._errors.get(str(error).removeprefix(_NO_SUCH_KEY))
            if cause is not None:
                name = str(error).removeprefix(_NO_SUCH_KEY)
                raise EvaluationError(f"composited variable {name!r} fails to evaluate: {cause}") from error
            raise

    def _need(self, expression: str) -> None:
        for name in _VARIABLE.findall(expression):
            if name in self._declared and name not in self._values and name not in self._errors:
                declared = self._declared.pop(name)  # a variable that names itself finds nothing
                try:
                    self._values[name] = self._value(declared)
                except CelError as error:
                    self._errors[name] = error
                finally:
                    self._declared[name] = declared

    def _decide(self, question: Question) -> tuple[bool, str]:
        return decide(self._asked, question)

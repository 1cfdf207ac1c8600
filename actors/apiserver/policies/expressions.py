"""Evaluates the expressions of one policy for one write.

A policy's variables are evaluated when they are read, and once. One that has no value spoils only what really reads it:
`has(object.x) && variables.y > 0` is false where there is no x, whatever y would be.

Neighbours: `cel` compiles and evaluates; `literals` rewrites; `validation` and `mutation` ask.
"""

from collections.abc import Sequence
from typing import Any

from actors.apiserver.admission.attributes import Admission
from actors.apiserver.cel.environment import Environment, Program, dynamic
from actors.apiserver.cel.errors import CostExceeded, EvaluationError
from actors.apiserver.cel.library.authorizing import Question, deciding
from actors.apiserver.cel.limits import RUNTIME, Budget
from actors.apiserver.cel.values import MISSING, Lookup
from actors.apiserver.policies.literals import rewritten
from actors.apiserver.webhooks.variables import NAMES as INPUTS
from actors.apiserver.webhooks.variables import decide

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
    """One policy looking at one write, with one parameter. `inputs` are the variables but `variables` itself.

    All its expressions share a budget; what a variable costs is paid by the first that reads it.
    """

    def __init__(self, asked: Admission, inputs: Object, variables: Sequence[tuple[str, str]]) -> None:
        self._asked = asked
        self._declared = tuple(variables)
        self._inputs = inputs
        self._budget = Budget(RUNTIME)
        self._seen = inputs | {"variables": _Variables(self._declared, inputs, self._budget)}

    def value(self, expression: str) -> Any:
        """Return the value of an expression. Raises CelError; OutOfBudget, after which there is no more to ask."""
        with deciding(self._decide):
            return compile_expression(expression).evaluate(self._seen, self._budget)

    def afresh(self) -> "Evaluation":
        """Return an evaluation of the same with a budget of its own."""
        return Evaluation(self._asked, self._inputs, self._declared)

    def with_object(self, obj: Object | None) -> "Evaluation":
        """Return an evaluation of the same that sees the object as it is now, with a budget of its own."""
        return Evaluation(self._asked, self._inputs | {"object": obj}, self._declared)

    def _decide(self, question: Question) -> tuple[bool, str]:
        return decide(self._asked, question)


class _Variables(Lookup):
    """A policy's variables. One may read those before it."""

    __slots__ = ("_budget", "_declared", "_errors", "_inputs", "_values")

    def __init__(self, declared: Sequence[tuple[str, str]], inputs: Object, budget: Budget) -> None:
        self._declared = dict(declared)
        self._inputs = inputs
        self._budget = budget
        self._values: Object = {}
        self._errors: dict[str, EvaluationError] = {}

    def has(self, name: str) -> bool:
        return name in self._declared or name in self._values or name in self._errors

    def member(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self._errors:
            raise self._errors[name]
        expression = self._declared.pop(name, None)  # one that names itself finds nothing
        if expression is None:
            return MISSING
        program = compile_expression(expression)
        try:
            value = program.raw(self._inputs | {"variables": self}, self._budget)
        except (EvaluationError, CostExceeded) as error:
            failed = EvaluationError(f"composited variable {name!r} fails to evaluate: {error}")
            self._errors[name] = failed
            raise failed from error
        self._values[name] = value
        return value

"""Match conditions: CEL expressions that say whether a webhook or a policy is for this very write.

All must be true. One that is false decides, whatever the others do; otherwise an error is what the failurePolicy makes
of it. They share a budget of their own. Importing this loads the language: it is imported when the first condition is
met.

Neighbours: `dispatch` and `policies` ask; `cel` evaluates.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from actors.apiserver.admission.attributes import Admission
from actors.apiserver.cel.environment import dynamic
from actors.apiserver.cel.errors import CelError, OutOfBudget
from actors.apiserver.cel.library.authorizing import deciding
from actors.apiserver.cel.limits import MATCH_CONDITIONS, Budget
from actors.apiserver.webhooks.variables import NAMES, decide


class ConditionFailed(Exception):
    """A condition could not be evaluated, and none was false; the text says which and why."""


def conditions_hold(
    asked: Admission, conditions: Iterable[tuple[str, str]], inputs: Mapping[str, Any], names: tuple[str, ...] = NAMES
) -> bool:
    """Return whether all (name, expression) are true. Raises ConditionFailed."""
    environment, budget = dynamic(*names), Budget(MATCH_CONDITIONS)
    failed: list[str] = []
    for name, expression in conditions:
        try:
            with deciding(lambda question: decide(asked, question)):
                value = environment.compile(expression).evaluate(inputs, budget)
        except OutOfBudget as error:
            raise ConditionFailed(str(error)) from error
        except CelError as error:
            failed.append(f"expression '{expression}' resulted in error: {error}")
            continue
        if value is False:
            return False
        if value is not True:
            failed.append(f"match condition {name!r} is not a bool")
    if failed:
        raise ConditionFailed(", ".join(failed))
    return True

"""Comprehensions: what the macros over lists and maps become, and `cel.bind`.

An error in one turn is what the loop has come to so far; a later turn may swallow it, as `&&` and `||` do. The usual
macros (`macros` knows them by their shape) have loops of their own, which cost what the general one would, and save
most of the time, and a copy of the list for each turn.

Neighbours: `interpreter` makes steps of these; `reading` raises what a loop has come to.
"""

from typing import Any

from actors.apiserver.cel.charges import LIST
from actors.apiserver.cel.errors import EvaluationError, no_such_overload
from actors.apiserver.cel.frames import Frame, Run, Step
from actors.apiserver.cel.reading import Later


def binding(name: str, start: Run, result: Run) -> Run:
    def run(frame: Frame) -> Any:
        variables = frame.variables
        frame.variables = {**variables, name: Later(_in_frame(start, variables))}
        try:
            return result(frame)
        finally:
            frame.variables = variables

    return run


def _in_frame(run: Run, variables: dict[str, Any]) -> Run:
    """A step that sees the variables of where it was written."""

    def seeing(frame: Frame) -> Any:
        now, frame.variables = frame.variables, variables
        try:
            return run(frame)
        finally:
            frame.variables = now

    return seeing


class Turns:
    """What a loop goes through, and the names that its members get: one; or one for index or key, one for the value."""

    __slots__ = ("_first", "_range", "_second")

    def __init__(self, ranged: Run, first: str, second: str) -> None:
        self._range, self._first, self._second = ranged, first, second

    def start(self, frame: Frame) -> tuple[Any, str, str]:
        """Return what is gone through, and the names. Raises EvaluationError."""
        ranged = self._range(frame)
        if not isinstance(ranged, list | dict):
            raise EvaluationError(f"got '{type(ranged).__name__}', expected iterable type")
        if not self._second:
            return ranged, self._first, ""
        return (ranged.items() if isinstance(ranged, dict) else enumerate(ranged)), self._first, self._second


def quantifier(turns: Turns, predicate: Run, decider: bool) -> Run:
    """`all`, which one false decides, and `exists`, which one true does."""
    going_on = 3 if decider else 2  # of asking whether it is decided
    step = going_on + 1

    def run(frame: Frame) -> Any:
        ranged, first, second = turns.start(frame)
        outside = frame.variables
        frame.variables = variables = {**outside}
        come_to: Any = not decider
        try:
            for item in ranged:
                if come_to is decider:
                    frame.cost += going_on
                    break
                if second:
                    variables[first], variables[second] = item
                else:
                    variables[first] = item
                frame.cost += step
                try:
                    found = predicate(frame)
                    if found is decider:
                        come_to = decider
                    elif found.__class__ is not bool:
                        come_to = no_such_overload("_||_" if decider else "_&&_", found)
                except EvaluationError as error:
                    come_to = error
                frame.turn()
        finally:
            frame.variables = outside
        frame.cost += 1
        if come_to.__class__ is not bool:
            raise come_to
        return come_to

    return run


def single(turns: Turns, predicate: Run) -> Run:
    """`exists_one`: every member is looked at."""

    def run(frame: Frame) -> bool:
        ranged, first, second = turns.start(frame)
        outside = frame.variables
        frame.variables = variables = {**outside}
        count = 0
        failed: EvaluationError | None = None
        try:
            for item in ranged:
                if second:
                    variables[first], variables[second] = item
                else:
                    variables[first] = item
                try:
                    found = predicate(frame)
                    if found is True:
                        count += 1
                        frame.cost += 2  # what it has come to, and one more
                    elif found is not False:
                        raise no_such_overload("_?_:_", found)
                except EvaluationError as error:
                    failed = failed or error
                frame.turn()
        finally:
            frame.variables = outside
        frame.cost += 2  # what it has come to, and whether that is one
        if failed is not None:
            raise failed
        return count == 1

    return run


def listing(turns: Turns, condition: Run | None, element: Run) -> Run:
    """`map`, `filter` and `transformList`: a list of what an expression makes of the members, or of some of them."""
    added = 1 + LIST + 1  # what it has come to, the list of one, the sum of both

    def run(frame: Frame) -> list[Any]:
        ranged, first, second = turns.start(frame)
        outside = frame.variables
        frame.variables = variables = {**outside}
        made: list[Any] = []
        failed: EvaluationError | None = None
        try:
            for item in ranged:
                if second:
                    variables[first], variables[second] = item
                else:
                    variables[first] = item
                try:
                    if condition is not None:
                        kept = condition(frame)
                        if kept.__class__ is not bool:
                            raise no_such_overload("_?_:_", kept)
                        if not kept:
                            continue
                    frame.cost += added
                    made.append(element(frame))
                except EvaluationError as error:
                    failed = failed or error
                finally:
                    frame.turn()
        finally:
            frame.variables = outside
        frame.cost += 1
        if failed is not None:
            raise failed
        return made

    return run


class Loop:
    """Any other comprehension."""

    __slots__ = ("_accu", "_condition", "_is_endless", "_result", "_start", "_step", "_turns")

    def __init__(self, turns: Turns, accu: str, start: Run, condition: Step, step: Run, result: Run) -> None:
        self._turns, self._accu = turns, accu
        self._start, self._step, self._result = start, step, result
        self._condition = condition.run
        self._is_endless = condition.constant is True

    def run(self, frame: Frame) -> Any:
        ranged, first, second = self._turns.start(frame)
        outside = frame.variables
        frame.variables = variables = {**outside, self._accu: self._start(frame)}
        try:
            for item in ranged:
                if second:
                    variables[first], variables[second] = item
                else:
                    variables[first] = item
                if not self._is_endless and self._condition(frame) is False:
                    break
                try:
                    variables[self._accu] = self._step(frame)
                except EvaluationError as error:
                    variables[self._accu] = error
                frame.turn()
            return self._result(frame)
        finally:
            frame.variables = outside

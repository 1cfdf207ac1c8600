"""Calls: what they evaluate of their arguments, and what they cost.

Most evaluate all arguments, and cost what `charges` says. `&&`, `||`, `?:`, `or` and `orValue` look at what they need,
and cost nothing; `x in ['a', 'b']` costs nothing but its x, for a list of constants is a set.

Neighbours: `interpreter` makes steps of these; `reading` has what is read by an index.
"""

from collections.abc import Callable, Mapping
from typing import Any

from actors.apiserver.cel import charges
from actors.apiserver.cel.errors import EvaluationError, no_such_overload
from actors.apiserver.cel.frames import Attribute, Frame, Qualifier, Run, Step, constant
from actors.apiserver.cel.reading import qualified
from actors.apiserver.cel.values import MISSING, Optional, Uint, same


def caller(do: Callable[..., Any], steps: list[Step], charge: charges.Charge | None) -> Run:
    """Return what calls a function: it evaluates all arguments, and is charged."""
    runs = [one.run for one in steps]
    if len(runs) == 2 and steps[1].constant is not MISSING:
        return _caller_with_constant(do, runs[0], steps[1].constant, charge)
    if len(runs) == 1:
        return _caller_of_one(do, runs[0], charge)
    if len(runs) == 2:
        return _caller_of_two(do, runs[0], runs[1], charge)

    def run(frame: Frame) -> Any:
        try:
            args = [one(frame) for one in runs]
            value = do(*args)
        except EvaluationError:
            frame.cost += 1
            raise
        frame.cost += 1 if charge is None else charge(args, value)
        return value

    return run


def _caller_of_one(do: Callable[..., Any], argument: Run, charge: charges.Charge | None) -> Run:
    def run(frame: Frame) -> Any:
        try:
            one = argument(frame)
            value = do(one)
        except EvaluationError:
            frame.cost += 1
            raise
        frame.cost += 1 if charge is None else charge((one,), value)
        return value

    return run


def _caller_with_constant(do: Callable[..., Any], left: Run, other: Any, charge: charges.Charge | None) -> Run:
    def run(frame: Frame) -> Any:
        try:
            one = left(frame)
            value = do(one, other)
        except EvaluationError:
            frame.cost += 1
            raise
        frame.cost += 1 if charge is None else charge((one, other), value)
        return value

    return run


def _caller_of_two(do: Callable[..., Any], left: Run, right: Run, charge: charges.Charge | None) -> Run:
    def run(frame: Frame) -> Any:
        try:
            one = left(frame)
        except EvaluationError:
            frame.cost += 1
            _cost_only(right, frame)
            raise
        try:
            other = right(frame)
            value = do(one, other)
        except EvaluationError:
            frame.cost += 1
            raise
        frame.cost += 1 if charge is None else charge((one, other), value)
        return value

    return run


def _cost_only(run: Run, frame: Frame) -> None:
    """Both sides of an operator are evaluated, though the first one's error is what comes of it."""
    try:
        run(frame)
    except EvaluationError:
        return


def set_membership(steps: list[Step], overloads: tuple[str, ...]) -> Step | None:
    """`x in ['a', 'b']`: costs nothing but its x, for a list of constants is a set. None for any other list."""
    members = steps[1].constant
    if overloads != ("in_list",) or not isinstance(members, list):
        return None
    if not members:
        return constant(False)
    if any(type(one) not in (str, int, float, bool, Uint, type(None)) for one in members):
        return None
    wanted = steps[0].run
    texts = frozenset(one for one in members if type(one) is str)
    others = [one for one in members if type(one) is not str]

    def run(frame: Frame) -> bool:
        value = wanted(frame)
        return value in texts if type(value) is str else any(same(value, one) for one in others)

    return Step(run)


def _and(steps: list[Step]) -> Step:
    return Step(_logical(steps[0].run, steps[1].run, False))


def _or(steps: list[Step]) -> Step:
    return Step(_logical(steps[0].run, steps[1].run, True))


def _logical(left: Run, right: Run, deciding: bool) -> Run:
    """`&&` and `||`: one side that decides is enough, whatever the other one is, an error too."""

    def run(frame: Frame) -> bool:
        failed: EvaluationError | None = None
        try:
            one = left(frame)
            if one is deciding:
                return deciding
            if one.__class__ is not bool:
                failed = no_such_overload("_||_" if deciding else "_&&_", one)
        except EvaluationError as error:
            failed = error
        other = right(frame)
        if other is deciding:
            return deciding
        if other.__class__ is not bool:
            raise failed or no_such_overload("_||_" if deciding else "_&&_", other)
        if failed is not None:
            raise failed
        return not deciding

    return run


def _choice(steps: list[Step]) -> Step:
    condition = steps[0].run
    chosen, other = (one.bare or one.run for one in steps[1:])

    def root(frame: Frame) -> Any:
        which = condition(frame)
        if which is True:
            return chosen(frame)
        if which is False:
            return other(frame)
        raise no_such_overload("_?_:_", which)

    return Step(root, root, attribute=Attribute(root, "", False, True, ()))


def _not_strictly_false(steps: list[Step]) -> Step:
    value = steps[0].run

    def run(frame: Frame) -> bool:
        try:
            found = value(frame) is not False
        except EvaluationError:
            found = True
        frame.cost += 1
        return found

    return Step(run)


def _index(steps: list[Step]) -> Step:
    return _indexed(steps, False)


def _optional_index(steps: list[Step]) -> Step:
    return _indexed(steps, True)


def _indexed(steps: list[Step], is_optional: bool) -> Step:
    operand, key = steps
    if key.constant is not MISSING:
        return qualified(operand, Qualifier(key.constant, None, is_optional))
    return qualified(operand, Qualifier(None, key.bare or key.run, is_optional))


def _or_value(steps: list[Step]) -> Step:
    option, other = steps[0].run, steps[1].run

    def run(frame: Frame) -> Any:
        found = option(frame)
        if type(found) is not Optional:
            raise no_such_overload("orValue", found)
        return other(frame) if found.value is MISSING else found.value

    return Step(run)


def _or_option(steps: list[Step]) -> Step:
    option, other = steps[0].run, steps[1].run

    def run(frame: Frame) -> Any:
        found = option(frame)
        if type(found) is not Optional:
            raise no_such_overload("or", found)
        return other(frame) if found.value is MISSING else found

    return Step(run)


SPECIAL: Mapping[str, Callable[[list[Step]], Step]] = {
    "_&&_": _and,
    "_||_": _or,
    "_?_:_": _choice,
    "@not_strictly_false": _not_strictly_false,
    "_[_]": _index,
    "_?._": _optional_index,
    "_[?_]": _optional_index,
    "orValue": _or_value,
    "or": _or_option,
}

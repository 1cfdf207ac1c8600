"""What an evaluation is made of: the frame that it runs in, and the steps that a tree becomes.

Neighbours: `interpreter` makes steps, of `reading`, `loops` and `calls`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actors.apiserver.cel.errors import CostExceeded
from actors.apiserver.cel.limits import CHECK_FREQUENCY, PER_CALL, Budget
from actors.apiserver.cel.values import MISSING


class Frame:
    """One evaluation: its variables, and what it has cost so far."""

    __slots__ = ("budget", "cost", "turns", "variables")

    def __init__(self, variables: dict[str, Any], budget: Budget) -> None:
        self.variables = variables
        self.budget = budget
        self.cost = 0
        self.turns = 0

    def turn(self) -> None:
        """A turn of a loop. Raises Stopped."""
        if self.cost > PER_CALL:
            self.budget.spend(self.cost)
            raise CostExceeded()
        self.turns += 1
        if self.turns >= CHECK_FREQUENCY:
            self.turns = 0
            self.budget.look_at_the_clock()


Run = Callable[[Frame], Any]


@dataclass(frozen=True, slots=True)
class Step:
    """`bare`: as a branch of `?:` or the subject of `has`, where a name by itself is free. None: the same as `run`."""

    run: Run
    bare: Run | None = None
    constant: Any = MISSING
    attribute: "Attribute | None" = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something that is named, and what is read of it, step by step."""

    root: Run
    name: str
    is_plain: bool
    is_choice: bool
    qualifiers: tuple["Qualifier", ...]


@dataclass(frozen=True, slots=True)
class Qualifier:
    """What is read: by a `key` that is known, or by one that is computed."""

    key: Any
    compute: Run | None
    is_optional: bool


def constant(value: Any) -> Step:
    return Step(lambda frame: value, constant=value)

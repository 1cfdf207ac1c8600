"""The server's seats, shared by priority levels: what each is sure of, what it lends, and what it may borrow.

A level's nominal seats are its share of all. It lends a part of them; the rest is its own whatever happens. Seats that
are lendable are a common pool: a level takes from it beyond what it is sure of, up to its own nominal seats and its
borrowing limit. So a seat that nobody needs is never idle while somebody waits, and a borrower gives back by finishing:
a freed seat goes to a level below its nominal seats before it goes to a borrower (see `fairness`).

Kubernetes moves lent seats each ten seconds, by demand; here it is instant. Source: KEP-1040. Pure; no clock.
"""

import math
from collections.abc import Mapping
from typing import Any


class Level:
    """A priority level's seats. A turn's width is how many it takes."""

    __slots__ = ("ceiling", "executing", "in_use", "is_exempt", "name", "nominal", "sure", "uid", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.uid = ""
        self.is_exempt = False
        self.nominal = 0
        self.sure = 0  # of the nominal seats: those that it doesn't lend
        self.ceiling = 0  # with all that it may borrow
        self.in_use = 0  # seats
        self.executing = 0  # requests
        self.waiting = 0  # requests

    @property
    def load(self) -> float:
        """How much of its own a level uses."""
        return self.in_use / self.nominal if self.nominal else math.inf


class Seats:
    def __init__(self, total: int) -> None:
        self.total = total
        self.levels: dict[str, Level] = {}
        self._pool = 0  # seats that levels lend to each other and to themselves
        self._pool_used = 0

    def configure(self, specs: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
        """Take over uid and spec of every PriorityLevelConfiguration by name.

        A level that is gone keeps no seats but those of what still runs in it.
        """
        shares = {name: _shares(spec) for name, (_, spec) in specs.items()}
        whole = sum(shares.values()) or 1
        for name in self.levels.keys() - specs.keys():
            self._place(self.levels[name], 0, 0, 0)
        for name, (uid, spec) in specs.items():
            level = self.levels.setdefault(name, Level(name))
            level.uid, level.is_exempt = uid, spec.get("type") == "Exempt"
            part = spec.get("limited") or spec.get("exempt") or {}
            nominal = math.ceil(self.total * shares[name] / whole)
            lendable = round(nominal * (part.get("lendablePercent") or 0) / 100)
            borrowing = part.get("borrowingLimitPercent")
            limit = self.total if borrowing is None else nominal + round(nominal * borrowing / 100)
            self._place(level, nominal, nominal - lendable, limit)
        for name in [name for name, one in self.levels.items() if name not in specs and not one.executing]:
            del self.levels[name]
        self._pool = sum(level.nominal - level.sure for level in self.levels.values())
        self._pool_used = sum(
            max(0, level.in_use - level.sure) for level in self.levels.values() if not level.is_exempt
        )

    def take(self, level: Level, width: int) -> bool:
        """Take seats if the level may have them now."""
        used = level.in_use + width
        if used > level.sure and not level.is_exempt:
            beyond = used - max(level.sure, level.in_use)
            if used > level.ceiling or self._pool_used + beyond > self._pool:
                return False
            self._pool_used += beyond
        level.in_use = used
        level.executing += 1
        return True

    def take_anyway(self, level: Level, width: int) -> None:
        """Take seats that there may not be; they are given back like others."""
        if not level.is_exempt:
            self._pool_used += max(0, level.in_use + width - max(level.sure, level.in_use))
        level.in_use += width
        level.executing += 1

    def give_back(self, level: Level, width: int) -> None:
        if not level.is_exempt and level.in_use > level.sure:
            self._pool_used -= min(width, level.in_use - level.sure)
        level.in_use -= width
        level.executing -= 1

    def _place(self, level: Level, nominal: int, sure: int, ceiling: int) -> None:
        level.nominal, level.sure, level.ceiling = nominal, sure, ceiling


def _shares(spec: Mapping[str, Any]) -> int:
    part = spec.get("limited") or spec.get("exempt") or {}
    return part.get("nominalConcurrencyShares") or 0

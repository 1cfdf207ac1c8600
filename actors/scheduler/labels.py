"""Node labels as columns: one int32 array a key, holding for each node the number of its value, or -1.

A label requirement becomes a table of accepted value numbers; applying it to all nodes is one take. A column is dropped
with its last node and renumbered when values churn, so memory follows what nodes carry now.

Neighbours: `arrays` owns the columns; `node_selector` asks them.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

ABSENT = -1
STALE_VALUES = 4  # a column with more than this many numbers a row is renumbered


class LabelColumn:
    """The values of one label key over all rows."""

    def __init__(self, capacity: int) -> None:
        self.ids = np.full(capacity, ABSENT, dtype=np.int32)
        self.values: dict[str, int] = {}
        self.used = 0  # rows that carry the key

    def grow(self, capacity: int) -> None:
        grown = np.full(capacity, ABSENT, dtype=np.int32)
        grown[: len(self.ids)] = self.ids
        self.ids = grown

    def set(self, row: int, value: str | None) -> None:
        self.used += (value is not None) - bool(self.ids[row] != ABSENT)
        self.ids[row] = ABSENT if value is None else self._number(value)

    def accepting(self, values: Iterable[str], absent: bool = False) -> np.ndarray:
        """Return the table that accepts these values: index it with `ids`; its last entry stands for absence."""
        table = np.zeros(len(self.values) + 1, dtype=bool)
        for value in values:
            number = self.values.get(value)
            if number is not None:
                table[number] = True
        table[ABSENT] = absent
        return table

    def accepting_where(self, predicate: Callable[[str], bool]) -> np.ndarray:
        return self.accepting(value for value in self.values if predicate(value))

    def _number(self, value: str) -> int:
        number = self.values.get(value)
        if number is None:
            if len(self.values) > STALE_VALUES * len(self.ids):
                self._renumber()
            number = self.values[value] = len(self.values)
        return number

    def _renumber(self) -> None:
        names = {number: value for value, number in self.values.items()}
        live = [int(number) for number in np.unique(self.ids) if number != ABSENT]
        renumbered = np.full(len(names) + 1, ABSENT, dtype=np.int32)
        renumbered[live] = np.arange(len(live), dtype=np.int32)
        self.values = {names[number]: place for place, number in enumerate(live)}
        self.ids = renumbered[self.ids]


class LabelColumns:
    """The columns of all label keys that any node carries."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._columns: dict[str, LabelColumn] = {}

    def get(self, key: str) -> LabelColumn | None:
        return self._columns.get(key)

    def grow(self, capacity: int) -> None:
        self._capacity = capacity
        for column in self._columns.values():
            column.grow(capacity)

    def replace(self, row: int, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        for key in old.keys() - new.keys():
            column = self._columns[key]
            column.set(row, None)
            if not column.used:
                del self._columns[key]
        for key, value in new.items():
            if old.get(key) != value:
                column = self._columns.get(key) or self._columns.setdefault(key, LabelColumn(self._capacity))
                column.set(row, value)

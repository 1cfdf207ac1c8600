"""From how much to how much: sizes and costs of what is not there yet. Whole numbers that end at 64 bits.

Neighbours: `cost` and `estimates` reckon with them.
"""

import math
from dataclasses import dataclass

MAX = 2**64 - 1  # where all of them stop growing


def _bounded(value: int) -> int:
    return min(value, MAX)


@dataclass(frozen=True, slots=True)
class Range:
    """Least and most."""

    least: int
    most: int

    def __add__(self, other: "Range") -> "Range":
        return Range(_bounded(self.least + other.least), _bounded(self.most + other.most))

    def __mul__(self, other: "Range") -> "Range":
        return Range(_bounded(self.least * other.least), _bounded(self.most * other.most))

    def __or__(self, other: "Range") -> "Range":
        """What encompasses both."""
        return Range(min(self.least, other.least), max(self.most, other.most))

    def times(self, factor: float) -> "Range":
        """Rounded up."""
        return Range(_times(self.least, factor), _times(self.most, factor))


def _times(value: int, factor: float) -> int:
    product = math.ceil(float(value) * factor)
    return MAX if product >= 2.0**64 else product


def exactly(value: int) -> Range:
    return Range(value, value)


NOTHING, ONE, UNKNOWN = exactly(0), exactly(1), Range(0, MAX)

"""Lists of quantities that add up and print as Kubernetes' do: exact, and in the format that they were written in.

`1Gi` and `512Mi` make `1536Mi`, `500m` and `1` make `1500m`: a sum keeps the format of what was there first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from actors.api.quantity import format_quantity, parse_quantity

_BINARY_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


@dataclass(frozen=True, slots=True)
class Amount:
    value: Decimal
    binary: bool = False  # written with Ki, Mi ...

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.value + other.value, self.binary if self.value else other.binary)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.value - other.value, self.binary if self.value else other.binary)

    def rounded_up(self) -> "Amount":
        """Return the whole number of units, as bytes are counted."""
        return Amount(self.value.to_integral_value(rounding=ROUND_CEILING), self.binary)

    def __str__(self) -> str:
        whole = self.value == self.value.to_integral_value()
        if not self.binary or not whole or abs(self.value) < 1024:
            return format_quantity(self.value)
        number, power = int(self.value), 0
        while number % 1024 == 0 and power < len(_BINARY_SUFFIXES) - 1:
            number //= 1024
            power += 1
        return f"{number}{_BINARY_SUFFIXES[power]}"


Amounts = dict[str, Amount]

ZERO = Amount(Decimal(0))
ONE = Amount(Decimal(1))


def amount(text: str | int | float) -> Amount:
    """Return the amount that a quantity says; ValueError when it says none."""
    return Amount(parse_quantity(text), isinstance(text, str) and text.endswith("i"))


def amounts(listed: Mapping[str, str | int | float] | None) -> Amounts:
    """Return a ResourceList's amounts."""
    return {name: amount(text) for name, text in (listed or {}).items()}


def written(listed: Mapping[str, Amount]) -> dict[str, str]:
    """Return amounts as a ResourceList."""
    return {name: str(one) for name, one in listed.items()}


def added(one: Mapping[str, Amount], other: Mapping[str, Amount]) -> Amounts:
    """Return the sums by name; a name that only one of them has keeps its amount."""
    total = dict(one)
    for name, more in other.items():
        total[name] = total[name] + more if name in total else more
    return total


def largest(one: Mapping[str, Amount], other: Mapping[str, Amount]) -> Amounts:
    """Return the larger amount of each name."""
    result = dict(one)
    for name, more in other.items():
        if name not in result or more.value > result[name].value:
            result[name] = more
    return result


def masked(listed: Mapping[str, Amount], names: Iterable[str]) -> Amounts:
    """Return only the amounts of these names."""
    return {name: listed[name] for name in names if name in listed}


def shown(listed: Mapping[str, Amount]) -> str:
    """Return amounts as a message lists them: `cpu=2,pods=1`."""
    return ",".join(f"{name}={listed[name]}" for name in sorted(listed))

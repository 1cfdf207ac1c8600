"""Kubernetes quantities: `100m`, `1.5Gi`, `2e3`, exactly.

Source: the resource quantity format of the API conventions; at most three decimals are kept, rounded up.
"""

import functools
import re
from decimal import ROUND_CEILING, ROUND_UP, Decimal

_PATTERN = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([eE][+-]?\d{1,4})|([KMGTPE]i|[numkMGTPE]|))", re.ASCII)
_BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)} | {
    suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)
}
_NANO = Decimal("1e-9")
LARGEST = Decimal(2**63 - 1)  # quantities are capped there, as the original does
LONGEST = 64  # characters; more is no quantity anybody means


@functools.lru_cache(maxsize=4096)
def parse_quantity(value: str | int | float) -> Decimal:
    """Return the exact value; ValueError when the text is no quantity."""
    text = str(value) if not isinstance(value, float) else repr(value)
    match = _PATTERN.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        raise ValueError(f"{text[:LONGEST]!r} is not a quantity: expected a number and a suffix such as m, k, Mi or Gi")
    number, exponent, suffix = match.groups()
    if exponent:
        amount = Decimal(number + exponent)
    else:
        amount = Decimal(number) * (_BINARY.get(suffix) or _DECIMAL[suffix])
    amount = max(-LARGEST, min(LARGEST, amount))
    return amount.quantize(_NANO, rounding=ROUND_UP) if amount.adjusted() < 18 else amount


@functools.lru_cache(maxsize=4096)
def cpu_millis(value: str | int | float) -> int:
    """Return thousandths of a core, rounded up."""
    return int((parse_quantity(value) * 1000).to_integral_value(rounding=ROUND_CEILING))


@functools.lru_cache(maxsize=4096)
def whole(value: str | int | float) -> int:
    """Return a whole number of units (bytes, pods), rounded up."""
    return int(parse_quantity(value).to_integral_value(rounding=ROUND_CEILING))


bytes_of = whole


def format_quantity(amount: Decimal | int, *, binary: bool = False) -> str:
    """Return the canonical text: the largest suffix that keeps the number whole."""
    amount = Decimal(amount)
    if amount == 0:
        return "0"
    if binary and abs(amount) >= 1024:
        for suffix, factor in reversed(_BINARY.items()):
            if amount % factor == 0:
                return f"{int(amount / factor)}{suffix}"
    for suffix in ("E", "P", "T", "G", "M", "k", "", "m", "u", "n"):
        scaled = amount / _DECIMAL[suffix]
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return f"{int((amount / _NANO).to_integral_value(rounding=ROUND_UP))}n"

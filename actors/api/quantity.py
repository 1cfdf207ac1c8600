"""Kubernetes quantities: `100m`, `1.5Gi`, `2e3`, exactly.

Source: the resource quantity format of the API conventions; at most nine decimals are kept, rounded up.

Neighbours: `machinery.quantities` writes them in canonical form, as the API server stores them.
"""

import functools
import re
from decimal import ROUND_CEILING, ROUND_UP, Context, Decimal, localcontext

PATTERN = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"  # as in the message that Kubernetes answers
LARGEST = Decimal(2**63 - 1)  # amounts to reckon with are capped there, as the original's are
LONGEST = 64  # characters; more is no quantity anybody means, and not computed with
MAX_EXPONENT = 40  # of the exponent form: amounts beyond Kubernetes' int64 range end here
NANO = Decimal("1e-9")
EXACT = Context(prec=120)  # exact for every amount that the limits above let through

_FORM = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,4})?")
_BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)} | {
    suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)
}
_OF_SUFFIX = _BINARY | _DECIMAL


class BadQuantity(ValueError):
    """The text is no quantity."""


def exact(text: str) -> tuple[Decimal, str]:
    """Return the amount, not capped, and the suffix that it was written with; BadQuantity for what is none."""
    number, suffix = _read(text)
    if suffix[:1] in ("e", "E") and suffix not in _OF_SUFFIX and abs(int(suffix[1:])) > MAX_EXPONENT:
        raise BadQuantity("unable to parse quantity's suffix")
    with localcontext(EXACT):
        return (number * _multiplier(suffix)).quantize(NANO, rounding=ROUND_UP), suffix


@functools.lru_cache(maxsize=4096)
def parse_quantity(value: str | int | float) -> Decimal:
    """Return the value, exact up to LARGEST; ValueError when the text is no quantity."""
    text = str(value) if not isinstance(value, float) else repr(value)
    try:
        number, suffix = _read(text)
    except BadQuantity as error:
        complaint = f"{text[:LONGEST]!r} is not a quantity: expected a number and a suffix such as m, k, Mi or Gi"
        raise BadQuantity(complaint) from error
    with localcontext(EXACT):
        return max(-LARGEST, min(LARGEST, number * _multiplier(suffix))).quantize(NANO, rounding=ROUND_UP)


def _read(text: str) -> tuple[Decimal, str]:
    found = _FORM.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise BadQuantity(f"quantities must match the regular expression '{PATTERN}'")
    return Decimal(found[1]), found[2] or ""


def _multiplier(suffix: str) -> Decimal:
    return _OF_SUFFIX[suffix] if suffix in _OF_SUFFIX else Decimal(10) ** int(suffix[1:])


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
    return f"{int((amount / NANO).to_integral_value(rounding=ROUND_UP))}n"

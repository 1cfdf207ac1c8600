"""Quantities in canonical form, as the API server writes them back: "0.5" becomes "500m", "1024Mi" becomes "1Gi".

The rules are those of Kubernetes' `resource.Quantity`: no fraction, the largest suffix that needs none, at most nine
digits after the point (rounded up). Neighbour: `schema` calls `canonical` for every quantity it decodes.
"""

import re
from decimal import ROUND_UP, Context, Decimal, InvalidOperation, localcontext
from functools import lru_cache

PATTERN = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"  # as in the message that Kubernetes answers
MAX_QUANTITY_CHARS = 64  # longer than any sensible amount; a longer one is refused, not computed with
MAX_EXPONENT = 40  # of the exponent form: amounts beyond Kubernetes' int64 range end here

_FORM = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_BY_EXPONENT = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_NANO = Decimal("1e-9")
_CONTEXT = Context(prec=120)  # exact for every amount the limits above let through


class BadQuantity(ValueError):
    """The text is no quantity."""


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """Return the canonical form; BadQuantity for what is none."""
    amount, suffix = _parse(text)
    if amount == 0:
        return "0"
    if suffix in _BINARY and suffix and abs(amount) >= 1024:
        return _binary(amount)
    if suffix[:1] in ("e", "E") and suffix not in _DECIMAL and suffix not in _BINARY:
        mantissa, exponent = _mantissa(amount)
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    mantissa, exponent = _mantissa(amount, 18)
    return f"{mantissa}{_DECIMAL_BY_EXPONENT[exponent]}"


@lru_cache(maxsize=4096)
def amount(text: str) -> Decimal:
    """Return the exact amount of a quantity; BadQuantity for what is none."""
    return _parse(text)[0]


def is_whole(text: str) -> bool:
    """Is it an integer? (The usual context of decimals has no room for the remainder of a large one.)"""
    return _CONTEXT.remainder(amount(text), Decimal(1)) == 0


def is_multiple(text: str, of: Decimal) -> bool:
    """Is it a positive amount, so many times another one?"""
    found = amount(text)
    return found > 0 and of > 0 and _CONTEXT.remainder(found, of) == 0


def _parse(text: str) -> tuple[Decimal, str]:
    found = _FORM.fullmatch(text) if len(text) <= MAX_QUANTITY_CHARS else None
    if found is None:
        raise BadQuantity(f"quantities must match the regular expression '{PATTERN}'")
    number, suffix = found[1], found[2] or ""
    with localcontext(_CONTEXT):
        try:
            return _round_up(Decimal(number) * _multiplier(suffix)), suffix
        except InvalidOperation as error:
            raise BadQuantity(f"quantities must match the regular expression '{PATTERN}'") from error


def _multiplier(suffix: str) -> Decimal:
    if suffix in _DECIMAL:
        return Decimal(10) ** _DECIMAL[suffix]
    if suffix in _BINARY:
        return Decimal(1024) ** _BINARY.index(suffix)
    exponent = int(suffix[1:])
    if abs(exponent) > MAX_EXPONENT:
        raise BadQuantity("unable to parse quantity's suffix")
    return Decimal(10) ** exponent


def _round_up(amount: Decimal) -> Decimal:
    return amount.quantize(_NANO, rounding=ROUND_UP)


def _binary(amount: Decimal) -> str:
    whole = int(amount.to_integral_value(rounding=ROUND_UP))
    power = 0
    while whole % 1024 == 0 and power < len(_BINARY) - 1:
        whole //= 1024
        power += 1
    return f"{whole}{_BINARY[power]}"


def _mantissa(amount: Decimal, highest: int = MAX_EXPONENT) -> tuple[int, int]:
    """Return (integer, exponent), the exponent the largest multiple of three that leaves an integer."""
    whole, exponent = int(amount.scaleb(9, _CONTEXT)), -9
    while whole % 1000 == 0 and exponent + 3 <= highest:
        whole //= 1000
        exponent += 3
    return whole, exponent

"""Quantities in canonical form, as the API server writes them back: "0.5" becomes "500m", "1024Mi" becomes "1Gi".

The rules are those of Kubernetes' `resource.Quantity`: no fraction, the largest suffix that needs none, at most nine
digits after the point (rounded up). Neighbour: `schema` calls `canonical` for every quantity it decodes.
"""

from decimal import ROUND_UP, Decimal
from functools import lru_cache

from actors.api.quantity import EXACT, MAX_EXPONENT, BadQuantity, exact

__all__ = ["BadQuantity", "amount", "canonical", "is_multiple", "is_whole"]

_DECIMAL_BY_EXPONENT = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """Return the canonical form; BadQuantity for what is none."""
    amount, suffix = exact(text)
    if amount == 0:
        return "0"
    if suffix in _BINARY and suffix and abs(amount) >= 1024:
        return _binary(amount)
    if suffix[:1] in ("e", "E") and suffix not in ("E", "Ei"):
        mantissa, exponent = _mantissa(amount)
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    mantissa, exponent = _mantissa(amount, 18)
    return f"{mantissa}{_DECIMAL_BY_EXPONENT[exponent]}"


@lru_cache(maxsize=4096)
def amount(text: str) -> Decimal:
    """Return the exact amount of a quantity; BadQuantity for what is none."""
    return exact(text)[0]


def is_whole(text: str) -> bool:
    """Is it an integer? (The usual context of decimals has no room for the remainder of a large one.)"""
    return EXACT.remainder(amount(text), Decimal(1)) == 0


def is_multiple(text: str, of: Decimal) -> bool:
    """Is it a positive amount, so many times another one?"""
    found = amount(text)
    return found > 0 and of > 0 and EXACT.remainder(found, of) == 0


def _binary(amount: Decimal) -> str:
    whole = int(amount.to_integral_value(rounding=ROUND_UP))
    power = 0
    while whole % 1024 == 0 and power < len(_BINARY) - 1:
        whole //= 1024
        power += 1
    return f"{whole}{_BINARY[power]}"


def _mantissa(amount: Decimal, highest: int = MAX_EXPONENT) -> tuple[int, int]:
    """Return (integer, exponent), the exponent the largest multiple of three that leaves an integer."""
    whole, exponent = int(amount.scaleb(9, EXACT)), -9
    while whole % 1000 == 0 and exponent + 3 <= highest:
        whole //= 1000
        exponent += 3
    return whole, exponent

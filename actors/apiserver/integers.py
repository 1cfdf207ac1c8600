"""Integers in a query or a header, read as Go reads an int64: what other clients' servers refuse is refused here too.

Python's `int` takes blanks, underscores and the digits of any script, and knows no bounds; what comes of it would fail
somewhere behind.

Neighbours: every verb with a number among its parameters.
"""

import re

from actors.api import errors

_INT64 = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
MAX_INT64 = 2**63 - 1
MAX_PORT = 65_535


def int64_of(text: str) -> int | None:
    """Return the number; None when it is none, or one beyond 64 bits."""
    if not _INT64.fullmatch(text):
        return None
    number = int(text)
    return number if -MAX_INT64 - 1 <= number <= MAX_INT64 else None


def port_of(text: str) -> int | None:
    """Return the number of a port; None when it is none."""
    number = int64_of(text) if text[:1].isdigit() else None
    return number if number is not None and 0 < number <= MAX_PORT else None


def whole(name: str, text: str) -> int | None:
    """Return the value of a parameter; None when it is empty. Raises ApiError BadRequest when it is not an integer."""
    if not text:
        return None
    number = int64_of(text)
    if number is None:
        raise errors.bad_request(f'{name}: Invalid value: "{text[:64]}": must be an integer of 64 bits')
    return number

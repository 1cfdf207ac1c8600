"""Uids of new objects: random UUIDs, made from the system's randomness some dozens at a time.

One by one each would cost a call of the system and Python's UUID objects, which together are a twentieth of a create.

Neighbours: `verbs.create` gives one to each new object.
"""

import os

DRAWN = 64  # at a time

_drawn: list[str] = []
os.register_at_fork(after_in_child=_drawn.clear)  # a child must not give out its parent's


def new_uid() -> str:
    """Return a version 4 UUID that was never returned before."""
    if not _drawn:
        _drawn.extend(_draw())
    return _drawn.pop()


def _draw() -> list[str]:
    digits = os.urandom(16 * DRAWN).hex()
    return [_written(digits[start : start + 32]) for start in range(0, 32 * DRAWN, 32)]


def _written(digits: str) -> str:
    """32 random digits as a UUID of version 4 and RFC 9562's variant."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

"""How long ago, as kubectl shows it: two units at most, coarser the longer it is."""

from datetime import datetime

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 31_536_000
UNKNOWN = "<unknown>"


def human_duration(seconds: float) -> str:
    """Return a span as client-go's duration.HumanDuration words it."""
    whole = int(seconds)
    if whole < 0:
        return "0s" if whole >= -1 else "<invalid>"
    if whole < 2 * MINUTE:
        return f"{whole}s"
    if whole < 10 * MINUTE:
        return _two(whole, MINUTE, "m", 1, "s")
    if whole < 3 * HOUR:
        return f"{whole // MINUTE}m"
    if whole < 8 * HOUR:
        return _two(whole, HOUR, "h", MINUTE, "m")
    if whole < 2 * DAY:
        return f"{whole // HOUR}h"
    if whole < 8 * DAY:
        return _two(whole, DAY, "d", HOUR, "h")
    if whole < 2 * YEAR:
        return f"{whole // DAY}d"
    if whole < 8 * YEAR:
        return _two(whole, YEAR, "y", DAY, "d")
    return f"{whole // YEAR}y"


def _two(seconds: int, big: int, big_name: str, small: int, small_name: str) -> str:
    rest = seconds % big // small
    return f"{seconds // big}{big_name}" + (f"{rest}{small_name}" if rest else "")


def since(moment: str | None, now: float) -> str:
    """Return how long ago an RFC 3339 moment was; `now` is seconds since the epoch."""
    if not moment:
        return UNKNOWN
    try:
        return human_duration(now - datetime.fromisoformat(moment).timestamp())
    except ValueError:
        return UNKNOWN


def seconds_between(start: str, end: str) -> float:
    return datetime.fromisoformat(end).timestamp() - datetime.fromisoformat(start).timestamp()

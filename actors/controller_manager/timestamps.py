"""Reading the timestamps of API objects leniently: a missing or mangled one is no reason to stop a control loop.

Neighbours: `actors.api.meta` writes timestamps and reads them strictly.
"""

from actors.api.meta import parse_time


def seconds_of(timestamp: str | None, default: float = 0.0) -> float:
    """Return the wall-clock seconds of an API timestamp; `default` where it is missing or not one."""
    if not timestamp:
        return default
    try:
        return parse_time(timestamp)
    except ValueError:
        return default

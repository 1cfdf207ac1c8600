"""Named places where a test can make a process die or fail, armed over the control socket.

An unarmed failpoint costs one look into an empty dict.
"""

import os
import signal
from dataclasses import dataclass

ACTIONS = ("crash", "error", "off")


class FailpointHit(Exception):
    """An armed failpoint with the action `error` was passed."""


@dataclass(slots=True)
class _Armed:
    action: str
    skip: int


_armed: dict[str, _Armed] = {}


def arm(name: str, action: str, skip: int = 0) -> None:
    """Arm or disarm; ValueError for an unknown action."""
    if action not in ACTIONS:
        raise ValueError(f"failpoint action {action!r}; expected one of {', '.join(ACTIONS)}")
    if action == "off":
        _armed.pop(name, None)
    else:
        _armed[name] = _Armed(action, skip)


def passing(name: str) -> None:
    """Say that execution passes the place called `name`."""
    if not _armed:
        return
    point = _armed.get(name)
    if point is None:
        return
    if point.skip > 0:
        point.skip -= 1
        return
    if point.action == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    del _armed[name]
    raise FailpointHit(name)

"""An event loop whose time jumps to the next timer instead of passing: hours of simulation in a second.

Nothing that runs in it may wait for a real socket, thread or process: the loop would jump past it. A run is a function
of its inputs, as long as nothing in it reads the real clock or unseeded randomness. `VirtualClock` is the injected
clock of the components that run in such a loop.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

EPOCH_S = 1_700_000_000.0  # the wall time at which every simulation begins


class Deadlock(Exception):
    """Nothing is left that could ever happen."""


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: where the loop would sleep, it moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise Deadlock("every task waits for something that nobody will do")
        self.now += max(0.0, timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class VirtualClock:
    """A `runtime.clock.Clock` on a loop's virtual time; `skew_s` sets its wall clock wrong."""

    def __init__(self, loop: asyncio.AbstractEventLoop, skew_s: float = 0.0):
        self._loop = loop
        self.skew_s = skew_s

    def monotonic(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return EPOCH_S + self._loop.time() + self.skew_s


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in virtual time; Deadlock when it can never end."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)

"""Time, injected: monotonic for durations, wall only for timestamps that users see."""

import time
from typing import Protocol


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def wall(self) -> float:
        """Seconds since the Unix epoch; may jump."""


class SystemClock:
    """The machine's. `wall_shift_s` is for tests of machines whose clocks are wrong, set over the control socket."""

    def __init__(self) -> None:
        self.wall_shift_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time() + self.wall_shift_s


class ManualClock:
    """A clock that a test or a simulation moves by hand."""

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_700_000_000.0):
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self) -> float:
        return self._monotonic

    def wall(self) -> float:
        return self._wall

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time does not go back; use jump_wall for a clock that was set")
        self._monotonic += seconds
        self._wall += seconds

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator or NTP does."""
        self._wall += seconds

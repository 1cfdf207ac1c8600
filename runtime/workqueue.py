"""A queue of keys for reconcilers: deduplicated, never the same key twice at once, delayed and rate-limited adds.

The promises are client-go's: a key that is added while it is being worked on is handed out again when it is done;
adding a waiting key changes nothing, except that an earlier time wins. `RetryLimiter` is the pure part.

Neighbours: `informer` adds keys, a controller takes them.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Any

from runtime.clock import Clock

BASE_DELAY_S = 0.005  # after the first failure of a key; doubles with each further one
MAX_DELAY_S = 1000.0


class ShutDown(Exception):
    """The queue was shut down and is empty."""


class RetryLimiter:
    """How long a key waits before its next try: doubles with each failure in a row."""

    def __init__(self, base_s: float = BASE_DELAY_S, limit_s: float = MAX_DELAY_S):
        self._base_s = base_s
        self._limit_s = limit_s
        self._failures: dict[Hashable, int] = {}

    def delay_s(self, key: Hashable) -> float:
        """Count a failure of this key, and return the wait that follows it."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return min(self._base_s * 2 ** min(failures, 60), self._limit_s)

    def failures(self, key: Hashable) -> int:
        return self._failures.get(key, 0)

    def forget(self, key: Hashable) -> None:
        self._failures.pop(key, None)


class WorkQueue:
    """Keys to reconcile. A worker loops: `key = await get()`, works, then `done(key)`."""

    def __init__(self, clock: Clock, limiter: RetryLimiter | None = None):
        self._clock = clock
        self._limiter = limiter or RetryLimiter()
        self._ready: deque[Any] = deque()
        self._dirty: set[Any] = set()
        self._working: set[Any] = set()
        self._timers: dict[Any, tuple[float, asyncio.TimerHandle]] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: Any) -> None:
        if self._closed or key in self._dirty:
            return
        self._cancel_timer(key)
        self._dirty.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._wake_one()

    def add_after(self, key: Any, delay_s: float) -> None:
        """Add the key when `delay_s` have passed; of several such times the earliest counts."""
        if delay_s <= 0:
            self.add(key)
            return
        if self._closed or key in self._dirty:
            return
        due = self._clock.monotonic() + delay_s
        waiting = self._timers.get(key)
        if waiting is not None:
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer, key)
        self._timers[key] = (due, timer)

    def add_rate_limited(self, key: Any) -> None:
        """Add the key after a wait that doubles with each failure since the last `forget`."""
        self.add_after(key, self._limiter.delay_s(key))

    def failures(self, key: Any) -> int:
        return self._limiter.failures(key)

    def forget(self, key: Any) -> None:
        """The key succeeded: its next failure waits the base delay again."""
        self._limiter.forget(key)

    async def get(self) -> Any:
        """Return the next key, which nobody else works on; ShutDown when the queue was shut down."""
        while not self._ready:
            if self._closed:
                raise ShutDown
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake_one()  # this wake was meant for somebody who still waits
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: Any) -> None:
        """The worker is through with this key; if it was added meanwhile, it is due again."""
        self._working.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake_one()

    def shut_down(self) -> None:
        self._closed = True
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        while self._waiters:
            self._wake_one()

    def _on_timer(self, key: Any) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: Any) -> None:
        waiting = self._timers.pop(key, None)
        if waiting is not None:
            waiting[1].cancel()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

"""The thread in which the actor waits for its disk, so that its loop need not.

One call at a time, in order. Cheaper to hand work to than an executor, which matters to a write that waits for nothing
but one sync.

Neighbours: `storing` gives it appends, `committer` releases and the end.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Done = Callable[[Any, Exception | None], None]
Call = tuple[Done, Callable[..., Any], tuple[Any, ...]]


class DiskThread:
    """Runs calls in a thread of its own; made in the loop that waits for them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._under_way = 0  # calls whose results have not reached the loop
        # A daemon: a process that ends because an invariant broke must not wait for a disk that hangs.
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()

    def do(self, call: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        """Return the future of a call's result, or of what it raised."""
        future = self._loop.create_future()
        self.then(functools.partial(_settle, future), call, *arguments)
        return future

    def then(self, done: Done, call: Callable[..., Any], *arguments: Any) -> None:
        """Run a call; `done` gets its result, or what it raised, in the loop and without a detour."""
        self._under_way += 1
        self._calls.put((done, call, arguments))

    @property
    def is_idle(self) -> bool:
        """Whether the loop may use the files itself."""
        return not self._under_way

    def close(self) -> None:
        """Let the thread end after what it was given."""
        self._calls.put(None)

    def _run(self) -> None:
        while (given := self._calls.get()) is not None:
            done, call, arguments = given
            result, failure = outcome_of(call, *arguments)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._back, done, result, failure)

    def _back(self, done: Done, result: Any, failure: Exception | None) -> None:
        self._under_way -= 1
        done(result, failure)


def outcome_of(call: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """Return a call's result, or what it raised."""
    try:
        return call(*arguments), None
    except Exception as error:  # noqa: BLE001 - whoever gets the outcome deals with it
        return None, error


def _settle(future: "asyncio.Future[Any]", result: Any, failure: Exception | None) -> None:
    if future.done():  # whoever waited was cancelled
        return
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(result)

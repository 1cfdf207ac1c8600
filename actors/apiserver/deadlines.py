"""No request is worked on for ever: after a minute, or what `?timeout=` says, it is given up and answered with 504.

Requests are noted when they begin and looked through now and then; a timer for each would cost more than most requests.
Watches, logs and other streams are not noted. A write that is given up may have happened all the same.

Neighbours: `handler` notes; the actor runs `sweep`.
"""

import asyncio
import re
from typing import Any

from actors.api import errors
from actors.apiserver.request_info import RequestInfo
from runtime.clock import Clock

REQUEST_TIMEOUT_S = 60.0  # Kubernetes' --request-timeout
SWEEP_S = 0.25  # how exactly it is kept

_DURATION = re.compile(r"(?:(\d{1,9}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h))")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Deadlines:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self.given_up = 0

    def begin(self, info: RequestInfo, task: "asyncio.Task[Any] | None" = None) -> "asyncio.Task[Any]":
        """Note a request of this task, or of the one that is named; return the task. Raises ApiError BadRequest."""
        task = task or asyncio.current_task()
        assert task is not None, "requests are worked on in tasks"
        self._running[task] = self._clock.monotonic() + timeout_of(info)
        return task

    def end(self, task: "asyncio.Task[Any]") -> None:
        """What `begin` has noted is over, however it ended."""
        del self._running[task]
        if self._late:
            self._late.discard(task)

    def outcome(self, task: "asyncio.Task[Any]", cancelled: asyncio.CancelledError) -> BaseException:
        """Return what a request that was cancelled comes to: ApiError Timeout, if it was given up here."""
        if task not in self._late:
            return cancelled
        task.uncancel()
        self.given_up += 1
        return errors.timeout("request did not complete within the allotted timeout")

    def running(self) -> list[asyncio.Task[Any]]:
        """The tasks of all requests that are being worked on."""
        return list(self._running)

    def give_up_late(self) -> None:
        """Cancel what has run for too long."""
        now = self._clock.monotonic()
        for task, until in list(self._running.items()):
            if until <= now and task not in self._late:
                self._late.add(task)
                task.cancel()

    async def sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.give_up_late()


def timeout_of(info: RequestInfo) -> float:
    """How long a request may take. Raises ApiError BadRequest for a `timeout` that is no duration."""
    text = info.query.get("timeout", "")
    if not text:
        return REQUEST_TIMEOUT_S
    seconds = duration_s(text)
    if seconds is None or seconds < 0:
        raise errors.bad_request(f"invalid timeout specified in the request URL: {text[:100]}")
    return min(seconds, REQUEST_TIMEOUT_S) or REQUEST_TIMEOUT_S


def duration_s(text: str) -> float | None:
    """Read a duration as Go writes it: 1m30s, 500ms; plain digits are seconds, as kubectl's. None when it is none."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    total, end = 0.0, 0
    for match in _DURATION.finditer(text):
        if match.start() != end:
            return None
        total += float(match[1]) * _SECONDS[match[2]]
        end = match.end()
    return total if end and end == len(text) else None

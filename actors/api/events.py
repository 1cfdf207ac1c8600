"""Events: what a component tells users about an object. Best effort, aggregated, never in the way of the work.

The same event about the same object becomes one Event with a count. A burst about one object is cut, as client-go's
spam filter does; when the queue is full or the API says no, an event is dropped and counted.

An `Outbox` sends what all recorders of a process tell, one event at a time and no faster than Kubernetes' kubelet by
default (`--event-qps`, `--event-burst`): of a rush of pods, events are otherwise the greater half of all writes, and
what users wait for stands in line behind what they may read later. For the same reason they give way while the process
is busy with what users wait for, for a while.
"""

import asyncio
import hashlib
from collections import OrderedDict, deque
from typing import Any

from actors.api.client import ApiClient
from actors.api.errors import ApiError
from actors.api.meta import Object, object_reference, rfc3339
from bus import BusError
from runtime.background import spawn
from runtime.clock import Clock

QUEUE = 1000  # events of one process that wait to be sent; one more is dropped
SENT_PER_S = 50.0  # events, once
SENT_AT_ONCE = 100  # were sent without a pause
GIVE_WAY_S = 3.0  # that an event waits at most for a busy process: 30 pods at once are Ready by then
FLUSH_S = 1.0  # for what is left to be sent at the end of a process
REMEMBERED = 4096  # events whose Event object is updated when they come again
BURST = 25  # events about one object in a row; then one each `REFILL_S`
REFILL_S = 300.0
MAX_MESSAGE_BYTES = 1024  # of an Event's message, as the API demands

_Key = tuple[str, ...]


class Outbox:
    """Sends the events of a process in order. Best effort: what the API refuses, or can't take, is dropped."""

    def __init__(self, api: ApiClient, clock: Clock):
        self._api, self._clock = api, clock
        self._queue: deque[tuple[float, _Key, Object]] = deque()  # with the time when it was told
        self._known: OrderedDict[_Key, tuple[str, str, int]] = OrderedDict()  # name, namespace, count
        self._sending: asyncio.Task[None] | None = None
        self._tokens, self._filled_s = float(SENT_AT_ONCE), clock.monotonic()
        self._hurry = asyncio.Event()
        self._calm: asyncio.Event | None = None
        self.dropped = 0

    def give_way(self, calm: asyncio.Event) -> None:
        """Hold events back while `calm` is not set, each for GIVE_WAY_S at most."""
        self._calm = calm

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= QUEUE

    def put(self, key: _Key, event: Object) -> None:
        """Have an event sent. Returns at once."""
        self._queue.append((self._clock.monotonic(), key, event))
        if self._sending is None or self._sending.done():
            self._sending = spawn(self._send_all(), "events")

    async def flush(self) -> None:
        """Wait a moment until all that was told is sent or dropped; from now on nothing is held back."""
        self._hurry.set()
        if self._sending is not None:
            await asyncio.wait((self._sending,), timeout=FLUSH_S)

    async def _send_all(self) -> None:
        while self._queue:
            await self._calmness(self._queue[0][0])
            await self._turn()
            _, key, event = self._queue.popleft()
            try:
                self._remember(key, await self._send(key, event))
            except (ApiError, BusError):
                self.dropped += 1

    async def _calmness(self, told_s: float) -> None:
        """Return when the process is calm, or an event has waited long enough."""
        left_s = told_s + GIVE_WAY_S - self._clock.monotonic()
        if self._calm is None or self._calm.is_set() or self._hurry.is_set() or left_s <= 0.0:
            return
        either = [asyncio.ensure_future(event.wait()) for event in (self._calm, self._hurry)]
        try:
            await asyncio.wait(either, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in either:
                waiting.cancel()

    async def _turn(self) -> None:
        """Return when the next event may be sent."""
        now_s = self._clock.monotonic()
        self._tokens = min(float(SENT_AT_ONCE), self._tokens + (now_s - self._filled_s) * SENT_PER_S) - 1.0
        self._filled_s = now_s
        if self._tokens < 0.0 and not self._hurry.is_set():
            try:
                async with asyncio.timeout(-self._tokens / SENT_PER_S):
                    await self._hurry.wait()
            except TimeoutError:
                return

    async def _send(self, key: _Key, event: Object) -> Object:
        known = self._known.get(key)
        if known is not None:
            name, namespace, count = known
            patch: Any = {"count": count + 1, "lastTimestamp": event["lastTimestamp"]}
            try:
                return await self._api.patch("events", name, patch, namespace)
            except ApiError as error:
                if error.reason != "NotFound":
                    raise
        return await self._api.create("events", event)

    def _remember(self, key: _Key, event: Object) -> None:
        metadata = event["metadata"]
        self._known[key] = metadata["name"], metadata["namespace"], event["count"]
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


class EventRecorder:
    """Tells on behalf of one component, on one node if it has one."""

    def __init__(self, outbox: Outbox, component: str, host: str, clock: Clock):
        self._outbox = outbox
        self._source = {"component": component, "host": host} if host else {"component": component}
        self._clock = clock
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.dropped = 0

    def event(self, obj: Object, kind: str, reason: str, message: str, field_path: str = "") -> None:
        """Tell users; `kind` is Normal or Warning, `field_path` the part that it is about. Returns at once."""
        reference = object_reference(obj) | ({"fieldPath": field_path} if field_path else {})
        if self._outbox.is_full or not self._may_tell(reference.get("uid") or reference.get("name", "")):
            self.dropped += 1
            return
        message = message.encode()[:MAX_MESSAGE_BYTES].decode(errors="ignore")
        component, host = self._source["component"], self._source.get("host", "")
        about = (reference.get("uid", ""), reference.get("fieldPath", ""))
        self._outbox.put((component, host, *about, kind, reason, message), self._made(reference, kind, reason, message))

    def _may_tell(self, about: str) -> bool:
        now = self._clock.monotonic()
        tokens, at = self._tokens.pop(about, (float(BURST), now))
        tokens = min(float(BURST), tokens + (now - at) / REFILL_S)
        allowed = tokens >= 1
        self._tokens[about] = (tokens - 1 if allowed else tokens, now)
        if len(self._tokens) > REMEMBERED:
            self._tokens.popitem(last=False)
        return allowed

    def _made(self, reference: Object, kind: str, reason: str, message: str) -> Object:
        now_s = self._clock.wall()
        now = rfc3339(now_s)
        suffix = hashlib.blake2b(f"{reason}{message}{now_s}".encode(), digest_size=8).hexdigest()
        namespace = reference.get("namespace") or "default"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{reference.get('name', 'unknown')}.{suffix}", "namespace": namespace},
            "involvedObject": reference,
            "reason": reason,
            "message": message,
            "source": self._source,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "reportingComponent": self._source["component"],
            "reportingInstance": self._source.get("host", ""),
        }

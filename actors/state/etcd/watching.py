"""etcd's service Watch: many watches on one stream, each from its revision on, once and in order.

One loop writes. It takes what is due from one watch after the other, and only when the client has taken what was
written before: a client that does not read holds up its own stream, while its watches fall back to reading history, so
it costs next to nothing. Because one loop composes and writes, what a response says about progress is true of all that
was written before it.

Neighbours: `watch` keeps the place of each watch; `translate` makes events; `front` serves it.
"""

import asyncio
import functools
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

from actors.api.etcd import faults
from actors.api.etcd.proto import kv_pb2, rpc_pb2
from actors.state import messages as m
from actors.state.committer import Committer
from actors.state.etcd import translate
from actors.state.etcd.fault import EtcdFault
from actors.state.etcd.header import Headers
from actors.state.watch import Watcher, WatchHub, event_bytes
from bus.errors import BusError, RemoteError

FRAGMENT_BYTES = 1 << 20  # of events in one response to a watch that takes fragments
LOOK_EVERY_S = 1.0  # at what happens by time: progress that is due, a leader that is gone
NOBODY = -1  # the watch id of a response that is for all watches, or for none
MAX_WATCHES = 100_000  # on one stream; each costs about 2 KB


class StreamWatch:
    """One watch of a stream."""

    __slots__ = ("filters", "id", "is_queued", "request", "said_s", "seen", "watcher")

    def __init__(self, number: int, request: rpc_pb2.WatchCreateRequest, watcher: Watcher, seen: int):
        self.id = number
        self.request = request
        self.watcher = watcher
        self.filters = set(request.filters)
        self.seen = seen  # the revision up to which everything was written
        self.said_s = 0.0  # when something was last written
        self.is_queued = False

    def wanted(self, events: list[m.Event]) -> list[m.Event]:
        if not self.filters:
            return events
        no_put = rpc_pb2.WatchCreateRequest.NOPUT in self.filters
        no_delete = rpc_pb2.WatchCreateRequest.NODELETE in self.filters
        return [event for event in events if not (no_delete if event.deleted else no_put)]


class Watch:
    """The service; `require_leader` is asked of clients that would rather hear of a lost leader than wait."""

    def __init__(self, hub: WatchHub, committer: Committer, headers: Headers, progress_notify_s: float):
        self.hub = hub
        self.committer = committer
        self.headers = headers
        self.progress_notify_s = progress_notify_s

    async def Watch(
        self, requests: AsyncIterator[rpc_pb2.WatchRequest], context: Any
    ) -> AsyncIterator[rpc_pb2.WatchResponse]:
        stream = _Stream(self, _requires_leader(context))
        reading = asyncio.ensure_future(stream.read(requests))
        reading.add_done_callback(stream.on_end)
        try:
            async for response in stream.responses():
                yield response
            await reading  # raises what broke it
        finally:
            reading.cancel()
            stream.close()


class _Stream:
    def __init__(self, service: Watch, requires_leader: bool):
        self._service = service
        self._requires_leader = requires_leader
        self._loop = asyncio.get_running_loop()
        self._watches: dict[int, StreamWatch] = {}
        self._due: deque[StreamWatch] = deque()  # those that may have something, each once
        self._control: deque[rpc_pb2.WatchResponse] = deque()
        self._progress_is_wanted = False
        self._awake = asyncio.Event()
        self._is_over = False
        self._next_id = 0

    # What the client asks

    async def read(self, requests: AsyncIterator[rpc_pb2.WatchRequest]) -> None:
        async for request in requests:
            match request.WhichOneof("request_union"):
                case "create_request":
                    await self._create(request.create_request)
                case "cancel_request":
                    self._cancel(request.cancel_request.watch_id)
                case "progress_request":
                    self._progress_is_wanted = True
            self._awake.set()

    async def _create(self, request: rpc_pb2.WatchCreateRequest) -> None:
        hub = self._service.hub
        key = request.key or b"\0"
        start = max(0, request.start_revision)
        number = request.watch_id or self._free_id()
        if number in self._watches or len(self._watches) >= MAX_WATCHES:
            self._refuse("mvcc: duplicate watch ID provided on the WatchStream")
            return
        if request.range_end and request.range_end != b"\0" and request.range_end <= key:
            self._refuse("mvcc: watcher range is empty")
            return
        if not start and (current := self._service.committer.barrier()) is not None:
            try:
                await current  # "from now on" is from what the leader has now
            except BusError:
                self._refuse(faults.NO_LEADER[1])
                return
        try:
            watcher = hub.watch(key, request.range_end, start, request.prev_kv)
        except RemoteError as error:
            if error.kind != m.COMPACTED:
                raise
            self._say(number, created=True)
            self._end(number, error)
            return
        revision = hub.store.revision
        watch = StreamWatch(number, request, watcher, min(start - 1, revision) if start else revision)
        watch.said_s = self._loop.time()
        watcher.wake = functools.partial(self._wake, watch)
        self._watches[number] = watch
        self._say(number, created=True)
        self._wake(watch)

    def _cancel(self, number: int) -> None:
        if self._forget(number):
            self._say(number, canceled=True)

    def _free_id(self) -> int:
        while self._next_id in self._watches:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _forget(self, number: int) -> bool:
        watch = self._watches.pop(number, None)
        if watch is None:
            return False
        self._service.hub.cancel(watch.watcher)
        return True

    # What it is told

    async def responses(self) -> AsyncIterator[rpc_pb2.WatchResponse]:
        """Give what is to be written, for as long as the client is there. Raises EtcdFault without a leader."""
        while not self._is_over:
            for response in self._next():
                yield response
            if self._control or self._due or self._progress_is_wanted:
                continue
            self._awake.clear()
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._awake.wait()
            except TimeoutError:
                self._look()

    def on_end(self, reading: "asyncio.Future[None]") -> None:
        """The client asks nothing more: the stream ends."""
        self._is_over = True
        self._awake.set()

    def close(self) -> None:
        for number in list(self._watches):
            self._forget(number)

    def _next(self) -> Iterator[rpc_pb2.WatchResponse]:
        if self._control:
            yield self._control.popleft()
        elif self._progress_is_wanted:
            self._progress_is_wanted = False
            yield self._progress()
        elif self._due:
            yield from self._take(self._due.popleft())

    def _take(self, watch: StreamWatch) -> Iterator[rpc_pb2.WatchResponse]:
        """Write what a watch has next; it comes again after the others, until it has nothing."""
        watch.is_queued = False
        if self._watches.get(watch.id) is not watch:
            return  # cancelled
        try:
            batch = watch.watcher.take()
        except RemoteError as error:
            self._forget(watch.id)
            self._end(watch.id, error)
            return
        if batch is None:
            watch.seen = max(watch.seen, self._service.hub.store.revision)
            return
        self._wake(watch)
        events = watch.wanted(batch.events)
        if events:
            watch.said_s = self._loop.time()
            yield from self._responses_of(watch, events)
        watch.seen = max(watch.seen, batch.revision)

    def _responses_of(self, watch: StreamWatch, events: list[m.Event]) -> Iterator[rpc_pb2.WatchResponse]:
        pieces = list(_fragments(events)) if watch.request.fragment else [events]
        for position, piece in enumerate(pieces):
            made: list[kv_pb2.Event] = [translate.event_to(event) for event in piece]
            is_part = position < len(pieces) - 1
            yield self._response(watch.id, events=made, fragment=is_part)

    def _progress(self) -> rpc_pb2.WatchResponse:
        """Say up to which revision every watch was given everything."""
        revision = self._service.hub.store.revision
        seen = min((watch.seen for watch in self._watches.values() if watch.is_queued), default=revision)
        response = self._response(NOBODY)
        response.header.revision = min(seen, revision)
        return response

    def _look(self) -> None:
        if self._requires_leader and not self._service.committer.core.leader:
            raise EtcdFault(faults.NO_LEADER)
        now_s, every_s = self._loop.time(), self._service.progress_notify_s
        for watch in self._watches.values():
            if watch.request.progress_notify and not watch.is_queued and now_s - watch.said_s >= every_s:
                watch.said_s = now_s
                self._say(watch.id)

    def _wake(self, watch: StreamWatch) -> None:
        if not watch.is_queued:
            watch.is_queued = True
            self._due.append(watch)
            self._awake.set()

    def _refuse(self, reason: str) -> None:
        self._say(NOBODY, created=True, canceled=True, cancel_reason=reason)

    def _end(self, number: int, error: RemoteError) -> None:
        """A watch cannot go on."""
        compact_revision = (error.detail or {}).get("compact_revision", 0)
        reason = faults.BY_KIND[error.kind][1] if error.kind in faults.BY_KIND else f"etcdserver: {error.message}"
        self._say(number, canceled=True, compact_revision=compact_revision, cancel_reason=reason)

    def _say(self, number: int, **fields: Any) -> None:
        self._control.append(self._response(number, **fields))
        self._awake.set()

    def _response(self, number: int, **fields: Any) -> rpc_pb2.WatchResponse:
        return rpc_pb2.WatchResponse(header=self._service.headers.now(), watch_id=number, **fields)


def _fragments(events: list[m.Event]) -> Iterator[list[m.Event]]:
    piece: list[m.Event] = []
    size_bytes = 0
    for event in events:
        if piece and size_bytes + event_bytes(event) > FRAGMENT_BYTES:
            yield piece
            piece, size_bytes = [], 0
        piece.append(event)
        size_bytes += event_bytes(event)
    yield piece


def _requires_leader(context: Any) -> bool:
    return ("hasleader", "true") in [tuple(pair) for pair in context.invocation_metadata() or ()]

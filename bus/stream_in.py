"""The reading end of a stream: items in order, credit granted as they are read, a loud end when the peer vanishes."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Protocol, Self

from bus.errors import BusError, StreamLost
from bus.record import decode
from bus.stream_out import ALIVE_EVERY_S, ITEM_COST_BYTES

WINDOW_BYTES = 4 * 1024 * 1024  # of unread items that a stream may hold here
SILENCE_S = 3 * ALIVE_EVERY_S  # without an item or an ALIVE; then the stream counts as lost


class Sender(Protocol):
    """The other end, as the reading end needs it: the client's `Connection`, or a peer of the server."""

    endpoint: str

    def grant(self, message_id: str, more_bytes: int) -> None: ...

    def cancel(self, message_id: str) -> None: ...


class InStream:
    """Bodies of a stream's items, by `async for`. Raises the peer's error, or StreamLost, where the stream broke.

    `watched` False: silence is no sign of loss, since somebody else looks after the peer.
    """

    def __init__(self, connection: Sender, message_id: str, window_bytes: int, *, watched: bool = True):
        self._connection = connection
        self._id = message_id
        self._window = window_bytes
        self._read_bytes = 0
        self.unread_bytes = 0
        self._bodies: deque[bytes] = deque()
        self._ended = False
        self._error: BusError | None = None
        self._wake: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._watchdog = self._loop.call_later(SILENCE_S, self._check_silence) if watched else None

    def put(self, body: bytes | None) -> None:
        """Take an item, or with None a sign of life."""
        self._heard_at = self._loop.time()
        if body is not None:
            self._bodies.append(body)
            self.unread_bytes += len(body) + ITEM_COST_BYTES
            self._notify()

    def end(self, error: BusError | None) -> None:
        self._ended, self._error = True, error
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._notify()

    def lose(self, why: str) -> None:
        if not self._ended:
            self.end(StreamLost(why))

    def give_up(self, why: str) -> None:
        """The reader has found out by itself that nothing more will come."""
        if not self._ended:
            self._connection.cancel(self._id)
            self.lose(why)

    def close(self) -> None:
        """Tell the peer that no more is wanted."""
        if not self._ended:
            self._connection.cancel(self._id)
            self.end(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._bodies:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._wake = self._loop.create_future()
            await self._wake
        body = self._bodies.popleft()
        cost = len(body) + ITEM_COST_BYTES
        self.unread_bytes -= cost
        self._read_bytes += cost
        if self._read_bytes * 2 >= self._window and not self._ended:
            self._connection.grant(self._id, self._read_bytes)
            self._read_bytes = 0
        return body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _check_silence(self) -> None:
        silent_s = self._loop.time() - self._heard_at
        if silent_s >= SILENCE_S:
            self.give_up(f"{self._connection.endpoint}: silent for {silent_s:.0f} s")
        else:
            self._watchdog = self._loop.call_later(SILENCE_S - silent_s, self._check_silence)


class Records:
    """The records of a stream, decoded as they are read."""

    def __init__(self, stream: InStream, kind: Any):
        self._stream = stream
        self._kind = kind

    @property
    def has_unread(self) -> bool:
        """Whether the next record is here already."""
        return self._stream.unread_bytes > 0

    def give_up(self, why: str) -> None:
        """End it as lost, for what the reader knows from elsewhere; whoever reads it gets StreamLost."""
        self._stream.give_up(why)

    def __aiter__(self) -> "Records":
        return self

    async def __anext__(self) -> Any:
        return decode(await self._stream.__anext__(), self._kind)

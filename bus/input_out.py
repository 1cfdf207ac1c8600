"""The client's sending end of a stream that goes both ways: records to the server, no more than it grants credit for.

The server grants the first credit when it has opened the stream, so nothing is sent to one that refuses. `send` waits
while credit is used up: a slow reader holds back whoever feeds it, and nothing piles up here.

Neighbours: `client.duplex` opens it; `stream_in` is the reading end at the server, as it is of every stream.
"""

import asyncio

from bus import frames
from bus.errors import BusError, StreamLost
from bus.frames import Kind
from bus.record import Record, encode
from bus.stream_out import ITEM_COST_BYTES, MAX_WINDOW_BYTES, Send


class InputOut:
    def __init__(self, message_id: str, send: Send):
        self._id = message_id
        self._send = send
        self._credit = 0
        self._item_header = frames.pack(Kind.ITEM, message_id)
        self._changed = asyncio.Event()
        self._closed: BusError | None = None
        self._ended = False

    async def send(self, record: Record) -> None:
        """Send a record when the server has room for it; StreamLost when the stream is over."""
        assert not self._ended, "nothing is sent after the end"
        while self._credit <= 0 and self._closed is None:
            self._changed.clear()
            await self._changed.wait()
        if self._closed is not None:
            raise self._closed
        body = encode(record)
        self._credit -= len(body) + ITEM_COST_BYTES
        self._tell(self._item_header, body)

    def end(self) -> None:
        """Say that no more comes; the server goes on sending. Idempotent."""
        if not self._ended and self._closed is None:
            self._ended = True
            self._tell(frames.pack(Kind.END, self._id), b"")

    def grant(self, more_bytes: int) -> None:
        self._credit = min(self._credit + more_bytes, MAX_WINDOW_BYTES)
        self._changed.set()

    def close(self, error: BusError | None) -> None:
        """The stream is over: whoever sends learns so."""
        if self._closed is None:
            self._closed = error or StreamLost("the stream has ended")
            self._changed.set()

    def _tell(self, header: bytes, body: bytes) -> None:
        if not self._send((header, body)):
            self.close(StreamLost("the connection takes no more messages"))
            assert self._closed is not None
            raise self._closed

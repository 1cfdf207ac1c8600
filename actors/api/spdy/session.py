"""SPDY streams over a byte stream: what `connection` decides, done with asyncio.

A stream's unread data is bounded: past `MAX_UNREAD_BYTES` the whole session stops reading until that stream was read,
since SPDY as Kubernetes uses it can hold back a connection only, not a stream.

What can go wrong: the byte stream ends, or the peer breaks the protocol. Then every stream reads its end, `reset` is
true of those that had not ended, writing raises `SessionEnded`, and `run` returns, or raises SpdyError.

Neighbours: the API server runs it in a WebSocket or on a connection that was upgraded, the kubelet over a socket.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from actors.api.spdy.connection import (
    DataReceived,
    Event,
    Role,
    SpdyConnection,
    StreamOpened,
    StreamReplied,
    StreamReset,
)

MAX_UNREAD_BYTES = 256 * 1024  # of one stream


class SessionEnded(Exception):
    """The connection below is gone, or the stream was reset by the peer."""


class ByteStream(Protocol):
    """What a session runs over."""

    async def read(self) -> bytes:
        """Return some bytes; none at the end."""

    async def write(self, data: bytes) -> None:
        """Send all of these bytes; may wait while the peer takes too little."""


class SpdyStream:
    """One stream. Reading is for one task at a time."""

    def __init__(self, session: "Session", stream_id: int, headers: Mapping[str, str]):
        self.id = stream_id
        self.headers = headers
        self.was_reset = False
        self._session = session
        self._unread: deque[bytes] = deque()
        self.unread_bytes = 0
        self._ended = False
        self._changed = asyncio.Event()
        self.replied = asyncio.Event()

    async def read(self) -> bytes:
        """Return data in the order it came; none when the peer has ended the stream, or it was reset."""
        while not self._unread:
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = self._unread.popleft()
        self.unread_bytes -= len(data)
        self._session.was_read()
        return data

    async def write(self, data: bytes, *, fin: bool = False) -> None:
        """Send, and with `fin` say that no more comes. Raises SessionEnded."""
        await self._session.send(self.id, data, fin)

    async def end(self) -> None:
        """Say that no more comes. Idempotent, also on a stream or session that is gone."""
        try:
            await self._session.send(self.id, b"", True)
        except SessionEnded:
            return

    async def reset(self) -> None:
        """End the stream in both ways. Idempotent, also on a session that is gone."""
        await self._session.reset(self)

    def put(self, data: bytes, ended: bool) -> None:
        if data:
            self._unread.append(data)
            self.unread_bytes += len(data)
        self._ended = self._ended or ended
        self._changed.set()

    def drop(self) -> None:
        """Nobody reads it any more."""
        self._unread.clear()
        self.unread_bytes = 0
        self.cut()

    def cut(self) -> None:
        """The peer, or the session, broke the stream off."""
        self.was_reset = self.was_reset or not self._ended
        self.put(b"", True)
        self.replied.set()


class Session:
    """`on_stream` is called with each stream that the peer opens, once it was accepted."""

    def __init__(self, role: Role, below: ByteStream, on_stream: Callable[[SpdyStream], None] | None = None):
        self._connection = SpdyConnection(role)
        self._below = below
        self._on_stream = on_stream
        self._streams: dict[int, SpdyStream] = {}
        self._full: set[SpdyStream] = set()  # streams that hold back the session
        self.ended = asyncio.Event()
        self._was_read = asyncio.Event()

    async def run(self) -> None:
        """Read until the connection ends. Raises SpdyError, and what reading and writing below raise."""
        try:
            while data := await self._below.read():
                for event in self._connection.receive(data):
                    self._on_event(event)
                await self._flush()
                await self._wait_until_read()
        finally:
            self.ended.set()
            for stream in list(self._streams.values()):
                stream.cut()
            self._streams.clear()

    async def open(self, headers: Mapping[str, str], *, fin: bool = False) -> SpdyStream:
        """Open a stream, and wait until the peer has accepted it. Raises SessionEnded."""
        if self.ended.is_set():
            raise SessionEnded("the connection has ended")
        stream = SpdyStream(self, self._connection.open(headers, fin=fin), headers)
        self._streams[stream.id] = stream
        await self._flush()
        await stream.replied.wait()
        if stream.was_reset:
            raise SessionEnded("the peer refused the stream")
        return stream

    async def ping(self) -> int:
        """Ask for a sign of life; returns how many earlier ones were not answered."""
        unanswered = self._connection.pings_unanswered
        self._connection.ping()
        await self._flush()
        return unanswered

    async def go_away(self) -> None:
        self._connection.go_away()
        await self._flush()

    async def send(self, stream_id: int, data: bytes, fin: bool) -> None:
        if self.ended.is_set() or not self._connection.send(stream_id, data, fin=fin):
            raise SessionEnded("the stream is no longer open")
        await self._flush()

    async def reset(self, stream: SpdyStream) -> None:
        self._streams.pop(stream.id, None)
        stream.drop()
        self.was_read()
        if not self.ended.is_set():
            self._connection.reset(stream.id)
            await self._flush()

    def was_read(self) -> None:
        self._was_read.set()

    def _on_event(self, event: Event) -> None:
        match event:
            case StreamOpened(stream_id, headers, fin):
                self._connection.reply(stream_id)
                stream = self._streams[stream_id] = SpdyStream(self, stream_id, headers)
                stream.replied.set()
                if fin:
                    stream.put(b"", True)
                if self._on_stream is not None:
                    self._on_stream(stream)
            case StreamReplied(stream_id, _, fin):
                known = self._streams.get(stream_id)
                if known is not None:
                    known.replied.set()
                    if fin:
                        known.put(b"", True)
            case DataReceived(stream_id, data, fin):
                self._on_data(stream_id, data, fin)
            case StreamReset(stream_id, _):
                lost = self._streams.pop(stream_id, None)
                if lost is not None:
                    lost.cut()

    def _on_data(self, stream_id: int, data: bytes, fin: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.put(data, fin)
        if stream.unread_bytes > MAX_UNREAD_BYTES:
            self._full.add(stream)
        if fin:
            del self._streams[stream_id]  # nothing more comes; its reader still holds what has come

    async def _wait_until_read(self) -> None:
        while self._full:
            self._full = {stream for stream in self._full if stream.unread_bytes > MAX_UNREAD_BYTES}
            if self._full:
                self._was_read.clear()
                await self._was_read.wait()

    async def _flush(self) -> None:
        frames = self._connection.take()
        if frames:
            await self._below.write(frames[0] if len(frames) == 1 else b"".join(frames))

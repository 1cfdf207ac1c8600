"""A connection that has left HTTP: its bytes, read and written by waiting.

Reading holds a bounded number of bytes and pauses the transport beyond it. Writing waits while the peer takes too
little, for as long as that takes: a terminal that somebody stopped with Ctrl-S is no failure. A peer that is gone for
good is noticed by TCP's keepalive.

Neighbours: `http_connection` makes one and feeds it; WebSocket and SPDY run on it.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable

MAX_UNREAD_BYTES = 256 * 1024
KEEPALIVE_S = (30, 10, 6)  # idle time, pause between probes, number of probes: a dead peer is noticed in 90 s


class WireClosed(Exception):
    """The peer is gone."""


class Wire:
    """`drained` returns what to wait for before more is written, or None."""

    def __init__(self, transport: asyncio.Transport, drained: "Callable[[], asyncio.Future[None] | None]") -> None:
        self._transport = transport
        self._drained = drained
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._paused = False
        self._ended = False
        self._changed = asyncio.Event()
        _keep_alive(transport.get_extra_info("socket"))

    async def read(self) -> bytes:
        """Return bytes as they came; none at the end."""
        while not self._unread:
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = self._unread.popleft()
        self._unread_bytes -= len(data)
        if self._paused and self._unread_bytes <= MAX_UNREAD_BYTES // 2 and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send; return when there is room for more. Raises WireClosed."""
        if self._transport.is_closing():
            raise WireClosed("the connection is closed")
        self._transport.write(data)
        while (drained := self._drained()) is not None:
            await asyncio.shield(drained)
        if self._transport.is_closing():
            raise WireClosed("the connection is closed")

    def close(self) -> None:
        """Close, after what was written."""
        self._transport.close()

    # The connection's side

    def feed(self, data: bytes) -> None:
        self._unread.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes > MAX_UNREAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._changed.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.set()


def _keep_alive(connection: socket.socket | None) -> None:
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle_s, pause_s, probes = KEEPALIVE_S
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, pause_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)

"""One connection through the balancer: bytes in both directions, as they come, held back where the other side is slow.

TLS passes through untouched, so a client sees the API server's certificate and the API server the client's. An end that
one side says is handed on as such; the relay is over when both have ended, or either is lost.

Neighbours: `actor` makes one for each client that comes, and finds a server for it.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

MAX_EARLY_BYTES = 256 * 1024  # that a client sends before its server is found: then it is not read from
KEEPALIVE_S = 30  # of silence, after which the kernel asks whether the peer is there still
KEEPALIVE_PROBES = 3
_KEEPALIVE = {"TCP_KEEPIDLE": KEEPALIVE_S, "TCP_KEEPINTVL": KEEPALIVE_S, "TCP_KEEPCNT": KEEPALIVE_PROBES}


class Side(asyncio.Protocol):
    """The client's end of a relay, or the server's."""

    def __init__(self, on_lost: Callable[[], None]):
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None
        self._on_lost = on_lost
        self._early: list[bytes] = []
        self._early_bytes = 0
        self.has_ended = False  # its peer sends no more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        _tune(transport.get_extra_info("socket"))

    def join(self, other: "Side") -> None:
        """Both are connected: from now on each hands on what the other sends."""
        for side, opposite in ((self, other), (other, self)):
            side.other = opposite
        for side in (self, other):
            side._hand_on_early()

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
            return
        self._early.append(data)
        self._early_bytes += len(data)
        if self._early_bytes > MAX_EARLY_BYTES and self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Keep this end open for what the other one still has to say."""
        self.has_ended = True
        if self.other is not None:
            self._end_other()
        return True

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.other is not None:
            self.other.close()
        self._on_lost()

    def close(self) -> None:
        """Send what is written, then close."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once; the peer sees a reset."""
        if self.transport is not None:
            self.transport.abort()

    def _end_other(self) -> None:
        other = self.other
        if other is None or other.transport is None or other.transport.is_closing():
            return
        if other.has_ended:
            other.close()
            self.close()
        elif other.transport.can_write_eof():
            other.transport.write_eof()
        else:
            other.close()

    def _hand_on_early(self) -> None:
        assert self.other is not None, "the relay is joined"
        if self.other.transport is None:
            self.close()  # it was lost in the meantime
            return
        if self._early:
            self.other.transport.write(b"".join(self._early))
            self._early = []
        if self.transport is not None and self._early_bytes > MAX_EARLY_BYTES:
            self.transport.resume_reading()
        if self.has_ended:
            self._end_other()


def _tune(raw: socket.socket) -> None:
    """No waiting for more before a small piece is sent; notice a peer that has vanished."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if hasattr(socket, option):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

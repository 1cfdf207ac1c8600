"""HTTP/1.1 on one TLS connection: uvicorn's httptools protocol, which learns here who the peer is, and is bounded.

The client certificate is read once a connection. A request whose head or body does not arrive in time, and a reader
that takes nothing for too long, lose the connection: neither may hold memory for ever.

Neighbours: `http_front` is the application; it finds the connection in the scope's state.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from actors.apiserver.auth import x509
from actors.apiserver.call import Identity

MAX_HEADER_BYTES = 64 << 10  # of one request's line and headers; Go's default is 1 MB, no client of ours needs more
REQUEST_ARRIVAL_S = 60.0  # for a whole request to arrive
STALLED_READER_S = 60.0  # for a reader to take what was written

CONNECTION = "connection"


class ApiProtocol(HttpToolsProtocol):
    """A connection. `identity` is that of the client certificate, None without one."""

    identity: Identity | None = None
    on_lost: Callable[[], object] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._header_bytes = 0
        self._arrival: asyncio.TimerHandle | None = None
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.identity = x509.identity(tls.getpeercert())

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._arrival is None and self._is_incomplete():
            self._arrival = self.loop.call_later(REQUEST_ARRIVAL_S, self._too_slow)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        self.scope["state"][CONNECTION] = self

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            self.transport.abort()
            return
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        self._arrived()
        super().on_message_complete()

    async def drain(self) -> None:
        """Wait until the peer has taken enough of what was written; a peer that stalls loses its connection."""
        if not self.flow.write_paused:
            return
        try:
            async with asyncio.timeout(STALLED_READER_S):
                await self.flow.drain()
        except TimeoutError:
            self.transport.abort()

    def _is_incomplete(self) -> bool:
        """Has a request begun that has not arrived in full?"""
        cycle: Any = self.cycle
        return self.parser is not None and (cycle is None or (cycle.more_body and not cycle.response_complete))

    def _arrived(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()

"""Bytes to a server behind the API server: through a kubelet's tunnel, or over TCP; with TLS on top where it is asked.

A pod is always reached through the tunnel of its node's kubelet, which works wherever the node is; an address that is
no pod's is dialled from here.

What can go wrong: nobody listens, or the connection breaks: `PipeBroken`, whose message says so to the client.

Neighbours: `exchange` speaks HTTP over a pipe; `proxy` opens it.
"""

import asyncio
import ssl
from typing import Protocol

from actors.apiserver.streams.port_forward import TunnelStream
from actors.kubelet.messages import TunnelData
from bus import BusError

READ_BYTES = 128 * 1024
CONNECT_S = 10.0
TLS_S = 15.0  # for the handshake


class PipeBroken(Exception):
    """The server behind cannot be reached, or broke off."""


class Pipe(Protocol):
    async def read(self) -> bytes:
        """Return some bytes; none at the end. Raises PipeBroken."""

    async def write(self, data: bytes) -> None:
        """Send. Raises PipeBroken."""

    def close(self) -> None:
        """Let go of what this pipe alone owns."""


class TunnelPipe:
    """A kubelet's tunnel to a pod; whoever opened the tunnel closes it."""

    def __init__(self, tunnel: TunnelStream) -> None:
        self._tunnel = tunnel
        self._items = aiter(tunnel)

    async def connected(self) -> None:
        """Return when the kubelet has connected. Raises PipeBroken."""
        await self._next()

    async def read(self) -> bytes:
        return await self._next()

    async def write(self, data: bytes) -> None:
        try:
            await self._tunnel.send(TunnelData(data))
        except BusError as error:
            raise PipeBroken(error.message) from error

    def close(self) -> None:
        return None

    async def _next(self) -> bytes:
        try:
            item = await anext(self._items)
        except StopAsyncIteration:
            return b""
        except BusError as error:
            raise PipeBroken(error.message) from error
        return item.data


class TcpPipe:
    """A connection from here."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def open(address: str, port: int) -> "TcpPipe":
        try:
            async with asyncio.timeout(CONNECT_S):
                return TcpPipe(*await asyncio.open_connection(address, port, limit=READ_BYTES))
        except TimeoutError as error:
            raise PipeBroken(f"{address} port {port} does not answer") from error
        except OSError as error:
            raise PipeBroken(f"{address} port {port}: {error.strerror or error}") from error

    async def read(self) -> bytes:
        try:
            return await self._reader.read(READ_BYTES)
        except OSError as error:
            raise PipeBroken(str(error)) from error

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise PipeBroken(str(error)) from error

    def close(self) -> None:
        self._writer.close()


class TlsPipe:
    """TLS over another pipe. Without a context the server's certificate is not checked, as Kubernetes does not for
    what it proxies: it names no pod.
    """

    def __init__(self, below: Pipe, host: str, context: ssl.SSLContext | None = None) -> None:
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    async def handshake(self) -> None:
        """Raises PipeBroken when the server speaks no TLS."""
        try:
            async with asyncio.timeout(TLS_S):
                while True:
                    try:
                        self._tls.do_handshake()
                    except ssl.SSLWantReadError:
                        await self._flush()
                        if not await self._fill():
                            raise PipeBroken("the server hung up in the TLS handshake") from None
                    else:
                        await self._flush()
                        return
        except TimeoutError as error:
            raise PipeBroken("the server did not finish the TLS handshake") from error
        except ssl.SSLError as error:
            raise PipeBroken(f"the server speaks no TLS: {error.reason or error}") from error

    async def read(self) -> bytes:
        while True:
            try:
                return self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                if not await self._fill():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise PipeBroken(f"TLS: {error.reason or error}") from error

    async def write(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    def close(self) -> None:
        self._below.close()

    async def _fill(self) -> bool:
        data = await self._below.read()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return bool(data)

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            await self._below.write(data)

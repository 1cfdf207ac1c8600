"""The listening socket, TLS, and the end of connections in good order.

Neighbours: `http_connection` is a connection; `actor` starts and stops this.
"""

import asyncio
import socket
import ssl
from pathlib import Path

from actors.apiserver.http_connection import Connection
from actors.apiserver.http_front import HttpFront
from runtime.actor import CannotServe

BACKLOG = 4096  # connections that wait to be accepted
HANDSHAKE_S = 10.0
SWEEP_S = 15.0  # how often overdue connections are looked for
DRAIN_S = 5.0  # for requests that are being worked on, at the end


class PortTaken(CannotServe):
    """The wanted address cannot be listened on."""


def listen(address: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Bind and return a listening socket. Raises PortTaken naming address and port.

    A shared one leaves the port to others of the same user that share it, too: the kernel deals out connections.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise PortTaken(f"the API server cannot listen on {address} port {port}: {error.strerror}") from error
    return listener


def tls_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Serve with a certificate; ask clients for theirs, and accept only those of our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


class HttpsServer:
    def __init__(self, front: HttpFront, listener: socket.socket, context: ssl.SSLContext) -> None:
        self._front = front
        self._listener = listener
        self._context = context
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._front, self._connections, self._tasks),
            sock=self._listener,
            ssl=self._context,
            backlog=BACKLOG,
            ssl_handshake_timeout=HANDSHAKE_S,
        )

    async def sweep(self) -> None:
        """Close connections that have been idle, or sending one request, for too long; for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for connection in [one for one in self._connections if one.is_overdue(now)]:
                connection.abort()

    async def stop(self) -> None:
        """Accept nothing more, let requests finish, close idle connections at once."""
        if self._server is None:
            self._listener.close()
            return
        self._server.close()
        for connection in list(self._connections):
            connection.shut_down()
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_S)
        for connection in list(self._connections):
            connection.abort()

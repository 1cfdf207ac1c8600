"""The listening socket, TLS, and the end of connections in good order.

Neighbours: `tls_transport` and `http_connection` are a connection; `actor` starts and stops this.
"""

import asyncio
import errno
import socket
import ssl
from pathlib import Path

from actors.apiserver.http_connection import Connection
from actors.apiserver.http_front import HttpFront
from actors.apiserver.tls_transport import TlsTransport
from runtime.actor import CannotServe

BACKLOG = 4096  # connections that wait to be accepted
ACCEPTS = 32  # connections accepted in one turn of the loop
FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})  # no room for one more connection now
FULL_PAUSE_S = 1.0  # then others wait to be accepted
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
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self.address: tuple[str, int] = listener.getsockname()[:2]

    @property
    def connections(self) -> int:
        return len(self._connections)

    def start(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept)

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
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
        for connection in list(self._connections):
            connection.shut_down()
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_S)
        for connection in list(self._connections):
            connection.abort()

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                accepted, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in FULL:
                    self._pause()
                    return
                continue  # lost before it was accepted
            try:
                TlsTransport(accepted, self._context, self._connection)
            except OSError:  # lost just now
                accepted.close()

    def _connection(self) -> Connection:
        return Connection(self._front, self._connections, self._tasks)

    def _pause(self) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._loop.call_later(FULL_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if self._is_open:
            self.start()

"""The listening socket, TLS, and the end of connections in good order.

uvicorn's protocol does HTTP; its server object is not used, for it takes signals and wakes ten times a second.

Neighbours: `http_protocol` is a connection; `actor` starts and stops this.
"""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from actors.apiserver.http_protocol import ApiProtocol

BACKLOG = 4096  # connections that wait to be accepted
KEEP_ALIVE_S = 120  # an idle connection may stay
HANDSHAKE_S = 10.0
DRAIN_S = 5.0  # for requests that are being worked on, at the end


class PortTaken(Exception):
    """The wanted address cannot be listened on."""


def listen(address: str, port: int) -> socket.socket:
    """Bind and return a listening socket. Raises PortTaken naming address and port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
    def __init__(self, application: Any, listener: socket.socket, context: ssl.SSLContext) -> None:
        self._listener = listener
        self._context = context
        self._state = ServerState()
        self._config = uvicorn.Config(
            application,
            http=ApiProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def connections(self) -> int:
        return len(self._state.connections)

    async def start(self) -> None:
        self._config.load()
        self._server = await asyncio.get_running_loop().create_server(
            self._protocol, sock=self._listener, ssl=self._context, backlog=BACKLOG, ssl_handshake_timeout=HANDSHAKE_S
        )

    async def stop(self) -> None:
        """Accept nothing more, let requests finish, close idle connections at once."""
        if self._server is None:
            self._listener.close()
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        tasks = list(self._state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_S)
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def _protocol(self) -> ApiProtocol:
        return ApiProtocol(self._config, self._state, {})

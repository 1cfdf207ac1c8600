"""Connections made inside another network namespace.

A socket belongs to the namespace of the thread that made it, for good. So a thread of its own enters the namespace,
makes the socket and ends; it is never used for anything else, so that no way back is needed. The loop then connects.

What can go wrong: the namespace is gone (the pod was just removed), or nobody listens: `Unreachable`.
"""

import asyncio
import ctypes
import os
import socket
import threading
from pathlib import Path

from actors.kubelet.streaming.process import Unreachable

CLONE_NEWNET = 0x40000000  # setns: it must be a network namespace
CONNECT_S = 10.0  # within a machine; the reference has no bound but TCP's two minutes
READ_BYTES = 128 * 1024  # at a time; a connection holds twice as much unread

_libc = ctypes.CDLL(None, use_errno=True)


def make_socket(namespace: Path, family: socket.AddressFamily) -> socket.socket:
    """Return a TCP socket of a network namespace; OSError when there is no such namespace."""
    made: list[socket.socket | OSError] = []

    def enter() -> None:
        try:
            descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(descriptor, CLONE_NEWNET):
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code), str(namespace))
            finally:
                os.close(descriptor)
            made.append(socket.socket(family, socket.SOCK_STREAM))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=enter, name="network namespace")
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


async def connect(namespace: Path | None, addresses: list[str], port: int) -> "SocketConnection":
    """Connect to the first address that answers, from inside a namespace (None: our own). Raises Unreachable."""
    refusals = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            made = socket.socket(family, socket.SOCK_STREAM) if namespace is None else make_socket(namespace, family)
        except OSError as error:
            raise Unreachable(f"the pod's network is gone: {error.strerror}") from error
        made.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().sock_connect(made, (address, port))
            reader, writer = await asyncio.open_connection(sock=made, limit=READ_BYTES)
        except TimeoutError:
            made.close()
            refusals.append(f"{address}: no answer in {CONNECT_S:.0f} s")
        except OSError as error:
            made.close()
            refusals.append(f"{address}: {os.strerror(error.errno).lower() if error.errno else error}")
        except asyncio.CancelledError:
            made.close()
            raise
        else:
            return SocketConnection(reader, writer)
    raise Unreachable(f"port {port}: {'; '.join(refusals)}")


class SocketConnection:
    """A TCP connection, read and written by waiting. Either may raise OSError when the other end is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """Return some bytes; none at the end."""
        return await self._reader.read(READ_BYTES)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def end(self) -> None:
        """Send no more; reading goes on."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

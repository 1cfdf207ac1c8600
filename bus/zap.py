"""Who may connect: ZeroMQ asks for every handshake of an encrypted socket, and gets the name that the key stands for.

ZAP (ZeroMQ RFC 27) is a service inside the process, at a fixed address; libzmq asks it from its own thread and lets
nobody in before it has an answer, or when nobody answers. One service serves all encrypted sockets of a process: each
keyring has a domain of its own. The name that is answered here comes with every message of that connection, which is
what the server counts on, whatever the message itself says.

Neighbours: `transport` opens a domain for each keyring that it listens with; `keys` knows the names.
"""

import asyncio
import itertools
import os
from collections import Counter

import zmq
from zmq.utils import z85

from bus.keys import KEY_BYTES, Keyring
from bus.socket import LoopSocket, open_socket

ADDRESS = "inproc://zeromq.zap.01"
VERSION = b"1.0"
USER_ID = "User-Id"  # the property of a message that holds the name
FRAMES = 8  # of a request, before its credentials


class Authenticator:
    """Answers for the keyrings of one process; open while any of them listens."""

    def __init__(self) -> None:
        self.refused = 0
        self._domains: dict[bytes, Keyring] = {}
        self._users: Counter[bytes] = Counter()
        self._numbers = itertools.count(1)
        self._socket: LoopSocket | None = None

    def enter(self, keyring: Keyring) -> bytes:
        """Answer for a keyring; return its domain. Only one loop of a process can do so at a time."""
        domain = next((name for name, known in self._domains.items() if known is keyring), None)
        if domain is None:
            domain = b"kubus-%d" % next(self._numbers)
            self._domains[domain] = keyring
        if self._socket is None:
            self._open()
        self._users[domain] += 1
        return domain

    def leave(self, domain: bytes) -> None:
        """One socket of a domain is closed."""
        self._users[domain] -= 1
        if self._users[domain] <= 0:
            del self._users[domain], self._domains[domain]
        if not self._domains and self._socket is not None:
            self._raw.unbind(ADDRESS)  # at once; a close alone frees the address only some time later
            self._socket.close()
            self._socket = None

    def _open(self) -> None:
        self._raw = open_socket(zmq.ROUTER)
        self._raw.bind(ADDRESS)
        self._socket = LoopSocket(self._raw, self._on_frames)

    def _on_frames(self, message: list[bytes]) -> None:
        """[peer, empty, version, request id, domain, address, identity, mechanism, credentials...]"""
        assert self._socket is not None
        if len(message) < FRAMES:
            return  # not from libzmq, which alone can reach this address
        peer, _, version, request_id, domain = message[:5]
        name = self._name_of(version, domain, message[7], message[8:])
        status = (b"200", b"OK") if name else (b"400", b"this key is not known here")
        if not name:
            self.refused += 1
        self._socket.send((peer, b"", VERSION, request_id, *status, name.encode(), b""))

    def _name_of(self, version: bytes, domain: bytes, mechanism: bytes, credentials: list[bytes]) -> str:
        keyring = self._domains.get(domain)
        if keyring is None or version != VERSION or mechanism != b"CURVE" or len(credentials) != 1:
            return ""
        return keyring.name_of(z85_of(credentials[0]))


def z85_of(key: bytes) -> bytes:
    """Return a binary key as it is written in files."""
    return z85.encode(key) if len(key) == KEY_BYTES else b""


_of_process: tuple[int, asyncio.AbstractEventLoop, Authenticator] | None = None


def authenticator() -> Authenticator:
    """Return the one of this process and loop: a forked child, or a later loop, begins with its own."""
    global _of_process
    loop = asyncio.get_running_loop()
    if _of_process is None or _of_process[:2] != (os.getpid(), loop):
        _of_process = os.getpid(), loop, Authenticator()
    return _of_process[2]

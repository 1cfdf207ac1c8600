"""Publish and subscribe: hints that something happened. The truth is asked for by request.

A publisher stamps every hint with its epoch (one for each life of the process) and the topic's sequence, and repeats
the last sequence of each topic in bookmarks. So a subscriber notices what it missed: `Hint.gap` is True on the first
hint after a loss, or after the publisher was born again, and then the subscriber reads anew (the zguide's Clone
pattern).
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgpack
import zmq

from bus import frames
from bus.errors import BusError, ProtocolViolation
from bus.frames import Kind
from bus.keys import Keyring
from bus.socket import LoopSocket, open_socket
from bus.transport import OnChange, bind, prepare_connect

BOOKMARK_EVERY_S = 2.0  # how late a subscriber may notice that it missed the last hint
UNREAD_HINTS = 10_000  # that a subscriber holds; then the oldest are dropped, which shows as a gap


@dataclass(frozen=True, slots=True)
class Hint:
    """Something published. `body` is None on a bookmark, which says only that hints were missed (`gap`)."""

    topic: str
    sender: str
    epoch: int
    sequence: int
    body: Any
    gap: bool


class Publisher:
    """Publishes on one endpoint, and those in `also`. With a keyring, tcp is encrypted."""

    def __init__(self, sender: str, endpoint: str, *, also: Sequence[str] = (), keyring: Keyring | None = None):
        self.sender = sender
        self.endpoint = endpoint
        self.also = list(also)
        self._keyring = keyring
        self.epoch = time.time_ns() // 1000 * 1024 + os.getpid() % 1024
        self._sequences: dict[str, int] = {}
        self._subscriptions: dict[bytes, int] = {}
        self._sockets: list[LoopSocket] = []
        self._leaves: list[OnChange] = []
        self._bookmarks: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Bind; EndpointTaken when another is there, BadAddress or BadKeys off loopback."""
        self.endpoint = self._bind(self.endpoint)
        self.also = [self._bind(endpoint) for endpoint in self.also]
        self._repeat_bookmarks()

    def wanted(self, topic: str) -> bool:
        """Return whether anybody subscribes to this topic; a hint that nobody wants need not be made."""
        encoded = topic.encode()
        return any(encoded.startswith(prefix) for prefix in self._subscriptions)

    def publish(self, topic: str, body: Any) -> None:
        """Tell whoever listens. A subscriber that is too slow loses hints, and notices."""
        sequence = self._sequences[topic] = self._sequences.get(topic, 0) + 1
        if self.wanted(topic):
            self._send(topic, Kind.HINT, sequence, msgpack.packb(body))

    def close(self) -> None:
        if self._bookmarks is not None:
            self._bookmarks.cancel()
        for socket in self._sockets:
            socket.close()
        while self._leaves:
            self._leaves.pop()()

    def _bind(self, endpoint: str) -> str:
        socket = open_socket(zmq.XPUB)
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        try:
            bound, leave = bind(socket, endpoint, self._keyring)
        except BusError:
            socket.close()
            raise
        if leave is not None:
            self._leaves.append(leave)
        self._sockets.append(LoopSocket(socket, self._on_subscription))
        return bound

    def _send(self, topic: str, kind: Kind, sequence: int, body: bytes) -> None:
        for socket in self._sockets:
            if not socket.closed:
                socket.send((topic.encode(), frames.pack(kind, topic, self.epoch, sequence, self.sender), body))

    def _repeat_bookmarks(self) -> None:
        for topic, sequence in self._sequences.items():
            if self.wanted(topic):
                self._send(topic, Kind.BOOKMARK, sequence, b"")
        self._bookmarks = asyncio.get_running_loop().call_later(BOOKMARK_EVERY_S, self._repeat_bookmarks)

    def _on_subscription(self, message: list[bytes]) -> None:
        on, prefix = message[0][:1], message[0][1:]
        count = self._subscriptions.get(prefix, 0) + (1 if on == b"\x01" else -1)
        if count > 0:
            self._subscriptions[prefix] = count
        else:
            self._subscriptions.pop(prefix, None)


class Subscriber:
    """Hints of some topics (by prefix) from some publishers, by `async for`."""

    def __init__(self, endpoints: Sequence[str], topics: Sequence[str], *, keyring: Keyring | None = None):
        self.violations = 0
        self._hints: deque[Hint] = deque()
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}
        self._overflowed = False
        self._wake: asyncio.Future[None] | None = None
        socket = open_socket(zmq.SUB)
        for topic in topics:
            socket.subscribe(topic)
        self._socket = LoopSocket(socket, self._on_frames)
        try:
            for endpoint in endpoints:
                socket.connect(prepare_connect(socket, endpoint, keyring))
        except BusError:
            self._socket.close()
            raise

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Hint:
        while not self._hints:
            if self._socket.closed:
                raise StopAsyncIteration
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self._hints.popleft()

    def close(self) -> None:
        self._socket.close()
        self._notify()

    def _on_frames(self, message: list[bytes]) -> None:
        try:
            hint = self._read(message)
        except (ProtocolViolation, ValueError, msgpack.UnpackException):
            self.violations += 1
            return
        if hint.body is None and not hint.gap:
            return
        if len(self._hints) >= UNREAD_HINTS:
            self._hints.popleft()
            self._overflowed = True
        self._hints.append(hint)
        self._notify()

    def _read(self, message: list[bytes]) -> Hint:
        if len(message) != 3:
            raise ProtocolViolation(f"{len(message)} frames; a hint has 3")
        kind, topic, epoch, sequence, sender = frames.unpack(message[1])
        if kind not in (Kind.HINT, Kind.BOOKMARK):
            raise ProtocolViolation(f"kind {kind!r} is not published")
        gap = self._is_gap((str(sender), str(topic)), int(epoch), int(sequence), bookmark=kind == Kind.BOOKMARK)
        body = msgpack.unpackb(message[2]) if kind == Kind.HINT else None
        gap, self._overflowed = gap or self._overflowed, False
        return Hint(topic, sender, epoch, sequence, body, gap)

    def _is_gap(self, source: tuple[str, str], epoch: int, sequence: int, *, bookmark: bool) -> bool:
        before = self._seen.get(source)
        self._seen[source] = (epoch, sequence)
        if before is None:
            return False
        expected = before[1] if bookmark else before[1] + 1
        return before[0] != epoch or sequence > expected

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

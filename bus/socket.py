"""A ZeroMQ socket inside an asyncio loop, without a task or a future for each message.

ZeroMQ's file descriptor is edge-triggered: it becomes readable when the socket's state changes, once. So each wake
drains the socket, and each send looks whether it swallowed a wake. A drain handles a bounded number of messages and
then lets the loop serve others.

Neighbours: `server`, `client` and `pubsub` own such sockets; `address` decides where they bind.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import zmq
from zmq import backend

from bus.frames import MAX_BODY_BYTES

DRAIN_MESSAGES = 256  # of one socket in one turn of the loop; more wait for the next turn
QUEUE_MESSAGES = 10_000  # that ZeroMQ holds for a peer in each direction; past it a send fails
LINGER_MS = 200  # at close, for what is still to be sent
LOOKED_FOR = 3  # messages of a drain; few find more, and pyzmq's exception at the end costs twice as much as to look

COPY_BYTES = 65_536  # a last frame shorter than this is copied, which is cheaper than sharing it with libzmq

Frames = Sequence[bytes]

# The hot path calls pyzmq's backend with plain integers: its wrappers combine enums for every frame, which costs more
# than the frame (a third of a request's time on the asking side).
_send: Any = backend.Socket.send
_receive: Any = backend.Socket.recv
_option: Any = backend.Socket.get
_DONTWAIT = int(zmq.DONTWAIT)
_MORE = int(zmq.SNDMORE) | _DONTWAIT
_EVENTS = int(zmq.EVENTS)
_RCVMORE = int(zmq.RCVMORE)
_POLLIN = int(zmq.POLLIN)


def context() -> zmq.Context:
    """Return this process's ZeroMQ context; pyzmq makes a new one after a fork."""
    return zmq.Context.instance()


def open_socket(kind: int) -> zmq.Socket:
    """Return a new socket with the limits of the bus on it."""
    socket = context().socket(kind)
    socket.linger = LINGER_MS
    socket.set_hwm(QUEUE_MESSAGES)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_BODY_BYTES)
    return socket


class LoopSocket:
    """Hands every incoming message to `on_frames`, and sends without blocking."""

    def __init__(self, socket: zmq.Socket, on_frames: Callable[[list[bytes]], None]):
        self._socket = socket
        self._on_frames = on_frames
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.FD)
        self._drain_is_due = False
        self.closed = False
        self._loop.add_reader(self._descriptor, self._drain)
        self._schedule_drain()

    def send(self, frames: Frames) -> None:
        """Queue a message; zmq.Again at the peer's queue limit, zmq.ZMQError when a ROUTER knows no such peer."""
        socket, last = self._socket, len(frames) - 1
        for number in range(last):
            _send(socket, frames[number], _MORE, True, False)
        body = frames[last]
        _send(socket, body, _DONTWAIT, len(body) < COPY_BYTES, False)
        if not self._drain_is_due and _option(socket, _EVENTS) & _POLLIN:
            self._schedule_drain()

    def drain_now(self) -> None:
        """Handle all that has arrived, before anything else happens."""
        while not self.closed and _option(self._socket, _EVENTS) & _POLLIN:
            self._drain()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._descriptor)
            self._socket.close()

    def _schedule_drain(self) -> None:
        self._drain_is_due = True
        self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        """Hand on what has arrived; the hot path of every process."""
        self._drain_is_due = False
        socket = self._socket
        for number in range(DRAIN_MESSAGES):
            if self.closed or (0 < number < LOOKED_FOR and not _option(socket, _EVENTS) & _POLLIN):
                return
            try:
                frames = [_receive(socket, _DONTWAIT, True, False)]
            except zmq.Again:
                return
            while _option(socket, _RCVMORE):
                frames.append(_receive(socket, _DONTWAIT, True, False))
            self._on_frames(frames)
        if not self.closed:
            self._schedule_drain()


class NamedLoopSocket(LoopSocket):
    """Of a socket whose peers have keys: hands the peer's name on with each message, as the handshake found it."""

    def __init__(self, socket: zmq.Socket, on_frames: Callable[[list[bytes], str], None]):
        super().__init__(socket, self._never)
        self._on_named_frames = on_frames

    def _drain(self) -> None:
        self._drain_is_due = False
        for _ in range(DRAIN_MESSAGES):
            if self.closed:
                return
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            self._on_named_frames([part.bytes for part in parts], str(parts[-1].get("User-Id")))
        if not self.closed:
            self._schedule_drain()

    def _never(self, message: list[bytes]) -> None:
        raise AssertionError("a message without a name")

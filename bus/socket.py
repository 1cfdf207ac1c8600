"""A ZeroMQ socket inside an asyncio loop, without a task or a future for each message.

ZeroMQ's file descriptor is edge-triggered: it becomes readable when the socket's state changes, once. So each wake
drains the socket, and each send looks whether it swallowed a wake. A drain handles a bounded number of messages and
then lets the loop serve others.

Neighbours: `server`, `client` and `pubsub` own such sockets; `address` decides where they bind.
"""

import asyncio
from collections.abc import Callable, Sequence

import zmq

from bus.frames import MAX_BODY_BYTES

DRAIN_MESSAGES = 256  # of one socket in one turn of the loop; more wait for the next turn
QUEUE_MESSAGES = 10_000  # that ZeroMQ holds for a peer in each direction; past it a send fails
LINGER_MS = 200  # at close, for what is still to be sent

Frames = Sequence[bytes]


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
        self._socket.send_multipart(frames, zmq.DONTWAIT, copy=len(frames[-1]) < 65_536)
        if not self._drain_is_due and int(self._socket.EVENTS) & zmq.POLLIN:
            self._schedule_drain()

    def drain_now(self) -> None:
        """Handle all that has arrived, before anything else happens."""
        while not self.closed and int(self._socket.EVENTS) & zmq.POLLIN:
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
        self._drain_is_due = False
        for _ in range(DRAIN_MESSAGES):
            if self.closed:
                return
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._on_frames(frames)
        if not self.closed:
            self._schedule_drain()

"""How frames get from one end to another: ZeroMQ sockets, or in a simulation an imagined network.

`Server` and `Client` speak the protocol through a `Transport` and don't know which it is; so what a simulation tests is
the real protocol code. A port's `send` never blocks.

Neighbours: `socket` is ZeroMQ inside a loop; `simulated` is the imagined network.
"""

from collections.abc import Callable
from typing import Protocol

import zmq
from zmq.utils.monitor import parse_monitor_message

from bus.errors import BusError
from bus.socket import Frames, LoopSocket, open_socket

RECONNECT_MS = 10  # first pause between attempts to connect; doubles
RECONNECT_MAX_MS = 200

OnFrames = Callable[[list[bytes]], None]
OnChange = Callable[[], None]


class CannotSend(BusError):
    """The peer is not connected, or its queue is full."""

    code = "unavailable"


class EndpointTaken(BusError):
    """Another socket is bound there, or this process may not bind there."""

    code = "endpoint_taken"


class Port(Protocol):
    """One end of some connections."""

    @property
    def closed(self) -> bool: ...

    def send(self, frames: Frames) -> None:
        """Queue a message; CannotSend."""

    def drain_now(self) -> None:
        """Hand on all that has arrived, before anything else happens."""

    def close(self) -> None: ...


class Transport(Protocol):
    def listen(self, endpoint: str, on_frames: OnFrames) -> tuple[Port, str]:
        """Bind, and return the port and the endpoint as bound. Frames begin with the peer's identity, both ways."""

    def connect(self, endpoint: str, on_frames: OnFrames, on_up: OnChange, on_down: OnChange) -> Port:
        """Connect, and go on connecting whenever the peer goes away."""


class _ZmqPort:
    def __init__(self, socket: zmq.Socket, on_frames: OnFrames, monitor: LoopSocket | None = None):
        self._raw = socket
        self._monitor = monitor
        self._socket = LoopSocket(socket, on_frames)

    @property
    def closed(self) -> bool:
        return self._socket.closed

    def send(self, frames: Frames) -> None:
        try:
            self._socket.send(frames)
        except zmq.ZMQError as error:
            raise CannotSend(f"not sent: {error}") from error

    def drain_now(self) -> None:
        self._socket.drain_now()

    def close(self) -> None:
        if self.closed:
            return
        if self._monitor is not None:
            self._raw.disable_monitor()
            self._monitor.close()
        self._socket.close()


class ZmqTransport:
    """The real thing. libzmq reconnects by itself and tells nobody; the socket's monitor does."""

    def listen(self, endpoint: str, on_frames: OnFrames) -> tuple[Port, str]:
        socket = open_socket(zmq.ROUTER)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            raise EndpointTaken(f"cannot bind {endpoint}: {error}") from error
        return _ZmqPort(socket, on_frames), socket.getsockopt_string(zmq.LAST_ENDPOINT) or endpoint

    def connect(self, endpoint: str, on_frames: OnFrames, on_up: OnChange, on_down: OnChange) -> Port:
        socket = open_socket(zmq.DEALER)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        changes: dict[int, OnChange] = {zmq.EVENT_HANDSHAKE_SUCCEEDED: on_up, zmq.EVENT_DISCONNECTED: on_down}

        def on_monitor(message: list[bytes]) -> None:
            changes[parse_monitor_message(message)["event"]]()

        watched = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        monitor = LoopSocket(socket.get_monitor_socket(watched), on_monitor)
        port = _ZmqPort(socket, on_frames, monitor)
        socket.connect(endpoint)
        return port


ZMQ = ZmqTransport()

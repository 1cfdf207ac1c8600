"""How frames get from one end to another: ZeroMQ sockets, or in a simulation an imagined network.

`Server` and `Client` speak the protocol through a `Transport` and don't know which it is; so what a simulation tests is
the real protocol code. A port's `send` never blocks.

Neighbours: `socket` is ZeroMQ inside a loop; `keys` and `zap` say who is who on the network; `simulated` is an imagined
one.
"""

import functools
import operator
from collections.abc import Callable
from typing import Protocol

import zmq
from zmq.utils.monitor import parse_monitor_message

from bus.address import check_in_the_clear, named, split_name
from bus.errors import BusError
from bus.keys import Keyring
from bus.socket import Frames, LoopSocket, NamedLoopSocket, open_socket
from bus.zap import authenticator

RECONNECT_MS = 10  # first pause between attempts to connect; doubles
RECONNECT_MAX_MS = 200
HANDSHAKE_MS = 5_000  # for a peer on the network to show who it is; then it is hung up on
HEARTBEAT_MS = 1_000  # between signs of life of a peer on the network; three that are missing end the connection
CONNECT_MS = 2_000  # for a machine on the network to take a connection; then it is tried again
TROUBLE: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "it does not know this actor's key",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "it does not have the key that it should have, or is not encrypted",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "it did not finish the handshake",
}
NOBODY = "nobody"  # the name of a peer whose key was withdrawn: not an actor's, so whatever it asks is refused
REFUSALS = functools.reduce(operator.or_, TROUBLE)

OnFrames = Callable[..., None]  # (frames), or where peers have keys (frames, name of the peer)
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

    @property
    def trouble(self) -> str:
        """Why the other end can't be talked to, if it is there but something is wrong."""

    def send(self, frames: Frames) -> None:
        """Queue a message; CannotSend."""

    def drain_now(self) -> None:
        """Hand on all that has arrived, before anything else happens."""

    def close(self) -> None: ...


class Transport(Protocol):
    def listen(self, endpoint: str, on_frames: OnFrames) -> tuple[Port, str]:
        """Bind, and return the port and the endpoint as bound. Frames begin with the peer's identity, both ways.

        EndpointTaken, BadAddress, BadKeys.
        """

    def connect(self, endpoint: str, on_frames: OnFrames, on_up: OnChange, on_down: OnChange) -> Port:
        """Connect, and go on connecting whenever the peer goes away. BadAddress, BadKeys."""


class _ZmqPort:
    """`on_close` is called once, when the port is closed."""

    def __init__(self, raw: zmq.Socket, socket: LoopSocket, on_close: OnChange = lambda: None):
        self._raw = raw
        self._socket = socket
        self._on_close = on_close
        self._monitor: LoopSocket | None = None
        self.trouble = ""

    @property
    def closed(self) -> bool:
        return self._socket.closed

    def watch(self, on_up: OnChange, on_down: OnChange) -> None:
        """Tell of connections. libzmq reconnects by itself and tells nobody; the socket's monitor does."""
        watched = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | REFUSALS
        changes: dict[int, OnChange] = {zmq.EVENT_HANDSHAKE_SUCCEEDED: on_up, zmq.EVENT_DISCONNECTED: on_down}

        def on_monitor(message: list[bytes]) -> None:
            event = parse_monitor_message(message)["event"]
            self.trouble = TROUBLE.get(event, "" if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else self.trouble)
            if event in changes:
                changes[event]()

        self._monitor = LoopSocket(self._raw.get_monitor_socket(watched), on_monitor)

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
        self._on_close()


class ZmqTransport:
    """The real thing. With a keyring, tcp is encrypted, and both ends know whom they talk to."""

    def __init__(self, keyring: Keyring | None = None):
        self._keyring = keyring

    def listen(self, endpoint: str, on_frames: OnFrames) -> tuple[Port, str]:
        socket = open_socket(zmq.ROUTER)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        try:
            bound, leave = bind(socket, endpoint, self._keyring)
        except BusError:
            socket.close()
            raise
        if leave is not None:
            assert self._keyring is not None
            return _ZmqPort(socket, NamedLoopSocket(socket, _as_believed(self._keyring, on_frames)), leave), bound
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        return _ZmqPort(socket, LoopSocket(socket, on_frames)), bound

    def connect(self, endpoint: str, on_frames: OnFrames, on_up: OnChange, on_down: OnChange) -> Port:
        socket = open_socket(zmq.DEALER)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        try:
            address = prepare_connect(socket, endpoint, self._keyring)
        except BusError:
            socket.close()
            raise
        port = _ZmqPort(socket, LoopSocket(socket, on_frames))
        port.watch(on_up, on_down)
        socket.connect(address)
        return port


def bind(socket: zmq.Socket, endpoint: str, keyring: Keyring | None) -> tuple[str, OnChange | None]:
    """Bind a socket, on tcp encrypted if there are keys; return the endpoint as bound, and, when it is encrypted, what
    must be called once the socket is closed. EndpointTaken, BadAddress, BadKeys."""
    address, _ = split_name(endpoint)
    leave: OnChange | None = None
    if keyring is not None and address.startswith("tcp://"):
        leave = _serve_encrypted(socket, keyring)
        _use_network(socket, address)
    else:
        check_in_the_clear(address)
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        if leave is not None:
            leave()
        raise EndpointTaken(f"cannot bind {endpoint}: {error}") from error
    bound = socket.getsockopt_string(zmq.LAST_ENDPOINT) or address
    return (named(bound, keyring.name) if leave is not None and keyring is not None else bound), leave


def prepare_connect(socket: zmq.Socket, endpoint: str, keyring: Keyring | None) -> str:
    """Set up a socket to connect to an endpoint, and return the address for it. BadAddress, BadKeys."""
    address, name = split_name(endpoint)
    if keyring is None or not name:
        check_in_the_clear(address)
        return address
    secret = keyring.secret()
    socket.curve_serverkey = keyring.public_of(name)
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_public(secret), secret
    _use_network(socket, address)
    return address


def _as_believed(keyring: Keyring, on_frames: OnFrames) -> OnFrames:
    """Between handshakes too, a key that was withdrawn gives no name any more."""

    def checked(message: list[bytes], name: str) -> None:
        on_frames(message, name if keyring.believes(name) else NOBODY)

    return checked


def _serve_encrypted(socket: zmq.Socket, keyring: Keyring) -> OnChange:
    secret = keyring.secret()
    service = authenticator()
    domain = service.enter(keyring)
    socket.curve_server = True
    socket.curve_secretkey = secret
    socket.zap_domain = domain
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without an answer from ZAP, nobody gets in
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    return functools.partial(service.leave, domain)


def _use_network(socket: zmq.Socket, address: str) -> None:
    """A machine that loses power says nothing: find out within seconds."""
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    socket.setsockopt(zmq.IPV6, "[" in address)


ZMQ = ZmqTransport()

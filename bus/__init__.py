"""Messages between processes: two patterns, request/reply and publish/subscribe, over ZeroMQ.

Read in this order: `record` (bodies), `frames` (the envelope), `server` and `client`, `pubsub`. The wire itself is
specified in docs/wire.md. This package knows no Kubernetes and no roles beyond the part of a name before its `@`.
"""

from bus.address import BadAddress, Directory, ipc_endpoint, role_of
from bus.blocking import BlockingClient
from bus.client import Client, Duplex
from bus.errors import (
    BusError,
    DeadlineExceeded,
    Overloaded,
    ProtocolViolation,
    Refused,
    RemoteError,
    StreamLost,
    Unavailable,
)
from bus.keys import BadKeys, Keyring
from bus.pubsub import Hint, Publisher, Subscriber
from bus.record import ANYONE, Empty, Record, Request
from bus.server import Context, Server
from bus.transport import CannotSend, EndpointTaken, ZmqTransport

__all__ = [
    "ANYONE",
    "BadAddress",
    "BadKeys",
    "BlockingClient",
    "BusError",
    "CannotSend",
    "Client",
    "Context",
    "DeadlineExceeded",
    "Directory",
    "Duplex",
    "Empty",
    "EndpointTaken",
    "Hint",
    "Keyring",
    "Overloaded",
    "ProtocolViolation",
    "Publisher",
    "Record",
    "Refused",
    "RemoteError",
    "Request",
    "Server",
    "StreamLost",
    "Subscriber",
    "Unavailable",
    "ZmqTransport",
    "ipc_endpoint",
    "role_of",
]

"""What the supervisor and the warm parent say to each other over their socket pair.

Each message is four bytes of length, big-endian, and a MessagePack body. Both ends are this very version of Kubus, so a
message that does not decode is a bug and crashes whoever got it; the supervisor then starts anew.
"""

import struct
from typing import Any

import msgspec

LENGTH = struct.Struct("!I")
MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # a cluster's config with its names fits many times over


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The first message: where modules are found, and what to import as long as nobody asks for a child."""

    paths: list[str]
    preload: list[str]


class StartActor(msgspec.Struct, frozen=True, tag="start-actor"):
    """`setup` holds the fields of a `runtime.actor.Setup`, which the child makes of them."""

    name: str
    incarnation: int
    target: str  # "actors.state.actor:StateActor"
    setup: dict[str, Any]
    log_path: str


class StartCommand(msgspec.Struct, frozen=True, tag="start-command"):
    name: str
    incarnation: int
    argv: list[str]
    env: dict[str, str]
    cwd: str
    log_path: str


ToParent = Begin | StartActor | StartCommand


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The warm parent takes requests."""


class Forked(msgspec.Struct, frozen=True, tag="forked"):
    name: str
    incarnation: int
    pid: int


class ForkFailed(msgspec.Struct, frozen=True, tag="fork-failed"):
    name: str
    incarnation: int
    reason: str


class Exited(msgspec.Struct, frozen=True, tag="exited"):
    """A child was reaped. `signal` is 0 unless a signal ended it."""

    name: str
    pid: int
    code: int
    signal: int


FromParent = Ready | Forked | ForkFailed | Exited

_encoder = msgspec.msgpack.Encoder()
to_parent = msgspec.msgpack.Decoder(ToParent)
from_parent = msgspec.msgpack.Decoder(FromParent)


def pack(message: msgspec.Struct) -> bytes:
    """Return a message as it goes onto the socket."""
    body = _encoder.encode(message)
    assert len(body) <= MAX_MESSAGE_BYTES, f"{type(message).__name__} of {len(body)} bytes"
    return LENGTH.pack(len(body)) + body

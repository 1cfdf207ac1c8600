"""The envelope of every message: which kinds there are, what their headers hold, how large they may be.

A message is two frames, a header and a body. The header is a MessagePack array that begins (version, kind, id); what
follows depends on the kind (see docs/wire.md, which is authoritative). The body of a REQUEST, a REPLY and an ITEM is a
`bus.record` body; that of an ERROR is a MessagePack array (code, message, detail, kind).

Neighbours: `socket` moves frames, `server`, `client` and `pubsub` give them meaning.
"""

import enum
import itertools
import os
from typing import Any

import msgpack

from bus.errors import BusError, ProtocolViolation, from_wire, to_wire

PROTOCOL_VERSION = 1

MAX_HEADER_BYTES = 4096  # ids, names and numbers only; a larger one is a violation and is dropped
MAX_BODY_BYTES = 64 * 1024 * 1024  # a list of some 50,000 objects; ZeroMQ drops the connection that sends more
ERROR_TEXT_CHARACTERS = 16_384  # an error's message is cut to this, so that it always fits


class Kind(enum.IntEnum):
    REQUEST = 1  # (…, method, sender, cause, time_left_ms, window_bytes): asks for an answer, or opens a stream
    REPLY = 2  # the answer
    ERROR = 3  # the refusal, or the end of a broken stream
    ITEM = 4  # one record of a stream, in either direction
    END = 5  # a stream's orderly end; from a client: of what it sends, the stream goes on
    CREDIT = 6  # (…, bytes): the reader has room for so much more
    CANCEL = 7  # the reader wants no more of this stream
    ALIVE = 8  # an idle stream still lives
    HINT = 9  # published (…, epoch, sequence, sender): id is the topic
    BOOKMARK = 10  # published (…, epoch, sequence, sender): nothing new; the last sequence of the topic


_packer = msgpack.Packer(autoreset=True)
_ids = itertools.count(1)
_prefix = ""
_prefix_pid = 0


def new_id() -> str:
    """Return an id that no other message of any process has: eight random hex digits of the process, and a count."""
    global _prefix, _prefix_pid
    if _prefix_pid != os.getpid():  # a forked child must not go on with its parent's ids
        _prefix, _prefix_pid = os.urandom(4).hex(), os.getpid()
    return f"{_prefix}-{next(_ids)}"


def pack(*fields: Any) -> bytes:
    """Return a header of these fields, the protocol's version in front."""
    return _packer.pack((PROTOCOL_VERSION, *fields))


def unpack(header: bytes) -> tuple[Any, ...]:
    """Return (kind, id, …) of a header; ProtocolViolation for one that is too long, malformed or of another version."""
    if len(header) > MAX_HEADER_BYTES:
        raise ProtocolViolation(f"header of {len(header)} bytes; at most {MAX_HEADER_BYTES} are allowed")
    try:
        fields = msgpack.unpackb(header, use_list=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise ProtocolViolation(f"header is not MessagePack: {error}") from error
    if not isinstance(fields, tuple) or len(fields) < 3:
        raise ProtocolViolation("header is not an array of at least version, kind and id")
    if fields[0] != PROTOCOL_VERSION:
        raise ProtocolViolation(f"protocol version {fields[0]!r}; this side speaks {PROTOCOL_VERSION}")
    if not isinstance(fields[2], str):
        raise ProtocolViolation("message id is not a string")
    return fields[1:]


def whole(fields: tuple[Any, ...]) -> int:
    """Return a header's one field as a whole number that is not negative."""
    if len(fields) != 1 or type(fields[0]) is not int or fields[0] < 0:
        raise ProtocolViolation("a header's number is missing, negative, or not whole")
    return fields[0]


def pack_error(error: BusError) -> bytes:
    """Return the body of an ERROR."""
    code, message, detail, kind = to_wire(error)
    return msgpack.packb((code, message[:ERROR_TEXT_CHARACTERS], detail, kind))


def unpack_error(body: bytes) -> BusError:
    """Return the error in the body of an ERROR."""
    try:
        code, message, detail, kind = msgpack.unpackb(body, use_list=True)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        return ProtocolViolation(f"malformed error from peer: {error}")
    return from_wire(str(code), str(message), detail, str(kind))

"""Typed message bodies: what a method takes and gives, declared once by the role that serves it.

A `Record` is a frozen struct that travels as a MessagePack array of its fields. msgspec checks the types while it
decodes, so a handler never sees a malformed body: `decode` raises `ProtocolViolation` instead. A new field goes at the
end, with a default, so that older peers still understand newer ones and the other way round.

Neighbours: `frames` packs the header that travels in front; `server` and `client` call `encode` and `decode`.
"""

from typing import Any, ClassVar

import msgspec

from bus.errors import ProtocolViolation


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value that crosses the bus. Fields are plain data, bytes, or other Records."""


class Request(Record, frozen=True, array_like=True, gc=False):
    """What a method takes. Subclasses state the contract of their method.

    method  its name on the wire, `ROLE.VERB`
    roles   which roles may call it; `ANYONE` for all that can reach the socket
    reply   the Record that answers it, or that each item of its stream is
    stream  True when the answer is a stream of `reply`
    input   of a stream that goes both ways: the Record, or union of Records, that the caller sends in it; else None
    once    True when the receiver must remember the message id, so that a repeat gets the first answer again
    """

    method: ClassVar[str]
    roles: ClassVar[frozenset[str]]
    reply: ClassVar[type[Record]]
    stream: ClassVar[bool] = False
    input: ClassVar[Any] = None
    once: ClassVar[bool] = False


ANYONE: frozenset[str] = frozenset({"*"})


class Empty(Record, frozen=True, array_like=True, gc=False):
    """An answer that says only that it was done."""


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder] = {}


def encode(record: Record) -> bytes:
    """Return the MessagePack body of a record."""
    return _encoder.encode(record)


def decode(body: bytes, kind: type[Any]) -> Any:
    """Return the record of type `kind` in a body; ProtocolViolation says what is wrong with it and where."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolViolation(f"not a {kind.__name__}: {error}") from error

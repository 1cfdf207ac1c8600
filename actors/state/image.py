"""The whole state as a sequence of chunks, and back: what a snapshot file, or a new member, is given.

An image is taken in one short step, because versions are immutable: it holds references to them, and can be encoded in
another thread while the store goes on changing. It keeps the history since the compaction revision, so that a watch may
start, and a page of a list be read, at an old revision after a restart too.

Layout: one head chunk, then chunks of the base (every version that was the latest at the compaction revision), then
chunks of the changes after it, in order. Restoring makes the changes again.

Neighbours: `machine` is what it captures; `snapshot` writes the chunks to disk.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

from actors.state.machine import Machine
from actors.state.messages import KeyValue
from actors.state.store import Store
from bus.record import Record

CHUNK_BYTES = 256 * 1024  # about; small enough that encoding one never holds up the actor's loop noticeably


class BadImage(Exception):
    """The chunks are not an image that this program can read."""


class Head(Record, frozen=True, array_like=True, gc=False, tag="head"):
    """The first chunk."""

    applied: int  # index of the last log entry that the image covers
    term: int
    revision: int
    compact_revision: int
    leases: list[tuple[int, int]]  # (lease, granted ttl in s)
    base_count: int
    change_count: int


class Base(Record, frozen=True, array_like=True, gc=False, tag="base"):
    kvs: list[KeyValue]


class Changes(Record, frozen=True, array_like=True, gc=False, tag="changes"):
    kvs: list[KeyValue]


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Head | Base | Changes] = msgspec.msgpack.Decoder(Head | Base | Changes)


@dataclass(frozen=True, slots=True)
class Image:
    """A machine at one point of its log."""

    head: Head
    base: list[KeyValue]
    changes: list[KeyValue]

    def chunks(self) -> Iterator[bytes]:
        yield _encoder.encode(self.head)
        for kvs in _sliced(self.base):
            yield _encoder.encode(Base(kvs))
        for kvs in _sliced(self.changes):
            yield _encoder.encode(Changes(kvs))


def capture(machine: Machine, term: int) -> Image:
    """Return the image of a machine as it is now."""
    store = machine.store
    base = store.base()
    changes = store.history.changes_since(store.compact_revision)
    head = Head(
        machine.applied,
        term,
        store.revision,
        store.compact_revision,
        sorted(store.leases.items()),
        len(base),
        len(changes),
    )
    return Image(head, base, changes)


def restore(chunks: Iterable[bytes]) -> tuple[Machine, int]:
    """Return the machine that an image shows, and the term of its last entry; BadImage when it is not whole."""
    stream = (_decode(chunk) for chunk in chunks)
    head = next(stream, None)
    if not isinstance(head, Head):
        raise BadImage("the first chunk is not a head")
    store = Store()
    for lease, ttl_s in head.leases:
        store.leases.grant(lease, ttl_s)
    base: list[KeyValue] = []
    changes: list[KeyValue] = []
    for chunk in stream:
        if isinstance(chunk, Head):
            raise BadImage("there is a second head")
        (base if isinstance(chunk, Base) else changes).extend(chunk.kvs)
    if (len(base), len(changes)) != (head.base_count, head.change_count):
        raise BadImage(
            f"it should hold {head.base_count} keys and {head.change_count} changes, not {len(base)} and {len(changes)}"
        )
    store.restore(head.revision, head.compact_revision, base, changes)
    return Machine(store, head.applied), head.term


def _decode(chunk: bytes) -> Head | Base | Changes:
    try:
        return _decoder.decode(chunk)
    except msgspec.DecodeError as error:
        raise BadImage(f"a chunk cannot be decoded: {error}") from error


def _sliced(kvs: list[KeyValue]) -> Iterator[list[KeyValue]]:
    """Cut a list into slices of about CHUNK_BYTES."""
    rest = iter(kvs)
    while first := list(islice(rest, 1)):
        size_bytes = len(first[0].value)
        while size_bytes < CHUNK_BYTES and (more := list(islice(rest, 16))):
            size_bytes += sum(len(kv.value) + len(kv.key) for kv in more)
            first += more
        yield first

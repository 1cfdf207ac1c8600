"""The whole state as a sequence of chunks, and back: what a snapshot file, or a new member, is given.

An image is taken in one short step, because versions are immutable: it holds references to them, and can be sorted out
and encoded in another thread while the store goes on changing. It keeps the history since the compaction revision, so
that a watch may start, and a page of a list be read, at an old revision after a restart too.

Layout: one head chunk, then chunks of the base (every version that was the latest at the compaction revision), then
chunks of the changes after it, in order; then the answers that are remembered. Restoring makes the changes again.

Neighbours: `machine` is what it captures; `snapshot` writes the chunks to disk.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

from actors.state.answers import Answer
from actors.state.machine import Machine
from actors.state.messages import KeyValue
from actors.state.store import Store, is_of_base
from bus.record import Record

CHUNK_BYTES = 256 * 1024  # about; small enough that encoding one never holds up the actor's loop noticeably
CHUNK_ANSWERS = 2_048  # the same
SORTED_AT_ONCE = 4_096  # versions, of which some are the base: about half a millisecond


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
    members: dict[str, bool] = {}  # of the group, at `applied`; empty in snapshots of format 1
    cluster_id: str = ""
    answer_count: int = 0


class Base(Record, frozen=True, array_like=True, gc=False, tag="base"):
    kvs: list[KeyValue]


class Changes(Record, frozen=True, array_like=True, gc=False, tag="changes"):
    kvs: list[KeyValue]


class Answers(Record, frozen=True, array_like=True, gc=False, tag="answers"):
    answers: list[Answer]
    forgotten_revision: int


Chunk = Head | Base | Changes | Answers

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Chunk] = msgspec.msgpack.Decoder(Chunk)


@dataclass(frozen=True, slots=True)
class Image:
    """A machine at one point of its log."""

    head: Head  # without the count of its base
    oldest: list[KeyValue]  # versions of all keys; the base is among them
    changes: list[KeyValue]
    answers: Answers

    def chunks(self, rest: Callable[[], None] = lambda: None) -> Iterator[bytes]:
        """Give the chunks; `rest` is called after each short piece of work."""
        base: list[KeyValue] = []
        for at in range(0, len(self.oldest), SORTED_AT_ONCE):
            some = self.oldest[at : at + SORTED_AT_ONCE]
            base += [kv for kv in some if is_of_base(kv, self.head.compact_revision)]
            rest()
        for chunk in self._encoded(base):
            yield chunk
            rest()

    def _encoded(self, base: list[KeyValue]) -> Iterator[bytes]:
        yield _encoder.encode(msgspec.structs.replace(self.head, base_count=len(base)))
        for kvs in _sliced(base):
            yield _encoder.encode(Base(kvs))
        for kvs in _sliced(self.changes):
            yield _encoder.encode(Changes(kvs))
        answers = self.answers.answers
        for at in range(0, max(1, len(answers)), CHUNK_ANSWERS):
            yield _encoder.encode(Answers(answers[at : at + CHUNK_ANSWERS], self.answers.forgotten_revision))


def capture(machine: Machine, term: int, members: dict[str, bool] | None = None, cluster_id: str = "") -> Image:
    """Return the image of a machine as it is now; `term` is that of the last entry it has seen."""
    store = machine.store
    oldest = store.oldest()
    changes = store.history.changes_since(store.compact_revision)
    head = Head(
        machine.applied,
        term,
        store.revision,
        store.compact_revision,
        sorted(store.leases.items()),
        0,
        len(changes),
        members or {},
        cluster_id,
        len(machine.answers) + 1,  # with the mark of what was forgotten; 0 in format 1, which has none of it
    )
    return Image(head, oldest, changes, Answers(machine.answers.all(), machine.answers.forgotten_revision))


@dataclass(frozen=True, slots=True)
class Restored:
    """What an image shows: everything up to `machine.applied`."""

    machine: Machine
    term: int  # of that entry
    members: dict[str, bool]
    cluster_id: str = ""


def restore(chunks: Iterable[bytes]) -> Restored:
    """Return what an image shows; BadImage when it is not whole."""
    stream = (_decode(chunk) for chunk in chunks)
    head = next(stream, None)
    if not isinstance(head, Head):
        raise BadImage("the first chunk is not a head")
    machine = Machine(Store(), head.applied)
    for lease, ttl_s in head.leases:
        machine.store.leases.grant(lease, ttl_s)
    base: list[KeyValue] = []
    changes: list[KeyValue] = []
    answer_count = 0
    for chunk in stream:
        match chunk:
            case Head():
                raise BadImage("there is a second head")
            case Answers():
                machine.answers.load(chunk.answers, chunk.forgotten_revision)
                answer_count = len(machine.answers) + 1
            case Base():
                base += chunk.kvs
            case Changes():
                changes += chunk.kvs
    if (len(base), len(changes)) != (head.base_count, head.change_count):
        raise BadImage(
            f"it should hold {head.base_count} keys and {head.change_count} changes, not {len(base)} and {len(changes)}"
        )
    if answer_count != head.answer_count:
        raise BadImage("its answers are missing")
    machine.store.restore(head.revision, head.compact_revision, base, changes)
    return Restored(machine, head.term, head.members, head.cluster_id)


def head_of(chunk: bytes) -> Head:
    """Return what the first chunk says; BadImage when it is none."""
    head = _decode(chunk)
    if not isinstance(head, Head):
        raise BadImage("the first chunk is not a head")
    return head


def _decode(chunk: bytes) -> Chunk:
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

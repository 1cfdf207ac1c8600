"""What changes, told to whoever watches."""

from typing import ClassVar

from actors.state.messages.keyspace import KeyValue
from actors.state.messages.senders import READERS
from bus.record import Record, Request


class Event(Record, frozen=True, array_like=True, gc=False):
    """A change. A delete carries the key and its revision in `kv`, with an empty value and version 0."""

    kv: KeyValue
    deleted: bool = False
    prev_kv: KeyValue | None = None


class WatchBatch(Record, frozen=True, array_like=True, gc=False):
    """All that happened up to and including `revision` since the batch before; no events: progress only.

    Events of one revision never span two batches.
    """

    revision: int
    events: list[Event]


class WatchRequest(Request, frozen=True, array_like=True, gc=False):
    """Every change of a range from `start_revision` on (0: from now), once and in order.

    Ends with COMPACTED when the start is gone. An idle watch gets a progress batch every `progress_ms` (0: never),
    and always one at its start.
    """

    method: ClassVar[str] = "state.watch"
    roles: ClassVar[frozenset[str]] = READERS
    reply: ClassVar[type[Record]] = WatchBatch
    stream: ClassVar[bool] = True

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    progress_ms: int = 0

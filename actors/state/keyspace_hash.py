"""A hash of all keys up to a revision, the same at every member that has the same data and has compacted as much.

It covers the versions that can still be read: those that were the latest at the compaction revision, in the order of
their keys, and every change after it, in order. How much of what was compacted has been freed makes no difference.

Neighbours: `store` gives the versions; `etcd.maintenance` tells the hash to whoever compares members.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

import msgspec
from crc32c import crc32c

from actors.state.messages import KeyValue
from actors.state.store import Store


@dataclass(frozen=True, slots=True)
class Versions:
    """References to what is to be hashed, taken in one step; the store may go on changing."""

    revision: int
    compact_revision: int
    base: list[KeyValue]
    changes: list[KeyValue]

    def hash(self) -> int:
        """Return a CRC32C. Takes long for a large store: not for the loop."""
        checksum = 0
        for kv in _all(self.base, self.changes):
            checksum = crc32c(msgspec.msgpack.encode(kv), checksum)
        return checksum


def versions_of(store: Store, revision: int = 0) -> Versions:
    """Return what there is up to a revision; 0: all. FUTURE_REVISION, COMPACTED."""
    store.check_readable(revision)
    compact_revision = store.compact_revision
    changes = store.history.changes_since(compact_revision + 1)
    if 0 < revision < store.revision:
        changes = [kv for kv in changes if kv.mod_revision <= revision]
    return Versions(revision or store.revision, compact_revision, store.base(), changes)


def _all(base: list[KeyValue], changes: list[KeyValue]) -> Iterable[KeyValue]:
    yield from sorted(base, key=attrgetter("key"))
    yield from changes

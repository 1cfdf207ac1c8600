"""What was superseded: old versions of keys, tombstones, and the sequence of changes.

Kept until compaction. Compaction has two steps: `compact` moves the compaction revision, at once and cheaply, and with
it what may be read; `prune` frees the memory, in slices, because millions of changes would hold up the actor for
seconds. What can be read depends on the first step only, so members may prune at different times.

The compaction revision itself stays readable, for ranges and as the start of a watch.

Neighbours: `store` tells it of each change; `watch` reads `changes_between`.
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from operator import attrgetter, itemgetter

from sortedcontainers import SortedList

from actors.state.messages import KeyValue

PRUNE_CHANGES = 1_000  # freed at once after a compaction: about 1 ms, then requests get a turn

_mod_revision = attrgetter("mod_revision")
_first = itemgetter(0)


class History:
    """Superseded versions by key, and all changes by revision, since the compaction revision."""

    def __init__(self) -> None:
        self.compact_revision = 0
        self.superseded_bytes = 0  # keys and values of superseded versions: what compaction can free
        self._changes: list[KeyValue] = []  # in order; several may have one revision; tombstones have version 0
        self._past: dict[bytes, list[KeyValue]] = {}  # versions before the latest, oldest first; then a tombstone
        self._gone: SortedList = SortedList()  # keys of _past that do not exist now
        self._pruned = 0  # revision up to which _past has been freed

    # Told by the store

    def changed(self, kv: KeyValue) -> None:
        """A key got this version."""
        self._changes.append(kv)

    def superseded(self, old: KeyValue) -> None:
        """This version is no longer its key's latest."""
        self.superseded_bytes += len(old.key) + len(old.value)
        versions = self._past.get(old.key)
        if versions is None:
            self._past[old.key] = [old]
        else:
            versions.append(old)

    def buried(self, tombstone: KeyValue) -> None:
        """A key was deleted."""
        self.superseded_bytes += len(tombstone.key)
        self._changes.append(tombstone)
        self._past[tombstone.key].append(tombstone)
        self._gone.add(tombstone.key)

    def revived(self, key: bytes) -> None:
        """A key that did not exist was created, perhaps again."""
        if key in self._past:
            self._gone.remove(key)

    # Reading

    @property
    def last_revision(self) -> int:
        """The revision of the newest change, also when that revision is still open; 0 when there is none."""
        return self._changes[-1].mod_revision if self._changes else 0

    def version_at(self, key: bytes, revision: int) -> KeyValue | None:
        """Return a superseded version that was the latest at a revision; None when the key did not exist then."""
        versions = self._past.get(key)
        if versions is None:
            return None
        position = bisect_right(versions, revision, key=_mod_revision)
        if position == 0:
            return None
        kv = versions[position - 1]
        return kv if kv.version else None

    def merge_gone(self, keys: Iterable[bytes], bounds: tuple[bytes, bytes | None], descending: bool):
        """Merge keys that exist, in order, with those of the same bounds that only the past knows."""
        gone = self._gone.irange(*bounds, inclusive=(True, False), reverse=descending)
        return heapq.merge(keys, gone, reverse=descending)

    def versions_since(self, key: bytes, revision: int) -> list[KeyValue]:
        """Return superseded versions and tombstones of one key from a revision on."""
        versions = self._past.get(key)
        return versions[bisect_left(versions, revision, key=_mod_revision) :] if versions is not None else []

    def changes_since(self, revision: int) -> list[KeyValue]:
        """Return all changes from a revision on; it must not be compacted."""
        changes = self._changes
        if not changes or changes[-1].mod_revision < revision:
            return []
        if len(changes) == 1 or changes[-2].mod_revision < revision:
            return [changes[-1]]  # the usual case, when one put is committed
        return changes[bisect_left(changes, revision, key=_mod_revision) :]

    def changes_between(self, revision: int, limit: int) -> list[KeyValue]:
        """Return changes from a revision on: about `limit`, and more only to finish a revision."""
        changes = self._changes
        first = bisect_left(changes, revision, key=_mod_revision)
        last = first + limit
        while last < len(changes) and changes[last].mod_revision == changes[last - 1].mod_revision:
            last += 1
        return changes[first:last]

    def count_since(self, revision: int) -> int:
        return len(self._changes) - bisect_left(self._changes, revision, key=_mod_revision)

    def __len__(self) -> int:
        return len(self._changes)

    # Compaction

    def compact(self, revision: int) -> None:
        """Move the compaction revision."""
        if self._pruned == self.compact_revision:
            self._pruned -= 1  # tombstones of the compaction revision itself were kept; now they can go
        self.compact_revision = revision

    def prune(self, limit: int) -> bool:
        """Free up to about `limit` compacted changes; return whether there is more to do."""
        changes = self._changes
        first = bisect_right(changes, self._pruned, key=_mod_revision)
        end = bisect_right(changes, self.compact_revision, key=_mod_revision)
        last = min(end, first + limit)
        while last < end and changes[last].mod_revision == changes[last - 1].mod_revision:
            last += 1
        for kv in changes[first:last]:
            self._prune_key(kv)
        self._pruned = changes[last - 1].mod_revision if first < last < end else self.compact_revision
        del changes[: bisect_left(changes, self._pruned, key=_mod_revision)]
        return self._pruned < self.compact_revision

    def _prune_key(self, change: KeyValue) -> None:
        """Free what a compacted change superseded; and the change too when it is a tombstone.

        A tombstone of the compaction revision itself stays for a watch of its key that starts there.
        """
        versions = self._past.get(change.key)
        if versions is None:
            return
        if change.version or change.mod_revision == self.compact_revision:
            keep = bisect_left(versions, change.mod_revision, key=_mod_revision)
        else:
            keep = bisect_right(versions, change.mod_revision, key=_mod_revision)
        self.superseded_bytes -= sum(len(kv.key) + len(kv.value) for kv in versions[:keep])
        if keep < len(versions):
            del versions[:keep]
            return
        if versions[-1].version == 0:
            self._gone.discard(change.key)  # not there when the key was created again
        del self._past[change.key]

    # Snapshots

    def oldest(self) -> Iterator[KeyValue]:
        """Give the oldest superseded version of each key, or its tombstone; all must be pruned."""
        assert self._pruned == self.compact_revision, "not pruned yet"
        return map(_first, self._past.values())

    def load(self, compact_revision: int, changes: list[KeyValue]) -> None:
        """Start from a snapshot's compaction revision, and the changes of just that revision."""
        assert not self._changes, "a history is loaded once, when it is empty"
        self.compact_revision = self._pruned = compact_revision
        self._changes = changes
        for kv in changes:
            if kv.version == 0:
                self.superseded_bytes += len(kv.key)
                self._past[kv.key] = [kv]
                self._gone.add(kv.key)

"""The multi-version key store: etcd v3's data model in memory.

Every write gets the next revision. The latest version of each key is at hand; superseded versions stay, so that a range
can be read, and a watch can start, at any revision that has not been compacted. The cost of a put is logarithmic in the
number of keys and does not depend on how much history there is.

Nothing here reads a clock or waits. Writes come from `txn` and `machine` only, in the order of the log: any number of
`put` and `delete`, then `commit`, which closes the revision. They check nothing that could fail half way; `txn` checks
all of a transaction first.

Neighbours: `txn` runs transactions on it; `history` holds what was superseded; `watch` reads changes; `image` turns a
store into a snapshot and back.
"""

from itertools import islice

from sortedcontainers import SortedList

from actors.state import errors
from actors.state.history import History
from actors.state.lease import LeaseTable
from actors.state.messages import KeyValue, Range, RangeResult

FIRST_REVISION = 1  # an empty store's, as in etcd: 0 means "now" in requests and "does not exist" in compares
TO_THE_END = b"\0"  # as a range_end: everything from the key on

Bounds = tuple[bytes, bytes | None]  # [from, to); to None: no end

_SORT_KEYS = {
    "version": lambda kv: kv.version,
    "create": lambda kv: kv.create_revision,
    "mod": lambda kv: kv.mod_revision,
    "value": lambda kv: kv.value,
}
SORT_TARGETS = frozenset(_SORT_KEYS) | {"key"}


def bounds_of(key: bytes, range_end: bytes) -> Bounds:
    """Return the half-open interval of a key and a range_end that is not empty."""
    return key, None if range_end == TO_THE_END else range_end


def within(key: bytes, bounds: Bounds) -> bool:
    start, end = bounds
    return start <= key and (end is None or key < end)


class Store:
    """Keys, their versions, and the leases that keys hang on."""

    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self.leases = LeaseTable()
        self.history = History()
        self.live_bytes = 0  # keys and values that a read of now would return
        self._live: dict[bytes, KeyValue] = {}
        self._keys: SortedList = SortedList()  # of _live

    def __len__(self) -> int:
        return len(self._live)

    @property
    def compact_revision(self) -> int:
        return self.history.compact_revision

    # Reading

    def get(self, key: bytes) -> KeyValue | None:
        """Return the latest version of a key, or None."""
        return self._live.get(key)

    def keys_in(self, key: bytes, range_end: bytes) -> list[bytes]:
        """Return the keys that exist now in a range, in order."""
        if not range_end:
            return [key] if key in self._live else []
        return list(self._between(bounds_of(key, range_end)))

    def live(self) -> list[KeyValue]:
        """Return the latest version of every key, in key order."""
        return [self._live[key] for key in self._keys]

    def range(self, wanted: Range) -> RangeResult:
        """Read keys; COMPACTED or FUTURE_REVISION when the wanted revision cannot be read."""
        self.check_readable(wanted.revision)
        if 0 < wanted.revision < max(self.revision, self.history.last_revision):
            found, count = self._range_past(wanted)
        else:
            found, count = self._range_now(wanted)
        if wanted.count_only:
            return RangeResult([], count)
        if wanted.sort_target != "key":
            found.sort(key=_SORT_KEYS[wanted.sort_target], reverse=wanted.descending)
            if wanted.limit:
                found = found[: wanted.limit]
        if wanted.keys_only:
            found = [_without_value(kv) for kv in found]
        return RangeResult(found, count, more=len(found) < count)

    def check_readable(self, revision: int) -> None:
        if revision > self.revision:
            raise errors.future_revision(revision, self.revision)
        if 0 < revision < self.compact_revision:
            raise errors.compacted(revision, self.compact_revision)

    def _between(self, bounds: Bounds, descending: bool = False):
        return self._keys.irange(*bounds, inclusive=(True, False), reverse=descending)

    def _range_now(self, wanted: Range) -> tuple[list[KeyValue], int]:
        if not wanted.range_end:
            kv = self._live.get(wanted.key)
            return ([kv], 1) if kv is not None else ([], 0)
        bounds = bounds_of(wanted.key, wanted.range_end)
        count = self._count(bounds)
        if wanted.count_only or count == 0:
            return [], count
        live = self._live
        if wanted.sort_target != "key":
            return [live[key] for key in self._between(bounds)], count
        keys = self._between(bounds, wanted.descending)
        return [live[key] for key in (islice(keys, wanted.limit) if wanted.limit else keys)], count

    def _count(self, bounds: Bounds) -> int:
        start, end = bounds
        upper = len(self._keys) if end is None else self._keys.bisect_left(end)
        return max(0, upper - self._keys.bisect_left(start))

    def _range_past(self, wanted: Range) -> tuple[list[KeyValue], int]:
        """Read at a revision before now. A limited read stops early: the count comes from what changed since."""
        if not wanted.range_end:
            kv = self._at(wanted.key, wanted.revision)
            return ([kv], 1) if kv is not None else ([], 0)
        bounds = bounds_of(wanted.key, wanted.range_end)
        stop_early = wanted.count_only or (wanted.limit and wanted.sort_target == "key")
        if not stop_early:
            found = self._scan_past(wanted, bounds, 0)
            return found, len(found)
        if self.history.count_since(wanted.revision + 1) > len(self._keys):
            found = self._scan_past(wanted, bounds, 0)
            return ([] if wanted.count_only else found[: wanted.limit]), len(found)
        count = self._count_past(bounds, wanted.revision)
        return ([] if wanted.count_only else self._scan_past(wanted, bounds, wanted.limit)), count

    def _scan_past(self, wanted: Range, bounds: Bounds, limit: int) -> list[KeyValue]:
        descending = wanted.descending and wanted.sort_target == "key"
        keys = self.history.merge_gone(self._between(bounds, descending), bounds, descending)
        found = (kv for key in keys if (kv := self._at(key, wanted.revision)) is not None)
        return list(islice(found, limit) if limit else found)

    def _count_past(self, bounds: Bounds, revision: int) -> int:
        count = self._count(bounds)
        for key in {kv.key for kv in self.history.changes_since(revision + 1) if within(kv.key, bounds)}:
            count += (self._at(key, revision) is not None) - (key in self._live)
        return count

    def _at(self, key: bytes, revision: int) -> KeyValue | None:
        """Return a key's version at a revision that is not compacted, or None."""
        kv = self._live.get(key)
        if kv is not None and kv.mod_revision <= revision:
            return kv
        return self.history.version_at(key, revision)

    def before(self, kv: KeyValue) -> KeyValue | None:
        """Return the version that a change replaced; None when it created the key or the version is compacted."""
        return self._at(kv.key, kv.mod_revision - 1) if kv.mod_revision > self.compact_revision else None

    # Writing: puts and deletes, then commit

    def put(self, key: bytes, value: bytes, lease: int = 0) -> KeyValue | None:
        """Write a key under the next revision; return what it replaced. The lease, if any, must exist."""
        old = self._write(key, value, lease)
        old_lease = old.lease if old is not None else 0
        if old_lease != lease:
            if old_lease:
                self.leases.detach(old_lease, key)
            if lease:
                self.leases.attach(lease, key)
        return old

    def delete(self, key: bytes) -> KeyValue:
        """Delete a key that exists, under the next revision; return what it was."""
        old = self._erase(key)
        if old.lease:
            self.leases.detach(old.lease, key)
        return old

    def _write(self, key: bytes, value: bytes, lease: int) -> KeyValue | None:
        revision = self.revision + 1
        old = self._live.get(key)
        if old is None:
            kv = KeyValue(key, value, revision, revision, 1, lease)
            self._keys.add(key)
            self.history.revived(key)
            self.live_bytes += len(key) + len(value)
        else:
            kv = KeyValue(old.key, value, old.create_revision, revision, old.version + 1, lease)
            self.history.superseded(old)
            self.live_bytes += len(value) - len(old.value)
        self._live[kv.key] = kv
        self.history.changed(kv)
        return old

    def _erase(self, key: bytes) -> KeyValue:
        old = self._live.pop(key)
        self._keys.remove(key)
        self.live_bytes -= len(key) + len(old.value)
        self.history.superseded(old)
        self.history.buried(KeyValue(old.key, b"", 0, self.revision + 1, 0))
        return old

    def commit(self) -> list[KeyValue]:
        """Close the revision; return its changes in order, tombstones with version 0. None: no new revision."""
        changes = self.history.changes_since(self.revision + 1)
        if changes:
            self.revision += 1
        return changes

    def compact(self, revision: int) -> None:
        """Make everything that was superseded at or before a revision unreadable; `history.prune` then frees it."""
        if revision > self.revision:
            raise errors.future_revision(revision, self.revision)
        if revision <= self.compact_revision:
            raise errors.compacted(revision, self.compact_revision)
        self.history.compact(revision)

    # Snapshots

    def base(self) -> list[KeyValue]:
        """Return all versions that were the latest at the compaction revision, in no order; prunes first."""
        compact_revision = self.compact_revision
        return [kv for kv in self.oldest() if is_of_base(kv, compact_revision)]

    def oldest(self) -> list[KeyValue]:
        """Return the oldest versions that are kept of all keys, among which are those of the base, and some that are
        later; prunes first. Sorting them out takes longer than this, and can be done beside the actor's loop."""
        self.history.prune(len(self.history))
        return [*self._live.values(), *self.history.oldest()]

    def restore(self, revision: int, compact_revision: int, base: list[KeyValue], changes: list[KeyValue]) -> None:
        """Put a snapshot's base and changes back into an empty store; the leases must be there already.

        Leases get their keys at the end: a version in between may have hung on a lease that is gone.
        """
        for kv in base:
            self._live[kv.key] = kv
            self.live_bytes += len(kv.key) + len(kv.value)
        self._keys.update(self._live)
        self.history.load(compact_revision, [kv for kv in changes if kv.mod_revision == compact_revision])
        for kv in changes:
            if kv.mod_revision > compact_revision:
                self._replay(kv)
        self.revision = revision
        for kv in self._live.values():
            if kv.lease:
                self.leases.attach(kv.lease, kv.key)

    def become(self, other: "Store") -> None:
        """Take over all that another store holds; the other must not be used any more."""
        self.revision, self.live_bytes = other.revision, other.live_bytes
        self.leases, self.history = other.leases, other.history
        self._live, self._keys = other._live, other._keys

    def _replay(self, change: KeyValue) -> None:
        """Make a change of a snapshot's history again, just as it was."""
        self.revision = change.mod_revision - 1
        if change.version == 0:
            self._erase(change.key)
            return
        self._write(change.key, change.value, change.lease)
        assert self._live[change.key] == change, f"a snapshot contradicts itself at {change.key!r}"


def is_of_base(kv: KeyValue, compact_revision: int) -> bool:
    """Whether one of the `oldest` was its key's latest at the compaction revision."""
    return kv.version > 0 and kv.mod_revision <= compact_revision


def _without_value(kv: KeyValue) -> KeyValue:
    return KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease)

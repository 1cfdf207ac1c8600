"""Watches: every change of a key or range from a revision on, once and in order, or an error that says it can't.

A watcher is pulled: its reader calls `take` when it has credit for another batch, so a reader that falls behind costs
next to nothing. While a reader keeps up, a change that concerns it is queued for it (a reference, not a copy). A queue
that is full is thrown away and replaced by the revision from which to read again out of the store's history. If that
has been compacted by then, `take` refuses with COMPACTED: the watch has a hole and its reader must list again.

Events of one revision are never split. A put costs what the watchers of its key cost, however many others there are.

Neighbours: `watch_index` finds the watchers of a key; `history` is read to catch up; `actor` runs one stream for each
watcher and calls `publish` after each applied revision.
"""

from collections import deque
from collections.abc import Callable, Iterable

from actors.state import errors
from actors.state.messages import Event, KeyValue, WatchBatch
from actors.state.store import Store, bounds_of, within
from actors.state.watch_index import WatchIndex

MAX_QUEUED_EVENTS = 1_024  # of one watcher; beyond it the watcher reads from history, which costs it a scan
MAX_QUEUED_BYTES = 1_048_576  # of keys and values; so that queues cannot hold on to much that compaction freed
MAX_BATCH_EVENTS = 1_000  # as in etcd's own sync; a batch is longer only to keep a revision whole
MAX_BATCH_BYTES = 1_048_576  # of keys and values; longer only to keep a revision whole
SCAN_CHANGES = 4_096  # changes looked at in one `take` while catching up: about 1 ms, then others get a turn


def _nothing() -> None:
    """What an unattended watcher does when there is something to take."""


class Watcher:
    """One reader's place in the sequence of changes. Made by `WatchHub.watch`."""

    __slots__ = ("_hub", "_queue", "_queued_bytes", "_queued_events", "_reread_from", "key", "prev_kv", "range_end",
                 "start_revision", "wake")  # fmt: skip

    def __init__(self, hub: "WatchHub", key: bytes, range_end: bytes, start_revision: int, prev_kv: bool):
        self.key = key
        self.range_end = range_end
        self.start_revision = start_revision  # events before it are not wanted, even if it is in the future
        self.prev_kv = prev_kv
        self.wake: Callable[[], None] = _nothing  # called when `take` may have something again
        self._hub = hub
        self._queue: deque[tuple[int, list[Event], int]] = deque()
        self._queued_events = 0
        self._queued_bytes = 0
        self._reread_from: int | None = None  # catching up: the first revision that was not given out yet

    def take(self) -> WatchBatch | None:
        """Return what comes next, or None when the watcher has seen all there is.

        A batch without events is progress of a long catch-up. COMPACTED: the watch cannot go on.
        """
        if self._reread_from is not None:
            return self._take_from_history()
        if self._queue:
            return self._take_from_queue()
        return None

    def progress(self) -> WatchBatch:
        """Return a batch without events, saying up to where the watcher has seen all; only when `take` gave None."""
        assert self._reread_from is None and not self._queue, "there is still something to take"
        return WatchBatch(self._hub.store.revision, [])

    def push(self, revision: int, events: list[Event], size_bytes: int) -> None:
        """Queue the events of one revision; the hub calls it."""
        if revision < self.start_revision or self._reread_from is not None:
            return
        if self._queue and (
            self._queued_events + len(events) > MAX_QUEUED_EVENTS or self._queued_bytes + size_bytes > MAX_QUEUED_BYTES
        ):
            self._reread_from = self._queue[0][0]
            self._queue.clear()
            self._queued_events = self._queued_bytes = 0
            return
        self._queue.append((revision, events, size_bytes))
        self._queued_events += len(events)
        self._queued_bytes += size_bytes
        if len(self._queue) == 1:
            self.wake()

    def resume(self, revision: int) -> None:
        """The store was taken on from a revision at once: read what came after it out of its history."""
        if self._reread_from is None:
            wanted = self._queue[0][0] if self._queue else revision + 1
            self._reread_from = max(wanted, self.start_revision)
            self._queue.clear()
            self._queued_events = self._queued_bytes = 0
        self.wake()

    def start_at(self, revision: int) -> None:
        """Begin by catching up from a revision; the hub calls it."""
        self._reread_from = revision

    def _take_from_queue(self) -> WatchBatch:
        revision, events, size_bytes = self._queue.popleft()
        if self._queue:
            events = list(events)
        while self._queue and len(events) < MAX_BATCH_EVENTS and size_bytes + self._queue[0][2] <= MAX_BATCH_BYTES:
            revision, more, more_bytes = self._queue.popleft()
            events += more
            size_bytes += more_bytes
        self._queued_events -= len(events)
        self._queued_bytes -= size_bytes
        return WatchBatch(revision if self._queue else self._hub.store.revision, events)

    def _take_from_history(self) -> WatchBatch | None:
        store = self._hub.store
        wanted = self._reread_from
        assert wanted is not None
        if wanted > store.revision:  # everything was seen; only a watch that starts at the next revision gets here
            self._reread_from = None
            return None
        if wanted < store.compact_revision:
            raise errors.compacted(wanted, store.compact_revision)
        changes, seen = self._read_key(wanted) if not self.range_end else self._read_range(wanted)
        changes, cut_before = _cut_to_batch(changes)
        revision = cut_before - 1 if cut_before else seen
        self._reread_from = revision + 1 if revision < store.revision else None
        return WatchBatch(revision, [self._hub.event(kv, self.prev_kv) for kv in changes])

    def _read_key(self, wanted: int) -> tuple[list[KeyValue], int]:
        """Return the changes of one key from a revision on, and the revision up to which that is all of them."""
        store = self._hub.store
        changes = store.history.versions_since(self.key, wanted)
        latest = store.get(self.key)
        if latest is not None and latest.mod_revision >= wanted:
            changes.append(latest)
        return changes, store.revision

    def _read_range(self, wanted: int) -> tuple[list[KeyValue], int]:
        """Return changes of the range among the next few thousand, and the revision up to which that is all."""
        store = self._hub.store
        changes = store.history.changes_between(wanted, SCAN_CHANGES)
        bounds = bounds_of(self.key, self.range_end)
        seen = changes[-1].mod_revision if len(changes) >= SCAN_CHANGES else store.revision
        return [kv for kv in changes if within(kv.key, bounds)], seen


class WatchHub:
    """All watchers of a store."""

    def __init__(self, store: Store):
        self.store = store
        self._index: WatchIndex[Watcher] = WatchIndex()
        self._watchers: set[Watcher] = set()

    def __len__(self) -> int:
        return len(self._watchers)

    def watch(self, key: bytes, range_end: bytes = b"", start_revision: int = 0, prev_kv: bool = False) -> Watcher:
        """Begin a watch; `start_revision` 0 means the next revision. COMPACTED when the start is gone."""
        if not key:
            raise errors.invalid("key is not provided")
        if start_revision < 0:
            raise errors.invalid(f"start revision must not be negative: {start_revision}")
        if 0 < start_revision < self.store.compact_revision:
            raise errors.compacted(start_revision, self.store.compact_revision)
        watcher = Watcher(self, key, range_end, start_revision, prev_kv)
        if 0 < start_revision <= self.store.revision:
            watcher.start_at(start_revision)
        self._index.add(key, range_end, watcher)
        self._watchers.add(watcher)
        return watcher

    def cancel(self, watcher: Watcher) -> None:
        self._index.remove(watcher.key, watcher.range_end, watcher)
        self._watchers.discard(watcher)

    def resume(self, revision: int) -> None:
        """A snapshot took the store on from a revision: nothing was published since."""
        for watcher in list(self._watchers):
            watcher.resume(revision)

    def publish(self, revision: int, changes: Iterable[KeyValue]) -> None:
        """Tell the watchers of the changed keys; call it once for each revision, in order."""
        concerned: dict[Watcher, tuple[list[Event], int]] = {}
        for kv in changes:
            plain: Event | None = None
            with_previous: Event | None = None
            for watcher in self._index.matching(kv.key):
                if watcher.prev_kv:
                    event = with_previous = with_previous or self.event(kv, True)
                else:
                    event = plain = plain or self.event(kv, False)
                events, size_bytes = concerned.get(watcher) or ([], 0)
                events.append(event)
                concerned[watcher] = events, size_bytes + event_bytes(event)
        for watcher, (events, size_bytes) in concerned.items():
            watcher.push(revision, events, size_bytes)

    def event(self, kv: KeyValue, prev_kv: bool) -> Event:
        """Return a change as watchers get it; without its previous version when that has been compacted."""
        return Event(kv, kv.version == 0, self.store.before(kv) if prev_kv else None)


def event_bytes(event: Event) -> int:
    """Return the size of an event's keys and values."""
    size_bytes = len(event.kv.key) + len(event.kv.value)
    if event.prev_kv is not None:
        size_bytes += len(event.prev_kv.key) + len(event.prev_kv.value)
    return size_bytes


def _cut_to_batch(changes: list[KeyValue]) -> tuple[list[KeyValue], int]:
    """Return as many changes as one batch takes, and the revision of the first that it did not; 0 when it took all."""
    size_bytes = 0
    for position, kv in enumerate(changes):
        starts_revision = position > 0 and changes[position - 1].mod_revision != kv.mod_revision
        if starts_revision and (position >= MAX_BATCH_EVENTS or size_bytes + len(kv.value) > MAX_BATCH_BYTES):
            return changes[:position], kv.mod_revision
        size_bytes += len(kv.key) + len(kv.value)
    return changes, 0

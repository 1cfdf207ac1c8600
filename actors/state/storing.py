"""What a member has promised on its way to the disk: one batch at a time, in the disk's thread or in the loop's own.

How long it takes is measured, for the metrics, for the choice of the thread, and to notice a disk that hangs.

What can go wrong is told to whoever gave the batch: `NoSpace`, and anything else, after which nobody knows what is on
the disk.

Neighbours: `committer` gives a batch when the one before is stored; `own_sync` chooses; `storage` writes.
"""

import functools
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Histogram

from actors.state.disk_thread import DiskThread, outcome_of
from actors.state.own_sync import OwnSync
from actors.state.raft.ready import Ready
from actors.state.snapshots import Received
from actors.state.storage import Storage
from runtime import failpoint
from runtime.clock import Clock

HUNG_S = 1.0  # in which a disk has stored a batch, or it hangs: one that was only busy was seen to take 0.09 s
SYNC_BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

Stored = Callable[[Ready, Exception | None], None]


class Storing:
    def __init__(self, storage: Storage, done: Stored, clock: Clock, metrics: CollectorRegistry):
        """`done` is called in the loop with each batch, and what kept it from being stored."""
        self.disk = DiskThread()
        self.received: Received | None = None  # a snapshot that Raft has not taken yet
        self._storage, self._done, self._clock = storage, done, clock
        self._own_sync = OwnSync()
        self._is_in_own_thread = False  # what such a write leads to does not go the same way, deeper and deeper
        self._begin_s = 0.0  # of what is being stored, or was last
        self._is_under_way = False
        self._sync_s = Histogram("state_sync_seconds", "Write and sync of a batch", buckets=SYNC_BUCKETS_S,
                                 registry=metrics)  # fmt: skip
        self._batch = Histogram("state_batch_entries", "Entries of a batch", buckets=BATCH_BUCKETS, registry=metrics)

    @property
    def hangs(self) -> bool:
        """Whether a batch takes longer than any disk does that goes on."""
        return self._is_under_way and self._clock.monotonic() - self._begin_s > HUNG_S

    def begin(self, ready: Ready, *, is_alone: bool, waiting: int) -> None:
        """Store a batch. `waiting` commands have no answer; who `is_alone` owes nobody else a sign of life."""
        failpoint.passing("state.before_persist")
        self._begin_s = self._clock.monotonic()
        self._is_under_way = True
        if is_alone and self._is_for_own_thread(ready, waiting):
            self._is_in_own_thread = True
            self._on_stored(ready, *outcome_of(self._write, ready))
            self._is_in_own_thread = False
        else:
            self.disk.then(functools.partial(self._on_stored, ready), self._write, ready)

    def _is_for_own_thread(self, ready: Ready, waiting: int) -> bool:
        if not self.disk.is_idle or ready.snapshot is not None or self._is_in_own_thread:
            return False
        return self._own_sync.is_worth([len(entry.data) for entry in ready.entries], waiting)

    def _write(self, ready: Ready) -> None:
        """Runs in the disk's thread, or while that is idle."""
        if ready.snapshot is not None:
            received = self.received
            assert received is not None, "Raft took a snapshot that did not come"
            if not received.is_adopted:
                self._storage.adopt(ready.snapshot.index, received.size_bytes)
                received.is_adopted = True
        self._storage.append(ready.entries, ready.hard_state)

    def _on_stored(self, ready: Ready, result: None, failure: Exception | None) -> None:
        self._is_under_way = False
        if failure is None:
            took_s = self._clock.monotonic() - self._begin_s
            self._sync_s.observe(took_s)
            self._own_sync.took(took_s)
            self._batch.observe(len(ready.entries))
        self._done(ready, failure)

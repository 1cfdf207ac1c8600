"""The state actor: etcd's role. It keeps every object of the cluster, and says what changed.

What it does: answers `state.*` (see `messages`): ranges, transactions, watches, leases. Whoever gets an answer to a
write may rely on it: it is on disk. Forgets old history as time goes by, ends leases, takes snapshots of its log.

Receives: requests of API servers, and reads of the command line. Sends: answers, watch streams, and the hint
`state.commits` {revision, keys}: how far the store is and how many keys it holds, nothing of what they say.

How it crashes: at any line, on purpose too (failpoints `state.before_persist`, `state.persisted`). What was answered is
on disk; what was not may be, whole. It refuses to start on a data directory that is damaged, of a newer format, or in
use. A full disk makes it read-only, with an alarm. With Raft, `core` becomes one of several members.

    core        what to persist, apply, answer          store, history, txn, lease    the data
    committer   group commit, snapshots, full disks     watch, watch_index            who is told
    service     the handlers                            log, snapshot, disk, frames   what is on disk
"""

import asyncio
from typing import Any

from prometheus_client import Gauge

from actors.api.config import of_settings
from actors.state.commands import CompactCommand, RevokeCommand
from actors.state.committer import Committer
from actors.state.compactor import Compactor
from actors.state.core import Core
from actors.state.damage import DataRefused, NoSpace
from actors.state.disk import DataDirInUse, DirectoryDisk
from actors.state.messages import NO_SPACE
from actors.state.service import Service
from actors.state.storage import Recovered, Storage
from bus.errors import RemoteError, Unavailable
from bus.record import Empty
from runtime.actor import Actor

HINT_EVERY_S = 0.05  # at most this often is `state.commits` published
COMPACTION_TICK_S = 1.0  # how often the compactor is asked
PRUNE_CHANGES = 1_000  # freed at once after a compaction: about 1 ms, then requests get a turn
LEASE_TICK_S = 0.5  # how late a lease may end, as in etcd
MAX_REVOKES = 500  # proposed at once when many leases end together, so that other writes get in between


class StateActor(Actor):
    """Role `state`."""

    async def start(self) -> None:
        config = of_settings(self.setup.settings).state
        storage, recovered = await asyncio.to_thread(self._open, config.segment_bytes)
        self._storage = storage
        self._committer = Committer(
            Core(recovered.machine, recovered.term),
            storage,
            snapshot_every_bytes=config.snapshot_every_bytes,
            on_applied=self._on_applied,
            spawn=self.spawn,
            log=self.log,
            clock=self.clock,
            metrics=self.metrics,
        )
        self._service = Service(self.name, self._committer, self.clock)
        self._service.register(self.server)
        self._committed = asyncio.Event()
        self._compacted = asyncio.Event()
        self._compacted.set()  # a compaction before the restart may have left something to prune
        self._measure()
        self.spawn(self._committer.run(), "commit")
        self.spawn(self._publish_hints(), "hints")
        self.spawn(self._end_leases(), "leases")
        self.spawn(self._compact(config.compact_every_s), "compaction")
        self.spawn(self._prune(), "pruning")

    async def stop(self) -> None:
        if hasattr(self, "_committer"):
            await self._committer.close()

    def inspect(self) -> dict[str, Any]:
        if not hasattr(self, "_service"):
            return {}
        store, log = self._service.store, self._storage.log
        return {
            "leader": True,
            "revision": store.revision,
            "compact_revision": store.compact_revision,
            "keys": len(store),
            "live_bytes": store.live_bytes,
            "history_bytes": store.history.superseded_bytes,
            "leases": len(store.leases),
            "watchers": len(self._service.hub),
            "pending": self._committer.core.pending,
            "log_bytes": log.size_bytes,
            "log_segments": log.segment_count,
            "snapshot_index": self._storage.snapshot_index,
            "alarms": self._service.alarms,
        }

    def _open(self, segment_bytes: int) -> tuple[Storage, Recovered]:
        """Open the data directory and read it; runs in a thread, so that the control socket answers meanwhile."""
        begin_s = self.clock.monotonic()
        try:
            disk = DirectoryDisk(self.dir)
            storage = Storage(disk, segment_bytes)
            recovered = storage.recover()
        except (DataRefused, DataDirInUse, NoSpace) as error:
            self.log.error("the data directory cannot be used", reason=str(error))
            raise
        if (cut := recovered.cut) is not None:
            self.log.warning(
                "an interrupted write was cut off the log; nothing that was answered is lost",
                file=cut.file,
                offset=cut.offset,
                damaged_bytes=cut.damaged_bytes,
            )
        store = recovered.machine.store
        self.log.info(
            "recovered",
            revision=store.revision,
            keys=len(store),
            snapshot_index=recovered.snapshot_index,
            replayed=recovered.replayed,
            took_s=round(self.clock.monotonic() - begin_s, 3),
        )
        return storage, recovered

    def _measure(self) -> None:
        store = self._service.store
        for name, text, value in (
            ("state_revision", "Revision of the store", lambda: store.revision),
            ("state_keys", "Keys that exist", lambda: len(store)),
            ("state_live_bytes", "Keys and values that exist", lambda: store.live_bytes),
            ("state_history_bytes", "Superseded keys and values", lambda: store.history.superseded_bytes),
            ("state_watchers", "Open watches", lambda: len(self._service.hub)),
            ("state_log_bytes", "Size of the log", lambda: self._storage.log.size_bytes),
        ):
            Gauge(name, text, registry=self.metrics).set_function(value)

    def _on_applied(self, applied) -> None:
        self._service.on_applied(applied)
        if isinstance(applied.command, CompactCommand):
            self._compacted.set()
        self._committed.set()

    async def _publish_hints(self) -> None:
        while True:
            await self._committed.wait()
            self._committed.clear()
            store = self._service.store
            self.publisher.publish("state.commits", {"revision": store.revision, "keys": len(store)})
            await asyncio.sleep(HINT_EVERY_S)

    async def _end_leases(self) -> None:
        """Revoke what has expired, through the log."""
        lessor = self._service.lessor
        while True:
            await asyncio.sleep(LEASE_TICK_S)
            expired = lessor.expired(self.clock.monotonic())
            for position in range(0, len(expired), MAX_REVOKES):
                await asyncio.gather(*map(self._end_lease, expired[position : position + MAX_REVOKES]))

    async def _end_lease(self, lease: int) -> None:
        try:
            await self._committer.propose(RevokeCommand(lease), lambda outcome: Empty())
        except (Unavailable, RemoteError) as error:
            if isinstance(error, RemoteError) and error.kind != NO_SPACE:
                self._service.lessor.forget(lease)  # it was revoked by its owner meanwhile
            else:
                self._service.lessor.retry(lease, self.clock.monotonic())

    async def _compact(self, every_s: float) -> None:
        store = self._service.store
        compactor = Compactor(every_s, self.clock.monotonic(), store.revision)
        while True:
            await asyncio.sleep(COMPACTION_TICK_S)
            wanted = compactor.tick(
                self.clock.monotonic(), store.revision, store.compact_revision, store.history.superseded_bytes
            )
            if wanted is None:
                continue
            try:
                await self._committer.propose(CompactCommand(wanted), lambda outcome: Empty())
            except (Unavailable, RemoteError) as error:
                self.log.warning("history was not compacted", revision=wanted, reason=error.message)
            else:
                self.log.info("history compacted", revision=wanted)

    async def _prune(self) -> None:
        """Free compacted history, in small steps."""
        while True:
            await self._compacted.wait()
            self._compacted.clear()
            if self._service.store.history.prune(PRUNE_CHANGES):
                self._compacted.set()
                await asyncio.sleep(0)

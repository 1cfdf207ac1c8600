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
    housekeeping, compactor                             leases that end, history that is forgotten
"""

import asyncio
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from actors.api.config import of_settings
from actors.state.committer import Committer
from actors.state.core import Applied, Core
from actors.state.damage import DataRefused, NoSpace
from actors.state.disk import DataDirInUse, DirectoryDisk
from actors.state.housekeeping import Housekeeping
from actors.state.service import Service
from actors.state.storage import Recovered, Storage
from runtime.actor import Actor, CannotServe, Setup

HINT_EVERY_S = 0.05  # at most this often is `state.commits` published


class StateActor(Actor):
    """Role `state`."""

    def __init__(self, setup: Setup):
        super().__init__(setup)
        self._committed = asyncio.Event()
        self._service: Service | None = None  # once the data directory has been read

    async def start(self) -> None:
        config = of_settings(self.setup.settings).state
        storage, recovered = await asyncio.to_thread(self._open, config.segment_bytes)
        committer = Committer(
            Core(recovered.machine, recovered.term),
            storage,
            snapshot_every_bytes=config.snapshot_every_bytes,
            spawn=self.spawn,
            log=self.log,
            clock=self.clock,
            metrics=self.metrics,
        )
        service = Service(self.name, committer, self.clock)
        service.register(self.server)
        housekeeping = Housekeeping(service, self.clock, self.log)
        committer.listeners += (service.on_applied, housekeeping.on_applied, self._on_applied)
        self._service = service
        _measure(service, self.metrics)
        self.spawn(committer.run(), "commit")
        self.spawn(housekeeping.end_leases(), "leases")
        self.spawn(housekeeping.compact(config.compact_every_s), "compaction")
        self.spawn(housekeeping.prune(), "pruning")
        self.spawn(self._publish_hints(service), "hints")

    async def stop(self) -> None:
        if self._service is not None:
            await self._service.committer.close()

    def inspect(self) -> dict[str, Any]:
        if self._service is None:
            return {}
        store, committer = self._service.store, self._service.committer
        return {
            "leader": committer.core.is_leader,
            "revision": store.revision,
            "compact_revision": store.compact_revision,
            "keys": len(store),
            "live_bytes": store.live_bytes,
            "history_bytes": store.history.superseded_bytes,
            "leases": len(store.leases),
            "watchers": len(self._service.hub),
            "pending": committer.core.pending,
            "log_bytes": committer.storage.log.size_bytes,
            "log_segments": committer.storage.log.segment_count,
            "snapshot_index": committer.storage.snapshot_index,
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
            raise CannotServe(f"the data directory cannot be used: {error}") from error
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

    def _on_applied(self, applied: Applied) -> None:
        if applied.outcome.changes:
            self._committed.set()

    async def _publish_hints(self, service: Service) -> None:
        while True:
            await self._committed.wait()
            self._committed.clear()
            self.publisher.publish("state.commits", {"revision": service.store.revision, "keys": len(service.store)})
            await asyncio.sleep(HINT_EVERY_S)


def _measure(service: Service, registry: CollectorRegistry) -> None:
    store, log = service.store, service.committer.storage.log
    for name, text, value in (
        ("state_revision", "Revision of the store", lambda: store.revision),
        ("state_keys", "Keys that exist", lambda: len(store)),
        ("state_live_bytes", "Keys and values that exist", lambda: store.live_bytes),
        ("state_history_bytes", "Superseded keys and values", lambda: store.history.superseded_bytes),
        ("state_watchers", "Open watches", lambda: len(service.hub)),
        ("state_log_bytes", "Size of the log", lambda: log.size_bytes),
    ):
        Gauge(name, text, registry=registry).set_function(value)

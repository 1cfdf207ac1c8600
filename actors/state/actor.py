"""The state actor: etcd's role. It keeps every object of the cluster, and says what changed.

What it does: answers `state.*` (see `messages`): ranges, transactions, watches, leases. Whoever gets an answer to a
write may rely on it: it is on the disks of a majority of members. Forgets old history as time goes by, ends leases,
takes snapshots of its log.

Receives: requests of API servers, reads of the command line, messages of other members (`peer_messages`). Sends:
answers, watch streams, its part of the talk among members, and the hint
`state.commits` {revision, keys}: how far the store is and how many keys it holds, nothing of what they say.

How it crashes: at any line, on purpose too (failpoints `state.before_persist`, `state.persisted`). What was answered is
on disk; what was not may be, whole. It refuses to start on a data directory that is damaged, of a newer format, or in
use. A full disk makes it read-only, with an alarm. One of several members may die at any time: the others go on.

    raft, core  who leads, what is committed            store, history, txn, lease    the data
    committer   stores, sends, applies, answers         watch, watch_index            who is told
    peers       what members say to each other          log, snapshot, disk, frames   what is on disk
    service, membership   the handlers                  recovery, group               what is found at the start
    founding              founders of a new group meet before they vote
    housekeeping, compactor                             leases that end, history that is forgotten
    etcd/                                               etcd's API over gRPC, where the config asks for it
"""

import asyncio
import random
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from actors.api.config import ClusterConfig, of_settings
from actors.state.committer import Committer
from actors.state.core import Applied, Core
from actors.state.damage import DataRefused, NoSpace
from actors.state.disk import DataDirInUse, DirectoryDisk
from actors.state.founding import Founding
from actors.state.group import Group
from actors.state.housekeeping import Housekeeping
from actors.state.membership import Membership
from actors.state.peers import Peers
from actors.state.raft.members import Members
from actors.state.raft.node import Node, Timing
from actors.state.service import Service
from actors.state.storage import Recovered, Storage
from runtime.actor import Actor, CannotServe, Setup

# In ticks of 20 ms: a leader that hangs or is cut off is missed after 320 to 640 ms; one that is killed shows at once,
# by its connections. Shorter, and a machine that is only busy would elect; a beat goes out four times in that time.
TIMING = Timing(election=16, heartbeat=4)
HINT_EVERY_S = 0.05  # at most this often is `state.commits` published


class StateActor(Actor):
    """Role `state`."""

    def __init__(self, setup: Setup):
        super().__init__(setup)
        self._committed = asyncio.Event()
        self._service: Service | None = None  # once the data directory has been read
        self._etcd: Any = None  # the gRPC face, where the config asks for one

    async def start(self) -> None:
        cluster = of_settings(self.setup.settings)
        config = cluster.state
        storage, recovered = await asyncio.to_thread(self._open)
        node = self._node(recovered)
        self._check_config(node.members)
        peers = Peers(
            self.name,
            storage.group.cluster_id,
            client=self.client,
            birth=storage.group.birth,
            births=storage.births,
            endpoint_of=self.setup.directory.work,
            spawn=self.spawn,
            join=storage.join,
            log=self.log,
        )
        committer = Committer(
            Core(recovered.machine, node),
            storage,
            peers,
            known=self.setup.directory.of_role("state"),
            snapshot_every_bytes=config.snapshot_every_bytes,
            spawn=self.spawn,
            fail=self.fail,
            log=self.log,
            clock=self.clock,
            metrics=self.metrics,
        )
        service = Service(self.name, committer, self.clock)
        service.register(self.server)
        membership = Membership(committer)
        membership.register(self.server)
        committer.snapshots.serve(self.server)
        peers.serve(self.server, committer)
        housekeeping = Housekeeping(service, self.clock, self.log)
        committer.listeners += (service.on_applied, housekeeping.on_applied, self._on_applied)
        committer.on_lead.append(service.on_lead)
        committer.on_install.append(service.on_install)
        self._service = service
        _measure(service, self.metrics)
        endpoint_of = self.setup.directory.work
        term = recovered.hard.term
        founding = Founding(self.name, storage, self.client, endpoint_of, term=term, log=self.log)
        founding.register(self.server)
        if founding.is_due:
            self.spawn(self._found(founding, committer), "founding")
        else:
            committer.begin()
            self.spawn(committer.run(), "raft")
        self.spawn(committer.look_for_room(), "room")
        self.spawn(housekeeping.end_leases(), "leases")
        self.spawn(housekeeping.compact(config.compact_every_s), "compaction")
        self.spawn(housekeeping.prune(), "pruning")
        self.spawn(self._publish_hints(service), "hints")
        if config.etcd is not None:
            # Imported here: gRPC must not exist before the fork, and most clusters want none of it.
            from actors.state.etcd.opening import open_face

            self._etcd = await open_face(self, service, membership, cluster, config.etcd)

    async def stop(self) -> None:
        if self._etcd is not None:
            await self._etcd.stop()
        if self._service is not None:
            await self._service.committer.close()

    def inspect(self) -> dict[str, Any]:
        if self._service is None:
            return {}
        store, committer = self._service.store, self._service.committer
        node = committer.core.node
        return {
            "leader": committer.core.is_leader,
            "leader_name": node.leader,
            "term": node.term,
            "members": node.members.votes,
            "commit_index": node.log.commit,
            "applied_index": committer.core.machine.applied,
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

    def _open(self) -> tuple[Storage, Recovered]:
        """Open the data directory and read it; runs in a thread, so that the control socket answers meanwhile."""
        begin_s = self.clock.monotonic()
        config = of_settings(self.setup.settings)
        try:
            disk = DirectoryDisk(self.dir)
            storage = Storage(disk, config.state.segment_bytes, self.name, self._founding(config))
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
            cluster_id=storage.group.cluster_id,
            term=recovered.hard.term,
            took_s=round(self.clock.monotonic() - begin_s, 3),
        )
        return storage, recovered

    async def _found(self, founding: Founding, committer: Committer) -> None:
        """Begin when all founders have met."""
        await founding.done()
        await committer.run()

    def _founding(self, config: ClusterConfig) -> Group:
        """Return the group with which a new data directory begins."""
        members = config.state.initial_members or self.setup.directory.of_role("state")
        if self.name not in members:
            return Group.joining()
        return Group.founded(config.name, members)

    def _check_config(self, members: Members) -> None:
        """Refuse a config in which a majority of the group is not: it would wait for ever."""
        configured = self.setup.directory.of_role("state")
        if members.lacks_quorum_of(configured):
            missing = ", ".join(sorted(members.voters.difference(configured)))
            raise CannotServe(
                f"the config has {', '.join(configured)} only, and no majority of the group that this data belongs to "
                f"without {missing}: use the config that has all of them, or shrink the group first, while it has a "
                "majority, by `kubus member remove`"
            )

    def _node(self, recovered: Recovered) -> Node:
        return Node(
            self.name,
            recovered.members,
            recovered.entries,
            recovered.hard,
            randomness=random.Random(),
            timing=TIMING,
        )

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

"""What the state actor answers: one handler for each message of `messages`.

Reads are answered from memory, where only what is durable and applied can be seen; so with a single member every read
is linearizable. Writes are checked here, proposed, and answered when they are durable.

Neighbours: `actor` makes it and registers it; `committer` takes the writes; `watch` and `lease` hold what is not in the
store.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence

from actors.state import errors, lease, txn
from actors.state import messages as m
from actors.state.commands import CompactCommand, GrantCommand, RevokeCommand, TxnCommand
from actors.state.committer import Committer
from actors.state.core import Applied
from actors.state.frames import FORMAT_VERSION
from actors.state.store import Store
from actors.state.watch import WatchHub, event_bytes
from bus.record import Record
from bus.server import Context, Server
from runtime.clock import Clock

MAX_REPLY_BYTES = 48 << 20  # of keys and values: the bus takes no frame beyond 64 MiB; read more in pages
MAX_LIVE_BYTES = 2 << 30  # of keys and values, etcd's default quota: beyond it only deletes and reads are served
QUOTA_ALARM = f"the keys and values exceed {MAX_LIVE_BYTES} bytes"


class Service:
    """Handlers over one member's store."""

    def __init__(self, member: str, committer: Committer, clock: Clock):
        self.member = member
        self.store: Store = committer.core.machine.store
        self.hub = WatchHub(self.store)
        self.lessor = lease.Lessor()
        self.committer = committer
        self._clock = clock
        self.lessor.renew_all(self.store.leases.items(), clock.monotonic())

    def register(self, server: Server) -> None:
        server.register(m.RangeRequest, self.range)
        server.register(m.TxnRequest, self.txn)
        server.register(m.RevisionRequest, self.revision)
        server.register(m.CompactRequest, self.compact)
        server.register(m.WatchRequest, self.watch)
        server.register(m.LeaseGrantRequest, self.lease_grant)
        server.register(m.LeaseKeepAliveRequest, self.lease_keep_alive)
        server.register(m.LeaseRevokeRequest, self.lease_revoke)
        server.register(m.LeaseTimeToLiveRequest, self.lease_time_to_live)
        server.register(m.LeaseListRequest, self.lease_list)
        server.register(m.StatusRequest, self.status)

    def on_applied(self, applied: Applied) -> None:
        """A command was applied: tell the watchers, and start or end the time of leases."""
        outcome = applied.outcome
        if outcome.changes:
            self.hub.publish(outcome.revision, outcome.changes)
        if outcome.result is None:
            if isinstance(applied.command, GrantCommand):
                self.lessor.renew(applied.command.lease, applied.command.ttl_s, self._clock.monotonic())
            elif isinstance(applied.command, RevokeCommand):
                self.lessor.forget(applied.command.lease)

    @property
    def alarms(self) -> list[str]:
        found = [] if self.committer.alarm is None else [f"NOSPACE: {self.committer.alarm}"]
        return [*found, f"NOSPACE: {QUOTA_ALARM}"] if self.store.live_bytes > MAX_LIVE_BYTES else found

    # Keys

    def range(self, request: m.RangeRequest, context: Context) -> Record:
        txn.check_range(request.range)
        result = self.store.range(request.range)
        _check_reply(result.kvs)
        return m.RangeReply(self.store.revision, result)

    def txn(self, request: m.TxnRequest, context: Context) -> "Record | asyncio.Future[Record]":
        txn.check(request.txn)
        if txn.is_read_only(request.txn):
            result = txn.run(self.store, request.txn)
            _check_reply(_read_by(result))
            return m.TxnReply(self.store.revision, result)
        if self.store.live_bytes > MAX_LIVE_BYTES and txn.has_put(request.txn):
            raise errors.no_space(QUOTA_ALARM)
        return self.committer.propose(TxnCommand(request.txn), _txn_reply)

    def revision(self, request: m.RevisionRequest, context: Context) -> Record:
        return m.RevisionReply(self.store.revision, self.store.compact_revision)

    def compact(self, request: m.CompactRequest, context: Context) -> "asyncio.Future[Record]":
        return self.committer.propose(CompactCommand(request.revision), lambda outcome: self._revision_reply())

    # Watches

    async def watch(self, request: m.WatchRequest, context: Context) -> AsyncIterator[Record]:
        """Yield progress first, so that the reader knows where it starts; then changes, with progress in between."""
        if request.progress_ms < 0:
            raise errors.invalid(f"progress_ms must not be negative: {request.progress_ms}")
        watcher = self.hub.watch(request.key, request.range_end, request.start_revision, request.prev_kv)
        try:
            awake = asyncio.Event()
            watcher.wake = awake.set
            yield m.WatchBatch(_seen_at_start(request.start_revision, self.store.revision), [])
            while True:
                if (batch := watcher.take()) is not None:
                    _check_batch(batch)
                    if batch.events:
                        yield batch
                    await asyncio.sleep(0)  # others get a turn while a watcher catches up
                    continue
                awake.clear()
                if not await _happens(awake, request.progress_ms / 1000 or None):
                    yield watcher.progress()
        finally:
            self.hub.cancel(watcher)

    # Leases

    def lease_grant(self, request: m.LeaseGrantRequest, context: Context) -> "asyncio.Future[Record]":
        lease.check_ttl(request.ttl_s)
        if request.lease < 0:
            raise errors.invalid(f"a lease id must not be negative: {request.lease}")
        command = GrantCommand(request.lease or self._new_lease(), request.ttl_s)
        return self.committer.propose(command, lambda outcome: m.LeaseReply(command.lease, command.ttl_s,
                                                                             command.ttl_s))  # fmt: skip

    def lease_keep_alive(self, request: m.LeaseKeepAliveRequest, context: Context) -> Record:
        ttl_s = self.store.leases.ttl_s(request.lease)
        self.lessor.renew(request.lease, ttl_s, self._clock.monotonic())
        return m.LeaseReply(request.lease, ttl_s, ttl_s)

    def lease_revoke(self, request: m.LeaseRevokeRequest, context: Context) -> "asyncio.Future[Record]":
        self.store.leases.ttl_s(request.lease)  # refuses a lease that is not there without asking the log
        return self.committer.propose(RevokeCommand(request.lease), lambda outcome: self._revision_reply())

    def lease_time_to_live(self, request: m.LeaseTimeToLiveRequest, context: Context) -> Record:
        if request.lease not in self.store.leases:
            return m.LeaseReply(request.lease, -1)
        left_s = self.lessor.remaining_s(request.lease, self._clock.monotonic())
        keys = self.store.leases.keys(request.lease) if request.keys else []
        return m.LeaseReply(request.lease, int(left_s), self.store.leases.ttl_s(request.lease), keys)

    def lease_list(self, request: m.LeaseListRequest, context: Context) -> Record:
        return m.LeaseListReply(self.store.leases.ids())

    # The member

    def status(self, request: m.StatusRequest, context: Context) -> Record:
        return m.StatusReply(
            self.member,
            self.member,
            self.store.revision,
            self.store.compact_revision,
            len(self.store),
            self.committer.storage.log.size_bytes,
            FORMAT_VERSION,
            self.alarms,
        )

    def _revision_reply(self) -> Record:
        return m.RevisionReply(self.store.revision, self.store.compact_revision)

    def _new_lease(self) -> int:
        """Return an id that no lease has; chosen before the grant is proposed, so that applying it is deterministic."""
        while (chosen := secrets.randbits(63)) == 0 or chosen in self.store.leases:
            pass
        return chosen


def _txn_reply(outcome) -> Record:
    return m.TxnReply(outcome.revision, outcome.result)


def _seen_at_start(start_revision: int, revision: int) -> int:
    """Return the revision up to which a watch that starts there owes nothing."""
    return min(start_revision - 1, revision) if start_revision else revision


async def _happens(event: asyncio.Event, timeout_s: float | None) -> bool:
    """Wait for an event; False when it did not come in time."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _check_reply(kvs: Sequence[m.KeyValue]) -> None:
    """Refuse what the bus could not carry, instead of losing the connection over it."""
    if len(kvs) * m.MAX_REQUEST_BYTES <= MAX_REPLY_BYTES:
        return
    if sum(len(kv.key) + len(kv.value) for kv in kvs) > MAX_REPLY_BYTES:
        raise errors.reply_too_large(f"{len(kvs)} keys with their values", MAX_REPLY_BYTES)


def _check_batch(batch: m.WatchBatch) -> None:
    """Refuse a revision that changed more than one frame can carry: the reader must list again."""
    if sum(map(event_bytes, batch.events)) > MAX_REPLY_BYTES:
        raise errors.reply_too_large(f"the changes of revision {batch.revision}", MAX_REPLY_BYTES)


def _read_by(result: m.TxnResult) -> list[m.KeyValue]:
    """Return all that a read-only transaction read."""
    kvs: list[m.KeyValue] = []
    for each in result.responses:
        if isinstance(each, m.RangeResult):
            kvs += each.kvs
        elif isinstance(each, m.TxnResult):
            kvs += _read_by(each)
    return kvs

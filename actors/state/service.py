"""What the state actor answers: one handler for each message of `messages`.

Reads are answered from memory, where only what is committed and applied can be seen, by any member: once it has applied
what the leader says was committed when the read came. With a single member that is at once. Writes are checked here,
proposed by the leader, and answered when a majority has them on disk; other members refuse them and say who leads.
Leases run on the leader's clock; a new leader gives each its full time again.

Neighbours: `actor` makes it and registers it; `committer` takes the writes; `watch` and `lease` hold what is not in the
store.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from actors.state import errors, lease, txn
from actors.state import messages as m
from actors.state.commands import CompactCommand, GrantCommand, RevokeCommand, TxnCommand
from actors.state.committer import Committer
from actors.state.core import Applied
from actors.state.frames import FORMAT_VERSION
from actors.state.machine import Outcome
from actors.state.store import Store
from actors.state.watch import WatchHub, event_bytes
from bus.errors import BusError, Unavailable, to_wire
from bus.record import Record
from bus.server import Context, Server
from runtime.clock import Clock

MAX_REPLY_BYTES = 48 << 20  # of keys and values: the bus takes no frame beyond 64 MiB; read more in pages
MAX_LIVE_BYTES = 2 << 30  # of keys and values, etcd's default quota: beyond it only deletes and reads are served
Answer = Record | Awaitable[Record]
QUOTA_ALARM = f"the keys and values exceed {MAX_LIVE_BYTES} bytes"


class Service:
    """Handlers over one member's store."""

    def __init__(self, member: str, committer: Committer, clock: Clock):
        self.member = member
        self.store: Store = committer.core.machine.store
        self.hub = WatchHub(self.store)
        self.lessor = lease.Lessor()
        self.committer = committer
        self.etcd_url = ""  # where etcd's clients are served, once they are
        self._clock = clock
        self.lessor.renew_all(self.store.leases.items(), clock.monotonic())

    def register(self, server: Server) -> None:
        server.register(m.RangeRequest, self.range)
        server.register(m.TxnRequest, self.txn)
        server.register(m.TxnsRequest, self.txns)
        server.register(m.RevisionRequest, self.revision)
        server.register(m.CompactRequest, self.compact)
        server.register(m.WatchRequest, self.watch)
        server.register(m.LeaseGrantRequest, self.lease_grant)
        server.register(m.LeaseKeepAliveRequest, self.lease_keep_alive)
        server.register(m.LeaseRevokeRequest, self.lease_revoke)
        server.register(m.LeaseTimeToLiveRequest, self.lease_time_to_live)
        server.register(m.LeaseListRequest, self.lease_list)
        server.register(m.StatusRequest, self.status)

    def on_lead(self, leads: bool) -> None:
        """This member begins or ceases to lead: leases end by its clock from now on."""
        if leads:
            self.lessor.renew_all(self.store.leases.items(), self._clock.monotonic())

    def on_install(self, revision: int) -> None:
        """A snapshot took the store on from a revision."""
        self.hub.resume(revision)
        self.lessor.renew_all(self.store.leases.items(), self._clock.monotonic())

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
        found += [f"LOSTDATA: {reason}" for reason in list(self.committer.barred.values())[:1]]
        return [*found, f"NOSPACE: {QUOTA_ALARM}"] if self.store.live_bytes > MAX_LIVE_BYTES else found

    # Keys

    def range(self, request: m.RangeRequest, context: Context) -> Answer:
        txn.check_range(request.range)
        if request.serializable:
            return self._range(request.range)
        return self._when_current(lambda: self._range(request.range))

    def _range(self, wanted: m.Range) -> Record:
        result = self.store.range(wanted)
        _check_reply(result.kvs)
        return m.RangeReply(self.store.revision, result)

    def txn(self, request: m.TxnRequest, context: Context) -> Answer:
        return self._txn(request.txn, context.message_id, request.repeats_since)

    def txns(self, request: m.TxnsRequest, context: Context) -> Answer:
        self._check_leads()  # else each of them would be refused, and repeated, by itself
        if len(request.txns) == 1 and not txn.is_read_only(request.txns[0]):
            txn.check(request.txns[0])
            return self._write(request.txns[0], m.id_among(context.message_id, 0), self._reply_of_one)
        answers: list[Answer | BusError] = []
        last = len(request.txns) - 1
        for number, wanted in enumerate(request.txns):
            try:
                message_id = m.id_among(context.message_id, number)
                answers.append(self._txn(wanted, message_id, more_follow=number < last))
            except BusError as error:
                answers.append(error)
        return self._all(answers)

    async def _all(self, answers: "list[Answer | BusError]") -> Record:
        """Return what became of each txn, once that is known of all."""
        return m.TxnsReply(await outcomes_of(answers), self.store.revision)

    def _txn(self, wanted: m.Txn, message_id: str, repeats_since: int = -1, *, more_follow: bool = False) -> Answer:
        txn.check(wanted)
        if txn.is_read_only(wanted):
            return self._when_current(lambda: self._read_txn(wanted))
        return self._write(wanted, message_id, _txn_reply, repeats_since, more_follow=more_follow)

    def _write(
        self,
        wanted: m.Txn,
        message_id: str,
        reply: Callable[[Outcome], Record],
        repeats_since: int = -1,
        *,
        more_follow: bool = False,
    ) -> "asyncio.Future[Record]":
        if self.store.live_bytes > MAX_LIVE_BYTES and txn.has_put(wanted):
            raise errors.no_space(QUOTA_ALARM)
        command = TxnCommand(wanted, message_id, repeats_since)
        return self.committer.propose(command, reply, more_follow=more_follow)

    def _reply_of_one(self, outcome: Outcome) -> Record:
        """Answer a message with one txn in it; a refusal of that is one of the message."""
        return m.TxnsReply([m.TxnOutcome(_txn_reply(outcome))], self.store.revision)

    def _read_txn(self, wanted: m.Txn) -> Record:
        result = txn.run(self.store, wanted)
        _check_reply(_read_by(result))
        return m.TxnReply(self.store.revision, result)

    def revision(self, request: m.RevisionRequest, context: Context) -> Answer:
        return self._when_current(self._revision_reply)

    def compact(self, request: m.CompactRequest, context: Context) -> "asyncio.Future[Record]":
        return self.committer.propose(CompactCommand(request.revision), lambda outcome: self._revision_reply())

    # Watches

    async def watch(self, request: m.WatchRequest, context: Context) -> AsyncIterator[Record]:
        """Yield progress first, so that the reader knows where it starts; then changes, with progress in between."""
        if request.progress_ms < 0:
            raise errors.invalid(f"progress_ms must not be negative: {request.progress_ms}")
        if not request.start_revision and (current := self.committer.barrier()) is not None:
            await current  # "from now on" is from what the leader has now
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
        lease_id = request.lease or _lease_of(context.message_id)
        command = GrantCommand(lease_id, request.ttl_s, context.message_id)
        return self.committer.propose(command, lambda outcome: m.LeaseReply(command.lease, command.ttl_s,
                                                                             command.ttl_s))  # fmt: skip

    def lease_keep_alive(self, request: m.LeaseKeepAliveRequest, context: Context) -> Answer:
        self._check_leads()
        return self._when_current(lambda: self._keep_alive(request.lease))

    def _keep_alive(self, lease_id: int) -> Record:
        self._check_leads()
        ttl_s = self.store.leases.ttl_s(lease_id)
        self.lessor.renew(lease_id, ttl_s, self._clock.monotonic())
        return m.LeaseReply(lease_id, ttl_s, ttl_s)

    def lease_revoke(self, request: m.LeaseRevokeRequest, context: Context) -> "asyncio.Future[Record]":
        self._check_leads()
        self.store.leases.ttl_s(request.lease)  # refuses a lease that is not there without asking the log
        return self.committer.propose(RevokeCommand(request.lease), lambda outcome: self._revision_reply())

    def lease_time_to_live(self, request: m.LeaseTimeToLiveRequest, context: Context) -> Answer:
        self._check_leads()
        return self._when_current(lambda: self._time_to_live(request))

    def _time_to_live(self, request: m.LeaseTimeToLiveRequest) -> Record:
        self._check_leads()
        if request.lease not in self.store.leases:
            return m.LeaseReply(request.lease, -1)
        left_s = self.lessor.remaining_s(request.lease, self._clock.monotonic())
        keys = self.store.leases.keys(request.lease) if request.keys else []
        return m.LeaseReply(request.lease, int(left_s), self.store.leases.ttl_s(request.lease), keys)

    def lease_list(self, request: m.LeaseListRequest, context: Context) -> Answer:
        return self._when_current(lambda: m.LeaseListReply(self.store.leases.ids()))

    # The member

    def status(self, request: m.StatusRequest, context: Context) -> Record:
        core = self.committer.core
        node = core.node
        return m.StatusReply(
            self.member,
            core.leader,
            self.store.revision,
            self.store.compact_revision,
            len(self.store),
            self.committer.storage.log.size_bytes,
            FORMAT_VERSION,
            self.alarms,
            node.term,
            node.log.last_index,
            node.log.commit,
            core.machine.applied,
            self.member not in node.members.voters,
            self.committer.storage.group.cluster_id,
            self.etcd_url,
            self.store.live_bytes,
        )

    def _check_leads(self) -> None:
        if not self.committer.core.is_leader:
            raise errors.not_leader(self.committer.core.leader)

    def _when_current(self, read: Callable[[], Record]) -> Answer:
        """Return a read's answer, or its future when this member must first hear how far the group is."""
        current = self.committer.barrier()
        return read() if current is None else _after(current, read)

    def _revision_reply(self) -> Record:
        return m.RevisionReply(self.store.revision, self.store.compact_revision)


async def outcomes_of(answers: "list[Answer | BusError]") -> list[m.TxnOutcome]:
    """Return what became of each of several txns. Those that have read more than a reply can hold are left open: asked
    for once more, alone, they are answered by their ids."""
    outcomes: list[m.TxnOutcome] = []
    size_bytes = 0
    for answer in answers:
        try:
            if isinstance(answer, BusError):
                raise answer
            reply = answer if isinstance(answer, Record) else await answer
            assert isinstance(reply, m.TxnReply), "what a txn is answered with"
            size_bytes += sum(len(kv.key) + len(kv.value) for kv in _read_by(reply.result))
            if size_bytes > MAX_REPLY_BYTES:
                raise Unavailable("the answers together are too long for a message")
            outcomes.append(m.TxnOutcome(reply))
        except BusError as error:
            outcomes.append(m.TxnOutcome(None, to_wire(error)))
    return outcomes


async def _after(current: "asyncio.Future[None]", read: Callable[[], Record]) -> Record:
    await current
    return read()


def _lease_of(message_id: str) -> int:
    """Return an id for the lease that a message asks for: a repeat gets the same one."""
    return int.from_bytes(hashlib.blake2b(message_id.encode(), digest_size=8).digest()) >> 1 or 1


def _txn_reply(outcome: Outcome) -> m.TxnReply:
    assert isinstance(outcome.result, m.TxnResult), "a refusal is no answer"
    return m.TxnReply(outcome.revision, outcome.result)


def _seen_at_start(start_revision: int, revision: int) -> int:
    """Return the revision up to which a watch that starts there owes nothing."""
    return min(start_revision - 1, revision) if start_revision else revision


async def _happens(event: asyncio.Event, timeout_s: float | None) -> bool:
    """Wait for an event; False when it has not come in time. It may come together with the end of that time: to a
    process that was stopped, both have happened when it goes on."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return event.is_set()
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

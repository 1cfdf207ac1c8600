"""The world of `raft_world` with everything that a state actor has below its sockets: core, machine, log and storage on
a simulated disk that tears writes and forgets what was not synced.

What the machine does is compared with a model: a machine that is fed the one true log. Every outcome, and after each
recovery and each snapshot all that a reader could see, must be the same.
"""

import random
from dataclasses import dataclass, field

from actors.state import image, snapshot
from actors.state.commands import Command, CompactCommand, GrantCommand, RevokeCommand, TxnCommand, decode
from actors.state.core import Core
from actors.state.group import Group
from actors.state.image import Restored
from actors.state.machine import Machine, Outcome
from actors.state.messages import Compare, DeleteRange, Put, Range, Txn
from actors.state.raft.node import Node, Timing
from actors.state.raft.ready import Ready
from actors.state.raft.records import Entry, Envelope, InstallSnapshot
from actors.state.simulated_disk import Crashed, SimulatedDisk
from actors.state.storage import Storage
from bus.errors import RemoteError
from tests.sim.raft_world import Member, World

SEGMENT_BYTES = 4096
TEAR = 0.9  # of crashes happen in the middle of a write, if there is one
REPEATS = 0.1  # of commands repeat an earlier request


@dataclass
class StateMember(Member):
    group: Group = field(default_factory=Group.joining)
    storage: Storage | None = None
    core: Core | None = None
    incoming: tuple[Restored, int] | None = None  # a snapshot that Raft has taken and that is being stored


def seen_by_readers(machine: Machine) -> tuple[object, ...]:
    """Return all of a machine that anybody could see."""
    store = machine.store
    first = max(1, store.compact_revision)
    revisions = {first, store.revision, (first + store.revision) // 2}
    everything = [store.range(Range(b"\0", b"\0", revision=revision)).kvs for revision in sorted(revisions)]
    changes = store.history.changes_since(store.compact_revision)
    answers = machine.answers.all(), machine.answers.forgotten_revision
    leases = sorted(store.leases.items()), [store.leases.keys(lease) for lease in store.leases.ids()]
    return machine.applied, store.revision, store.compact_revision, everything, changes, leases, answers


def comparable(outcome: Outcome) -> tuple[object, ...]:
    result = outcome.result
    return result.kind if isinstance(result, RemoteError) else result, outcome.revision, outcome.changes


class StateWorld(World):
    """Members are StateMembers; the rest of the world is as it was."""

    def __init__(self, seed: int, size: int = 3, faults=None):
        self.model = Machine()
        self.outcomes: list[tuple[object, ...] | None] = []  # of each entry of the one true log
        self.requests = [f"r{number}" for number in range(1, 5)]
        self.recoveries = self.installs = self.torn = 0
        super().__init__(seed, size, faults)

    def make_member(self, name, founders):
        group = Group("cluster", dict(founders))
        return StateMember(name, SimulatedDisk(self.random.randrange(1 << 30)), group=group)

    # Life and death

    def revive(self, member):
        storage = Storage(member.disk, SEGMENT_BYTES, member.name, member.group)
        recovered = storage.recover()
        node = Node(
            member.name,
            recovered.members,
            recovered.entries,
            recovered.hard,
            randomness=random.Random(self.random.random()),
            timing=Timing(election=10, heartbeat=2),
        )
        member.storage, member.node, member.core = storage, node, Core(recovered.machine, node)
        log = recovered.entries
        for entry in log.between(log.offset, recovered.machine.applied):
            self.learn(member, entry)
        member.applied = [entry.data for entry in self.committed[: recovered.machine.applied]]
        self.recoveries += 1
        self.check_machine(member)

    def crash(self, member):
        """Perhaps in the middle of a write; then the disk keeps what it likes of what was not synced."""
        if member.writing is not None and self.random.random() < TEAR:
            member.disk.crash_after = self.random.randrange(0, 12)
            try:
                self.store(member, member.writing)
            except Crashed:
                self.torn += 1
        member.disk.restart()
        member.node = member.core = member.storage = member.writing = member.incoming = None
        member.reads.clear()
        member.waiting.clear()
        for other in self.members.values():
            if other.node is not None:  # whose connection breaks
                other.node.report_snapshot(member.name, arrived=False)
                other.node.report_unreachable(member.name)

    # Work

    def propose(self, node):
        member = self.members[node.name]
        try:
            member.core.propose(self.command(member))
        except RemoteError as error:
            assert error.kind == "not_leader"

    def command(self, member) -> Command:
        rng, store = self.random, member.core.machine.store
        key = b"k%d" % rng.randrange(12)
        roll = rng.random()
        request = rng.choice(self.requests) if rng.random() < REPEATS else f"r{next(self.proposed)}"
        if roll < 0.1:
            return GrantCommand(rng.randrange(1, 20), 60, request)
        if roll < 0.15:
            return RevokeCommand(rng.randrange(1, 20))
        if roll < 0.2:
            return CompactCommand(max(1, store.revision - rng.randrange(10)))
        if roll < 0.3:
            return TxnCommand(Txn([], [DeleteRange(key, b"k5"), Put(b"x" + key, b"1")]), request)
        lease = rng.choice([0, *store.leases.ids()])
        compare = [Compare(key, "mod", "=", 0)] if roll < 0.5 else []
        put = Put(key, rng.randbytes(rng.choice([1, 10, 700])), lease, prev_kv=True)
        if rng.random() < 0.1:
            self.requests[rng.randrange(len(self.requests))] = request
        return TxnCommand(Txn(compare, [put], [Range(key)]), request)

    def work(self, member):
        while (ready := member.core.ready()) is not None:
            self.send(member, ready.messages)
            if ready.must_persist:
                self.begin_write(member, ready)
            self.apply_all(member, ready.committed)
            member.waiting += ready.reads
            for context in ready.lost_reads:
                member.reads.pop(context, None)
            self.answer_reads(member)

    def begin_write(self, member, ready: Ready):
        member.writing = ready
        member.write_done_at = self.step_count + self.random.randrange(0, 8)
        if ready.snapshot is not None:
            chunks = self.arrived.pop((member.name, ready.snapshot.index, ready.snapshot.last_term))
            writer = snapshot.Writer(member.disk, snapshot.INCOMING)
            for chunk in chunks:
                writer.write(chunk)
            size_bytes = writer.finish()
            member.incoming = image.restore(snapshot.read(member.disk, snapshot.INCOMING)), size_bytes

    def store(self, member, ready: Ready):
        if ready.snapshot is not None:
            member.storage.adopt(ready.snapshot.index, member.incoming[1])
        member.storage.append(ready.entries, ready.hard_state)

    def finish_write(self, member):
        ready, member.writing = member.writing, None
        self.store(member, ready)
        self.send(member, member.core.persisted(ready))
        if ready.snapshot is not None:
            restored, _ = member.incoming
            member.incoming = None
            member.core.install(restored)
            member.applied = [entry.data for entry in self.committed[: restored.machine.applied]]
            self.installs += 1
            self.check_machine(member)

    def apply_all(self, member, committed: list[Entry]):
        for entry in committed:
            assert entry.index == len(member.applied) + 1, "entries are applied in order, each once"
            self.learn(member, entry)
            member.applied.append(entry.data)
        for applied in member.core.apply(committed):
            known = self.outcomes[applied.index - 1]
            assert comparable(applied.outcome) == known, f"{member.name} got another outcome of entry {applied.index}"

    def learn(self, member, entry: Entry):
        """A member takes an entry for committed: all must agree on it."""
        if entry.index <= len(self.committed):
            assert self.committed[entry.index - 1] == entry, f"state machine safety: {member.name} at {entry.index}"
            return
        self.commit(member, entry)
        self.acknowledged = max(self.acknowledged, entry.index)
        if entry.data:
            self.outcomes.append(comparable(self.model.apply(entry.index, decode(entry.data))))
        else:
            self.model.skip(entry.index)
            self.outcomes.append(None)

    def check_at_the_end(self):
        super().check_at_the_end()
        for member in self.members.values():
            self.check_machine(member)

    def check_machine(self, member):
        """All that a reader could see at this member is what the true log leads to."""
        model = Machine()
        for entry in self.committed[: member.core.machine.applied]:
            model.apply(entry.index, decode(entry.data)) if entry.data else model.skip(entry.index)
        assert seen_by_readers(member.core.machine) == seen_by_readers(model), f"{member.name} holds something else"

    # Snapshots

    def compact(self, member):
        if member.writing is None and member.core.machine.applied > member.storage.snapshot_index:
            taken = member.core.capture("cluster")
            member.storage.remove(member.storage.release(taken, member.storage.save(taken)))
            member.node.compact(member.core.machine.applied)

    def send(self, member, envelopes):
        plain = []
        for envelope in envelopes:
            if not isinstance(envelope.message, InstallSnapshot):
                plain.append(envelope)
                continue
            taken = member.core.capture("cluster")
            head = taken.head
            message = InstallSnapshot(envelope.message.term, head.applied, head.term, dict(head.members))
            if not self.calm and self.random.random() < self.faults.loss:
                member.node.report_snapshot(envelope.to, arrived=False)
                continue
            self.put_under_way(Envelope(envelope.sender, envelope.to, message), tuple(taken.chunks()))
        super().send(member, plain)

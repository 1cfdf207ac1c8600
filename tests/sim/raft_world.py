"""A group of Raft nodes in a world made of one seed: network, disks, crashes, pauses, membership changes, snapshots.

Time is a step count. A message takes some steps, is lost, doubled or overtaken; links are cut one way or both; a node
pauses, or crashes with what it had not yet persisted, and comes back. After every step the paper's invariants are
checked over all that any node ever held: election safety, log matching, leader completeness, state machine safety.
Reads are checked against what was acknowledged before they were asked.
"""

import heapq
import itertools
import random
from dataclasses import dataclass, field

from actors.state.raft.entries import Entries
from actors.state.raft.members import BadChange, Members
from actors.state.raft.node import Node, Timing
from actors.state.raft.ready import NotLeader, Ready, TooMuchUncommitted
from actors.state.raft.records import Entry, Envelope, HardState, InstallSnapshot
from actors.state.raft.role import Role


@dataclass
class Faults:
    """How likely, in each step, things go wrong."""

    loss: float = 0.02
    double: float = 0.02
    delay: tuple[int, int] = (1, 5)
    slow: float = 0.02  # a message that takes ten times as long
    cut: float = 0.003
    heal: float = 0.02
    crash: float = 0.003
    crash_after_write: float = 0.0  # as soon as what was written has been told to the others
    revive: float = 0.05
    pause: float = 0.003
    transfer: float = 0.003
    suspect: float = 0.003  # a member is told, rightly or not, that its leader is gone
    change: float = 0.002
    compact: float = 0.01


@dataclass
class Disk:
    """What a node finds after a crash."""

    hard: HardState = HardState(0, "", 0)
    offset: int = 0
    offset_term: int = 0
    entries: list[Entry] = field(default_factory=list)
    snapshot_state: tuple[bytes, ...] = ()  # the data of all entries up to `offset`
    snapshot_members: dict[str, bool] = field(default_factory=dict)

    def write(self, ready: Ready, state: tuple[bytes, ...] | None) -> None:
        if ready.snapshot is not None:
            assert state is not None
            self.offset, self.offset_term = ready.snapshot.index, ready.snapshot.last_term
            self.snapshot_state, self.snapshot_members = state, dict(ready.snapshot.members)
            self.entries = []
        if ready.entries:
            first = ready.entries[0].index
            assert self.offset < first <= self.offset + len(self.entries) + 1
            self.entries = self.entries[: first - self.offset - 1] + ready.entries
        if ready.hard_state is not None:
            self.hard = ready.hard_state

    def compact(self, index: int, state: tuple[bytes, ...], members: dict[str, bool]) -> None:
        self.offset_term = self.entries[index - self.offset - 1].term
        self.entries = self.entries[index - self.offset :]
        self.offset, self.snapshot_state, self.snapshot_members = index, state, members


@dataclass
class Member:
    name: str
    disk: Disk
    node: Node | None = None  # None while it is crashed
    applied: list[bytes] = field(default_factory=list)  # data of every applied entry, from the first on
    writing: Ready | None = None
    writing_state: tuple[bytes, ...] | None = None
    write_done_at: int = 0
    paused_until: int = 0
    reads: dict[int, int] = field(default_factory=dict)  # context: what was acknowledged when it was asked
    waiting: list[tuple[int, int]] = field(default_factory=list)  # (context, index) to be applied first


class World:
    def __init__(self, seed: int, size: int = 3, faults: Faults | None = None):
        self.random = random.Random(seed)
        self.faults = faults or Faults()
        self.step_count = 0
        self.network: list[tuple[int, int, Envelope, tuple[bytes, ...] | None]] = []
        self.tie = itertools.count()
        self.cuts: set[tuple[str, str]] = set()
        self.proposed = itertools.count(1)
        self.contexts = itertools.count(1)
        self.leaders: dict[int, str] = {}  # term: who led it
        self.committed: list[Entry] = []  # the one true log, as far as anybody applied it
        self.committed_by: list[int] = []  # the term of who applied each entry first: it was committed in it, or before
        self.acknowledged = 0  # index of the last entry that some node applied
        self.reads_done = 0
        self.calm = False
        self.arrived: dict[tuple[str, int, int], tuple[bytes, ...]] = {}  # states that snapshots brought
        names = [f"n{number}" for number in range(1, size + 1)]
        self.founders = dict.fromkeys(names, True)
        self.members = {name: self.make_member(name, self.founders) for name in names}
        for member in self.members.values():
            self.revive(member)

    def make_member(self, name: str, founders: dict[str, bool]) -> Member:
        return Member(name, Disk(snapshot_members=founders))

    # One step of the world

    def step(self) -> None:
        self.step_count += 1
        if not self.calm:
            self.make_trouble()
        self.deliver()
        for member in list(self.members.values()):
            if self.is_up(member):
                self.live(member)
        self.check_leaders()

    def live(self, member: Member) -> None:
        node = self.up(member)
        if self.step_count % 3 == 0:
            node.tick()
        if node.role is Role.LEADER and self.random.random() < (0.02 if self.calm else 0.3):
            self.propose(node)
        if self.random.random() < 0.1:
            context = next(self.contexts)
            member.reads[context] = self.acknowledged
            node.read(context)
        if member.writing is not None and self.step_count >= member.write_done_at:
            self.finish_write(member)
        if member.node is not None:
            self.work(member)

    def propose(self, node: Node) -> None:
        try:
            node.propose(b"%d" % next(self.proposed))
        except (NotLeader, TooMuchUncommitted):
            return

    def work(self, member: Member) -> None:
        node = self.up(member)
        while (ready := node.ready()) is not None:
            self.send(member, ready.messages)
            if ready.must_persist:
                member.writing = ready
                member.write_done_at = self.step_count + self.random.randrange(0, 4)
                if ready.snapshot is not None:
                    state = self.arrived.pop((member.name, ready.snapshot.index, ready.snapshot.last_term))
                    member.writing_state = state
                    member.applied = list(state)
            for entry in ready.committed:
                self.apply(member, entry)
            for context, index in ready.reads:
                member.waiting.append((context, index))
            for context in ready.lost_reads:
                member.reads.pop(context, None)
            self.answer_reads(member)

    def finish_write(self, member: Member) -> None:
        assert member.writing is not None
        ready, member.writing = member.writing, None
        member.disk.write(ready, member.writing_state)
        member.writing_state = None
        self.send(member, self.up(member).persisted(ready))
        if not self.calm and self.random.random() < self.faults.crash_after_write:
            self.crash(member)

    def apply(self, member: Member, entry: Entry) -> None:
        assert entry.index == len(member.applied) + 1, "entries are applied in order, each once"
        if entry.index <= len(self.committed):
            assert self.committed[entry.index - 1] == entry, f"state machine safety: {member.name} at {entry.index}"
        else:
            self.commit(member, entry)
        member.applied.append(entry.data)
        self.acknowledged = max(self.acknowledged, entry.index)
        node = self.up(member)
        node.applied(entry.index)

    def commit(self, member: Member, entry: Entry) -> None:
        """Somebody is the first to apply an entry."""
        assert entry.index == len(self.committed) + 1
        self.committed.append(entry)
        self.committed_by.append(self.up(member).term)

    def answer_reads(self, member: Member) -> None:
        for context, index in list(member.waiting):
            if len(member.applied) < index:
                continue
            member.waiting.remove((context, index))
            asked_after = member.reads.pop(context, None)
            if asked_after is not None:
                assert index >= asked_after, f"stale read at {member.name}: {index} < {asked_after}"
                self.reads_done += 1

    # The network

    def send(self, member: Member, envelopes: list[Envelope]) -> None:
        for envelope in envelopes:
            state = None
            if isinstance(envelope.message, InstallSnapshot):
                state = member.disk.snapshot_state
                if member.disk.offset != envelope.message.index:
                    self.up(member).report_snapshot(envelope.to, arrived=False)
                    continue
            if not self.calm and self.random.random() < self.faults.loss:
                if state is not None:
                    self.up(member).report_snapshot(envelope.to, arrived=False)
                continue
            self.put_under_way(envelope, state)
            if not self.calm and self.random.random() < self.faults.double:
                self.put_under_way(envelope, state)

    def put_under_way(self, envelope: Envelope, state: tuple[bytes, ...] | None) -> None:
        delay = self.random.randint(*(Faults.delay if self.calm else self.faults.delay))
        if not self.calm and self.random.random() < self.faults.slow:
            delay *= 10
        heapq.heappush(self.network, (self.step_count + delay, next(self.tie), envelope, state))

    def deliver(self) -> None:
        while self.network and self.network[0][0] <= self.step_count:
            _, _, envelope, state = heapq.heappop(self.network)
            receiver = self.members.get(envelope.to)
            if receiver is None or receiver.node is None or (envelope.sender, envelope.to) in self.cuts:
                sender = self.members[envelope.sender]
                if sender.node is not None:
                    if state is not None:
                        sender.node.report_snapshot(envelope.to, arrived=False)
                    sender.node.report_unreachable(envelope.to)
                continue
            if receiver.paused_until > self.step_count:
                heapq.heappush(self.network, (receiver.paused_until, next(self.tie), envelope, state))
                continue
            if state is not None:
                assert isinstance(envelope.message, InstallSnapshot)
                self.arrived[(receiver.name, envelope.message.index, envelope.message.last_term)] = state
            receiver.node.step(envelope.sender, envelope.message)

    # Trouble

    def make_trouble(self) -> None:
        chance, faults = self.random.random, self.faults
        names = list(self.members)
        if len(names) > 1 and chance() < faults.cut:
            one, other = self.random.sample(names, 2)
            self.cuts.add((one, other))
            if chance() < 0.5:
                self.cuts.add((other, one))
        if chance() < faults.heal:
            self.cuts.clear()
        member = self.members[self.random.choice(names)]
        if self.is_up(member):
            if chance() < faults.crash:
                self.crash(member)
            elif chance() < faults.pause:
                member.paused_until = self.step_count + self.random.randrange(10, 100)
            elif chance() < faults.compact:
                self.compact(member)
            elif chance() < faults.transfer:
                self.up(member).transfer(self.random.choice(names))
            elif chance() < faults.suspect:
                self.up(member).leader_is_gone()
            elif chance() < faults.change:
                self.change(member)
        elif member.node is None and chance() < faults.revive:
            self.revive(member)

    def crash(self, member: Member) -> None:
        """The process dies: a write under way is on disk as a whole or not at all, for the log's frames are."""
        if member.writing is not None and self.random.random() < 0.5:
            member.disk.write(member.writing, member.writing_state)
        member.node = member.writing = member.writing_state = None
        member.reads.clear()
        member.waiting.clear()

    def revive(self, member: Member) -> None:
        disk = member.disk
        entries = Entries(disk.offset, disk.offset_term, disk.entries)
        member.applied = list(disk.snapshot_state)
        member.node = Node(
            member.name,
            disk.snapshot_members,
            entries,
            disk.hard,
            randomness=random.Random(self.random.random()),
            timing=Timing(election=10, heartbeat=2),
        )

    def compact(self, member: Member) -> None:
        node = self.up(member)
        index = min(len(member.applied), node.log.stable)
        if index > member.disk.offset and member.writing is None and index == len(member.applied):
            member.disk.compact(index, tuple(member.applied[:index]), node.history.at(index).votes)
            node.compact(index)

    def change(self, member: Member) -> None:
        """Propose to add, promote or remove one member."""
        node = self.up(member)
        if node.role is not Role.LEADER:
            return
        try:
            entry = node.propose_members(self.changed(node.members))
        except (BadChange, NotLeader):
            return
        for name in entry.votes or ():
            if name not in self.members:
                self.members[name] = self.make_member(name, {})
                self.revive(self.members[name])

    def changed(self, members: Members) -> Members:
        learners = [name for name, votes in members.votes.items() if not votes]
        if learners:
            return members.with_voter(learners[0])
        if len(members.votes) > 3 and self.random.random() < 0.6:
            return members.without(self.random.choice(list(members.votes)))
        return members.with_learner(f"n{len(self.members) + 1}")

    # Checks

    def check_leaders(self) -> None:
        for member in self.members.values():
            node = member.node
            if node is None or node.role is not Role.LEADER:
                continue
            if node.term not in self.leaders:
                self.leaders[node.term] = member.name
                self.check_completeness(node)
            known = self.leaders[node.term]
            assert known == member.name, f"election safety: {known} and {member.name} lead term {node.term}"

    def check_completeness(self, node: Node) -> None:
        """A new leader holds everything that was committed in earlier terms. One whose last vote was long under way may
        begin when a later term has committed more: it will hear of that, and commits nothing."""
        for entry, term in zip(self.committed[node.log.offset :], self.committed_by[node.log.offset :], strict=True):
            if term < node.term:
                assert node.log.term(entry.index) == entry.term, f"leader completeness at {entry.index}"

    def check_at_the_end(self):
        self.check_matching()

    def check_matching(self) -> None:
        """Logs that agree on an entry's index and term agree on all before it."""
        seen: dict[tuple[int, int], tuple[int | None, bytes]] = {}
        for member in self.members.values():
            if member.node is None:
                continue
            log = member.node.log
            for entry in log.between(log.offset, log.last_index):
                before = log.term(entry.index - 1)
                known = seen.setdefault((entry.index, entry.term), (before, entry.data))
                assert known == (before, entry.data), f"log matching at {entry.index} of {member.name}"

    # Helpers of the above

    def is_up(self, member: Member) -> bool:
        return member.node is not None and member.paused_until <= self.step_count

    def up(self, member: Member) -> Node:
        assert member.node is not None
        return member.node

    def calm_down(self) -> None:
        """No more trouble: everybody is up, every link works."""
        self.calm = True
        self.cuts.clear()
        for member in self.members.values():
            member.paused_until = 0
            if member.node is None:
                self.revive(member)

    def has_converged(self) -> bool:
        """All members of the newest configuration have applied the same, and one of them leads."""
        votes = self.newest_members()
        inside = [self.members[name] for name in votes]
        leads = [member for member in inside if self.up(member).role is Role.LEADER]
        return len(leads) == 1 and len({len(member.applied) for member in inside}) == 1

    def newest_members(self) -> dict[str, bool]:
        changes = [entry.votes for entry in self.committed if entry.votes is not None]
        return changes[-1] if changes else self.founders

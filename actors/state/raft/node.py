"""One member's Raft node: its state, its transitions, and the `Ready` that tells the shell what to do.

The order is structural: persist, then send what depends on it, then apply, then answer.

    ready = node.ready()         # at any time; None when there is nothing to do
    send ready.messages          # at once: they promise nothing
    persist ready.hard_state and ready.entries, with one sync; then
    send node.persisted(ready)   # votes and acknowledgements
    apply ready.committed in order, then node.applied(index)
    answer ready.reads, each once its index is applied

One persistence is under way at a time; `ready` goes on giving messages, commits and reads meanwhile. The node raises
`NotLeader` to callers; a message never makes it raise.

Neighbours: `electing`, `leading` and `following` hold what each role does, `terms` what is done about other terms; this
module holds what they share.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from actors.state.raft import electing, following, leading, terms
from actors.state.raft.entries import Entries
from actors.state.raft.members import BadChange, History, Members
from actors.state.raft.progress import Progress
from actors.state.raft.ready import NotLeader, Ready, TooMuchUncommitted
from actors.state.raft.records import (
    Append,
    Appended,
    AskReadIndex,
    Entry,
    Envelope,
    HardState,
    InstallSnapshot,
    Message,
    ReadIndex,
    RequestVote,
    TimeoutNow,
    Vote,
)
from actors.state.raft.role import Role

PERSIST_BYTES = 4 << 20  # of entries in one Ready: 10 to 40 ms of a slow disk; more waits for the next one
APPLY_BYTES = 1 << 20  # of committed entries in one Ready: about 30 ms of work, then messages get a turn
MAX_DOUBLINGS = 8  # of the wait between campaigns
UNCOMMITTED_BYTES = 64 << 20  # proposed and not committed; past it a proposal is refused


@dataclass(frozen=True, slots=True)
class Timing:
    """In ticks. An election begins after `election` to twice that without a leader."""

    election: int = 10
    heartbeat: int = 1
    succession: int = 3  # between the campaigns of two who both saw their leader go; longer than a vote takes
    campaign: int = 4  # after `campaign` to twice that one that nobody won is tried again; doubles up to `election`


class Node:
    def __init__(
        self,
        name: str,
        members: Mapping[str, bool],
        entries: Entries,
        hard_state: HardState,
        *,
        randomness: random.Random,
        timing: Timing | None = None,
    ):
        self.name = name
        self.history = History(entries.offset, Members(members))
        self.log = entries
        self.term = hard_state.term
        self.vote = hard_state.vote
        self.role = Role.FOLLOWER
        self.leader = ""
        self.timing = timing or Timing()
        self.randomness = randomness
        self.elapsed = 0  # ticks since the last sign of a leader, or as a leader since the last look at its quorum
        self.patience = self.timing.election
        self.votes: dict[str, bool] = {}
        self.is_barred = False  # somebody says that this member has lost its data: it does not elect
        self.campaigns = 0  # since there was a leader
        self.progress: dict[str, Progress] = {}
        self.leading = leading.Reign()
        self.following = following.Asked()
        self._persisted_state = hard_state
        self._durable_state = hard_state
        self.durable_term = hard_state.term
        self._outbox: list[Envelope] = []
        self._after_persist: list[Envelope] = []
        self._reads: list[tuple[int, int]] = []
        self._lost_reads: list[int] = []
        self.early: dict[str, RequestVote] = {}  # asked while this member still heard its leader
        self._snapshot: InstallSnapshot | None = None
        self._persisting: Ready | None = None
        self._persisting_messages: list[Envelope] = []
        for entry in entries.between(entries.offset, entries.last_index):
            if entry.votes is not None:
                self.history.add(entry.index, Members(entry.votes))
        self.log.commit = max(self.log.commit, min(hard_state.commit, self.log.last_index))
        self.become_follower(self.term, "")

    # What the shell calls

    def tick(self) -> None:
        """A tick of time has passed."""
        self.elapsed += 1
        if self.early and not self.hears_leader:
            self._hear_early()
        if self.role is Role.LEADER:
            leading.tick(self)
        elif self.elapsed >= self.patience and self.may_campaign:
            self.elapsed = 0
            electing.campaign(self, pre=True)

    def campaign(self) -> None:
        """Begin an election now: a group of one need not wait for anybody."""
        if self.role is Role.FOLLOWER and self.may_campaign:
            electing.campaign(self, pre=True)

    def leader_is_gone(self) -> None:
        """The shell saw the leader's process go: don't sit out the timeout. The voters try in the order of their names,
        so that two who see it at once don't take each other's votes."""
        if self.role is not Role.FOLLOWER or not self.leader or not self.may_campaign:
            return
        heirs = sorted(self.members.voters - {self.leader})
        self.elapsed = max(self.elapsed, self.timing.election)
        wait = 1 + self.timing.succession * heirs.index(self.name)
        self.patience = min(max(self.patience, self.elapsed + 1), self.elapsed + wait)
        self._hear_early()

    def step(self, sender: str, message: Message) -> None:
        """A message came from another member."""
        if message.term > self.term:
            if terms.on_later(self, sender, message):
                return
        elif message.term < self.term:
            terms.on_earlier(self, sender, message)
            return
        match message:
            case RequestVote():
                electing.on_request(self, sender, message)
            case Vote():
                electing.on_vote(self, sender, message)
            case Append() | InstallSnapshot():
                following.on_leader(self, sender, message)
            case Appended():
                leading.on_appended(self, sender, message)
            case TimeoutNow():
                if self.may_campaign:
                    electing.campaign(self, pre=False, transfer=True)
            case AskReadIndex():
                leading.on_ask_read(self, sender, message)
            case ReadIndex():
                following.on_read_index(self, message)

    def propose(self, data: bytes) -> Entry:
        """Append a command to the log; return its entry. It may yet be lost unless it comes back committed."""
        if self.role is not Role.LEADER or self.leading.transferee:
            raise NotLeader("" if self.role is Role.LEADER else self.leader)
        if self.leading.uncommitted_bytes + len(data) > UNCOMMITTED_BYTES:
            raise TooMuchUncommitted
        return leading.append(self, data)

    @property
    def may_change_members(self) -> bool:
        """Whether a leader's last change of the membership, and its first entry, are committed."""
        return self.log.commit >= max(self.leading.first_index, self.history.newest_index)

    def propose_members(self, members: Members) -> Entry:
        """Append a new membership to the log; BadChange when it is too early, or too much at once."""
        if self.role is not Role.LEADER or self.leading.transferee:
            raise NotLeader("" if self.role is Role.LEADER else self.leader)
        if not self.may_change_members:
            raise BadChange("the last change, or the first entry of this leader, is not committed yet")
        if not members.is_one_step_from(self.members):
            raise BadChange("only one voter can come or go at a time")
        return leading.append(self, b"", members.votes)

    def read(self, context: int) -> None:
        """Ask from which index on a read is linearizable; it comes as (context, index) in a Ready, or is lost."""
        if self.role is Role.LEADER:
            leading.read(self, self.name, context)
        else:
            following.read(self, context)

    def forget_read(self, context: int) -> None:
        """Nobody waits for this read any more."""
        self.following.contexts.discard(context)

    def transfer(self, to: str) -> None:
        """Hand the lead over, as before an orderly stop; without effect when it does not work out in time."""
        if self.role is Role.LEADER and to in self.members.voters and to != self.name:
            leading.transfer(self, to)

    def ready(self) -> Ready | None:
        """Return what is to be done now."""
        if self.role is Role.LEADER and self.durable_term == self.term:
            leading.send_what_is_due(self)  # not before: after a crash this member must not lead the same term again
        if not self._has_something():
            return None
        ready = Ready()
        ready.messages, self._outbox = self._outbox, []
        ready.reads, self._reads = self._reads, []
        ready.lost_reads, self._lost_reads = self._lost_reads, []
        if self._persisting is None:
            self._fill_persistent(ready)
        if self._snapshot is None and (self._persisting is None or self._persisting.snapshot is None):
            ready.committed = self.log.take_committed(APPLY_BYTES)
        something = ready.messages or ready.must_persist or ready.committed or ready.reads or ready.lost_reads
        return ready if something else None

    def persisted(self, ready: Ready) -> list[Envelope]:
        """What `ready` asked to persist is on disk; return what may be sent now."""
        assert ready is self._persisting, "only the persistence under way can be done"
        self._persisting = None
        if ready.hard_state is not None:
            self._durable_state = ready.hard_state
            self.durable_term = ready.hard_state.term
        if ready.entries:
            last = ready.entries[-1]
            self.log.persisted(last.index, last.term)
            if self.role is Role.LEADER:
                leading.on_own_progress(self)
        messages, self._persisting_messages = self._persisting_messages, []
        return messages

    def abandon(self, ready: Ready) -> None:
        """The disk of a group of one refused `ready`: nobody has seen its entries, so forget them and all behind."""
        assert ready is self._persisting, "only the persistence under way can be abandoned"
        assert self.is_alone and ready.snapshot is None, "others may have seen these entries"
        self._persisting = None
        self._persisted_state = self._durable_state
        self.log.cut(self.log.stable)
        self.history.cut(self.log.stable + 1)
        self.leading.uncommitted_bytes = 0

    def applied(self, index: int) -> None:
        """Everything up to this entry is applied."""
        self.log.applied = index

    def compact(self, index: int) -> None:
        """A snapshot holds everything up to this applied entry."""
        self.log.compact(index)
        self.history.compact(self.log.offset)

    def report_snapshot(self, to: str, *, arrived: bool) -> None:
        """The shell sent a snapshot's state to a member, or could not."""
        progress = self.progress.get(to)
        if self.role is Role.LEADER and progress is not None and not arrived:
            progress.snapshot_failed()

    def report_unreachable(self, to: str) -> None:
        """What was sent to a member may be lost."""
        progress = self.progress.get(to)
        if progress is not None:
            progress.lost()

    def heirs(self) -> list[str]:
        """Return the other voters that could take the lead over, the most up to date first."""
        if self.role is not Role.LEADER:
            return []
        others = [(progress.match, name) for name, progress in self.progress.items() if progress.is_active]
        return [name for _, name in sorted(others, reverse=True) if name in self.members.voters and name != self.name]

    @property
    def durable_vote(self) -> tuple[int, str]:
        """The term and vote that are on disk."""
        return self._durable_state.term, self._durable_state.vote

    # What the roles share

    @property
    def members(self) -> Members:
        return self.history.newest

    def append_entries(self, entries: list[Entry]) -> None:
        """Put entries at the end of the log, in place of what conflicts with them."""
        self.log.append(entries)
        self.history.cut(entries[0].index)
        for entry in entries:
            if entry.votes is not None:
                self.history.add(entry.index, Members(entry.votes))

    @property
    def is_alone(self) -> bool:
        """Whether this member is the only one there is."""
        return self.history.newest.only == self.name

    @property
    def may_campaign(self) -> bool:
        """A learner, one that was removed or is barred, and one that still installs a snapshot, may not."""
        return self.name in self.members.voters and self._snapshot is None and not self.is_barred

    @property
    def hears_leader(self) -> bool:
        """Whether a leader was heard from within the shortest election timeout."""
        return bool(self.leader) and (self.role is Role.LEADER or self.elapsed < self.timing.election)

    def send(self, to: str, message: Message) -> None:
        """Queue a message that promises nothing about this member's disk."""
        self._outbox.append(Envelope(self.name, to, message))

    def send_when_persisted(self, to: str, message: Message) -> None:
        """Queue a message that promises that this member's term, vote or entries are on disk."""
        self._after_persist.append(Envelope(self.name, to, message))

    def become_follower(self, term: int, leader: str) -> None:
        if term > self.term:
            self.term, self.vote = term, ""
        if self.role is Role.LEADER:
            self._lost_reads += leading.abandon_reads(self)
        if leader != self.leader:
            self._lost_reads += self.following.abandon()
        self.role = Role.FOLLOWER
        self.leader = leader
        if leader:
            self.campaigns = 0
        self.early.clear()
        self._restart_patience()

    def become_pre_candidate(self) -> None:
        self.role = Role.PRE_CANDIDATE
        self.campaigns += 1
        self._leaderless()

    def become_candidate(self) -> None:
        self.role = Role.CANDIDATE
        self.term, self.vote = self.term + 1, self.name
        self._leaderless()

    def become_leader(self) -> None:
        self.role = Role.LEADER
        self.leader = self.name
        self.campaigns = 0
        self._restart_patience()
        leading.begin(self)

    def answer_read(self, context: int, index: int) -> None:
        self._reads.append((context, index))

    def lose_read(self, context: int) -> None:
        self._lost_reads.append(context)

    def install(self, snapshot: InstallSnapshot) -> None:
        """Take a snapshot in place of the log."""
        self.log.restore(snapshot.index, snapshot.last_term)
        self.history = History(snapshot.index, Members(snapshot.members))
        self._snapshot = snapshot

    def _hear_early(self) -> None:
        """This member hears its leader no more, and somebody saw that before: hear now what it asked."""
        early, self.early = self.early, {}
        for sender, request in early.items():
            self.step(sender, request)

    def _leaderless(self) -> None:
        self._lost_reads += self.following.abandon()
        self.leader = ""
        self.votes = {}
        self.early.clear()
        self._restart_patience()

    def _restart_patience(self) -> None:
        """Wait for a leader's sign of life; or for the outcome of a campaign, which takes only as long as a vote."""
        wait = self.timing.election
        if self.campaigns:
            wait = min(wait, self.timing.campaign << min(self.campaigns - 1, MAX_DOUBLINGS))
        self.elapsed = 0
        self.patience = wait + self.randomness.randrange(wait)

    def _has_something(self) -> bool:
        """Whether a Ready would hold anything; asked after every little thing, so it must cost next to nothing."""
        log = self.log
        if self._outbox or self._reads or self._lost_reads or min(log.commit, log.stable) > log.handed:
            return True
        if self._persisting is not None:
            return False
        vote = self._persisted_state.term, self._persisted_state.vote
        is_new = log.stable < log.last_index or self._after_persist or self._snapshot is not None
        return bool(is_new) or (self.term, self.vote) != vote

    def _fill_persistent(self, ready: Ready) -> None:
        state = HardState(self.term, self.vote, self.log.commit)
        before = self._persisted_state
        ready.entries = self.log.unstable(PERSIST_BYTES)
        ready.snapshot, self._snapshot = self._snapshot, None
        changed = (state.term, state.vote) != (before.term, before.vote)
        if not (changed or ready.entries or ready.snapshot or self._after_persist):
            return
        if state != before:
            ready.hard_state = self._persisted_state = state
        ready.must_persist = True
        self._persisting = ready
        self._persisting_messages, self._after_persist = self._after_persist, []

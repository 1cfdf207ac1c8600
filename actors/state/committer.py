"""The shell around a member's core: stores, sends, applies and answers what the core says.

Commands that arrive while the disk is busy are stored together with the next sync, in a thread; meanwhile messages are
taken and sent. Answers come in the order of the log. Whatever came in is dealt with in one turn of the loop.

A full disk is an alarm, not an end: writes are refused with NO_SPACE until there is room again, which is tried every
second. A group of one forgets what it could not store; a member of a larger group hands the lead over, and goes on once
it can store what it owes. A disk that fails in any other way ends the actor: what the file then holds is known only
after reading it anew.

Neighbours: `core` decides, `storing` persists, `peers` sends, `callers` and `reads` hold who waits, `snapshots` takes
and fetches snapshots, `actor` runs it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import CollectorRegistry

from actors.state import errors
from actors.state.callers import Answer, Callers
from actors.state.commands import Command
from actors.state.core import Applied, Core
from actors.state.damage import NoSpace
from actors.state.image import Restored
from actors.state.peers import Peers
from actors.state.raft.members import Members
from actors.state.raft.ready import Ready
from actors.state.raft.records import Envelope, InstallSnapshot, Message
from actors.state.reads import Reads
from actors.state.snapshots import Received, Snapshots
from actors.state.storage import Storage
from actors.state.storing import Storing
from bus.errors import Unavailable
from bus.record import Record
from runtime import failpoint
from runtime.clock import Clock

TICK_S = 0.02  # of Raft's time
# Who leads a group of one hears nobody, and nobody waits for it: it looks only for members that were added, and for
# what is late. At Raft's pace that were four fifths of an idle state actor's work.
ALONE_TICK_S = 0.2
ROOM_CHECK_S = 1.0  # how often a full disk is asked for room: somebody must free some by hand, so seconds do
HAND_OVER_S = 1.0  # for a successor to take the lead before this member stops; it takes a round or two
TURN_PROPOSALS = 32  # taken in one turn: they are on their way to the others while more are read
TURN_READIES = 4  # dealt with in one turn of the loop, then others get theirs

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


class Committer:
    """Takes commands, returns futures of their answers."""

    def __init__(
        self,
        core: Core,
        storage: Storage,
        peers: Peers,
        *,
        known: list[str],
        snapshot_every_bytes: int,
        spawn: Spawn,
        fail: Callable[[BaseException], None],
        log: Any,
        clock: Clock,
        metrics: CollectorRegistry,
    ):
        self.core = core
        self.storage = storage
        self.alarm: str | None = None  # why writes are refused
        self.barred: dict[str, str] = {}  # by whom, and why
        self.listeners: list[Callable[[Applied], None]] = []  # told of each applied command before it is answered
        self.on_lead: list[Callable[[bool], None]] = []  # told when this member begins or ceases to lead
        self.on_install: list[Callable[[int], None]] = []  # told the revision from which a snapshot took the store on
        self.reads = Reads(core, clock)
        self._peers = peers
        self._known = known  # members by the config, for one that begins and knows of none
        self._members: Members | None = None  # whose feeds are read
        self._fail = fail
        self._log = log
        self._clock = clock
        self._callers = Callers()
        self._lead = False, core.node.term
        self._leader = ""
        self._turn_is_due = False
        self._proposed = 0  # since the last turn
        self._looking: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._blocked: Ready | None = None  # could not be stored for want of room
        self._to_store: Ready | None = None  # at the end of this turn
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closing = False
        self._is_broken = False
        self._loop = asyncio.get_running_loop()
        self._storing = Storing(storage, self._on_stored, clock, metrics)
        self._disk = self._storing.disk
        self.snapshots = Snapshots(self, peers, self._disk, snapshot_every_bytes, spawn=spawn, log=log, clock=clock)

    # What others ask

    def propose(self, command: Command, answer: Answer, *, more_follow: bool = False) -> asyncio.Future[Record]:
        """Return the future of an answer. Refused at once: NOT_LEADER, NO_SPACE, REQUEST_TOO_LARGE, Overloaded,
        Unavailable. When the lead is lost before the answer is there, that is Unavailable, and the outcome unknown.

        `more_follow`: others came in the same message, and shall be stored with one sync.
        """
        if self.alarm is not None and self.core.is_leader:
            raise errors.no_space(self.alarm)
        if self._is_closing:
            raise Unavailable("the state actor is stopping")
        index, term = self.core.propose(command)
        future = self._callers.add(index, term, answer)
        self._idle.clear()
        self._proposed += 1
        if self._proposed >= TURN_PROPOSALS and not more_follow:
            self._turn()
        else:
            self.turn_soon()
        return future

    def barrier(self) -> "asyncio.Future[None] | None":
        """Return what a linearizable read must wait for; None: nothing."""
        if self.core.is_alone:
            return None
        self.turn_soon()
        return self.reads.wait()

    async def until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait for something about the group to come true, looking after each turn; False when it did not in time."""
        looked: tuple[Callable[[], bool], asyncio.Future[None]] = condition, self._loop.create_future()
        self._looking.append(looked)
        self.turn_soon()
        try:
            async with asyncio.timeout(limit_s):
                await looked[1]
        except TimeoutError:
            return False
        finally:
            self._looking.remove(looked)
        return True

    def receive(self, sender: str, messages: list[Message]) -> None:
        """Messages came from another member."""
        for message in messages:
            if isinstance(message, InstallSnapshot):
                self.snapshots.fetch(sender, message)
            else:
                self.core.step(sender, message)
        self.turn_soon()

    def unreachable(self, peer: str) -> None:
        """What was to be sent to another member was not."""
        self.core.node.report_unreachable(peer)

    def lost(self, peer: str) -> None:
        """The connection to another member broke: what was under way may be lost, and it may be dead."""
        self.core.node.report_unreachable(peer)
        self.snapshots.lost(peer)
        if self.core.leader == peer:
            self.core.node.leader_is_gone()

    def barred_by(self, peer: str, reason: str) -> None:
        """Another member says that this one has lost its data, or with an empty reason that it has not: while any says
        so, this one takes no part in elections."""
        if reason:
            self.barred[peer] = reason
        else:
            self.barred.pop(peer, None)
        self.core.node.is_barred = bool(self.barred)

    def install(self, sender: str, offer: InstallSnapshot, received: Received) -> None:
        """A snapshot is here whole: hand it to Raft, which may have no use for it any more."""
        self._storing.received = received
        restored = received.restored
        covered = InstallSnapshot(offer.term, restored.machine.applied, restored.term, restored.members)
        self.core.step(sender, covered)
        self.turn_soon()

    def turn_soon(self) -> None:
        if not self._turn_is_due:
            self._turn_is_due = True
            self._loop.call_soon(self._turn)

    # Life

    def begin(self) -> None:
        """A group of one leads at once, so that its first request finds a leader."""
        if self.core.node.is_alone:
            self.core.node.campaign()
            self._turn()

    async def run(self) -> None:
        """Let time pass for Raft, for ever."""
        while not self._is_broken:
            self.turn_soon()
            await asyncio.sleep(ALONE_TICK_S if self.core.is_alone else TICK_S)
            self.core.tick()
            self.reads.tick()
            self.snapshots.tick()
            self._leave_a_disk_that_hangs()
            if self.core.node.members is not self._members:
                self._members = self.core.node.members
                names = self._members.votes or self._known
                self._peers.connect(names)
                for name in self.barred.keys() - set(names):
                    self.barred_by(name, "")

    async def look_for_room(self) -> None:
        """While the disk is full, see whether it still is; for ever."""
        while True:
            await asyncio.sleep(ROOM_CHECK_S)
            if self.alarm is None:
                continue
            if (blocked := self._blocked) is not None:
                self._blocked = None
                self._store(blocked)
                self.turn_soon()
                continue
            try:
                await self._disk.do(self.storage.log.make_room)
            except NoSpace as error:
                self.alarm = str(error)
            else:
                self._has_room()

    async def close(self) -> None:
        """Hand the lead over, take no more commands, finish those that were taken, close the files."""
        await self._hand_over()
        self._is_closing = True
        if self.alarm is None and not self._is_broken:
            await self._idle.wait()
        await self.snapshots.close()
        self._is_broken = True  # no turn comes after this
        await self._disk.do(self.storage.close)
        self._disk.close()

    async def _hand_over(self) -> None:
        core = self.core
        if not core.is_leader or not (heirs := core.node.heirs()):
            return
        core.node.transfer(heirs[0])
        await self.until(lambda: not core.is_leader, HAND_OVER_S)

    def _leave_a_disk_that_hangs(self) -> None:
        """The others hear a leader whose disk hangs, and even store what it sends; but it answers nobody before it has
        stored that itself. So one of them must lead."""
        node = self.core.node
        if not (self._storing.hangs and self.core.is_leader) or node.leading.transferee:
            return
        if heirs := node.heirs():
            self._log.warning("the disk hangs: handing the lead over", to=heirs[0])
            node.transfer(heirs[0])

    # A turn

    def _turn(self) -> None:
        self._turn_is_due = False
        self._proposed = 0
        if self._is_broken:
            return
        try:
            self._work()
            self._hand_to_disk()
        except Exception as error:  # noqa: BLE001 - it ends the process, which a callback's exception would not
            self._break(error)

    def _work(self) -> None:
        if self.alarm is not None and self.core.node.is_alone:
            return  # nothing can be stored, and so nothing can happen
        self.reads.ask()
        for _ in range(TURN_READIES):
            ready = self.core.ready()
            if ready is None:
                break
            self._send(ready.messages)
            if ready.must_persist:
                self._store(ready)
            if ready.committed:
                self._apply(ready)
            for context, index in ready.reads:
                self.reads.answered(context, index)
            for context in ready.lost_reads:
                self.reads.lost(context)
            self.reads.applied(self.core.machine.applied)
        else:
            self.turn_soon()
        self._notice_lead()
        for condition, future in self._looking:
            if not future.done() and condition():
                future.set_result(None)
        if not self._callers:
            self._idle.set()

    def _send(self, envelopes: list[Envelope]) -> None:
        for envelope in envelopes:
            if isinstance(envelope.message, InstallSnapshot):
                self.snapshots.offered(envelope.to)
        self._peers.send(envelopes)

    def _apply(self, ready: Ready) -> None:
        for entry in ready.committed:
            if entry.votes is not None:
                self._peers.keep_only(entry.votes)
        for applied in self.core.apply(ready.committed):
            for listener in self.listeners:
                listener(applied)
            self._callers.answer(applied)

    def _store(self, ready: Ready) -> None:
        """Put a Ready on disk. What only acknowledges what is there already need not wait for it."""
        hard = ready.hard_state
        is_same_vote = hard is None or (hard.term, hard.vote) == self.core.node.durable_vote
        if not ready.entries and ready.snapshot is None and is_same_vote:
            self._send(self.core.persisted(ready))
            return
        self._to_store = ready

    def _hand_to_disk(self) -> None:
        """The last thing in a turn: the disk's thread wakes to an interpreter that is about to be free, and so at once.
        Anything done after it costs a put alone a tenth of its time."""
        ready, self._to_store = self._to_store, None
        if ready is not None:
            self._storing.begin(ready, is_alone=self.core.is_alone, waiting=len(self._callers))

    def _on_stored(self, ready: Ready, failure: Exception | None) -> None:
        if self._is_broken:
            return
        if isinstance(failure, NoSpace):
            self._on_no_space(ready, str(failure))
            return
        if failure is not None:
            self._break(failure)
            return
        failpoint.passing("state.persisted")
        if self.alarm is not None:
            self._has_room()
        self._send(self.core.persisted(ready))
        if ready.snapshot is not None:
            self._installed()
        self.snapshots.take_if_due()
        self._turn()

    def _installed(self) -> None:
        received, self._storing.received = self._storing.received, None
        assert received is not None
        restored: Restored = received.restored
        before = self.core.machine.store.revision
        self.core.install(restored)
        self._log.info("took a snapshot from the leader", index=restored.machine.applied, bytes=received.size_bytes)
        for listener in self.on_install:
            listener(before)

    def _notice_lead(self) -> None:
        """See whether this member has begun or ceased to lead, and who leads."""
        node = self.core.node
        lead = self.core.is_leader, node.term
        if node.leader != self._leader:
            self._leader = node.leader
            self._log.info("leader", leader=node.leader, term=node.term)
        if lead == self._lead or not (lead[0] or self._lead[0]):
            self._lead = lead
            return
        if self._lead[0]:
            self._give_up()
        self._lead = lead
        for listener in self.on_lead:
            listener(lead[0])

    def _give_up(self) -> None:
        self.core.give_up()
        self._callers.give_up(lambda: Unavailable("the lead was lost before this was stored; it may still happen"))

    # Trouble

    def _on_no_space(self, ready: Ready, reason: str) -> None:
        self.alarm = reason
        self._log.error("no space: refusing writes", reason=reason, refused=len(self._callers))
        if self.core.node.is_alone and ready.snapshot is None:
            self.core.abandon(ready)
            self._callers.give_up(lambda: errors.no_space(reason))
        else:
            self._blocked = ready
            if heirs := self.core.node.heirs():
                self.core.node.transfer(heirs[0])
        self.turn_soon()

    def _has_room(self) -> None:
        self.alarm = None
        self._log.info("there is room again: taking writes")
        if self.core.node.is_alone and not self.core.is_leader:
            self.core.node.campaign()
        self.turn_soon()

    def _break(self, error: Exception) -> None:
        self._is_broken = True
        self._idle.set()
        self._fail(error)

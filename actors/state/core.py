"""The decisions of one member: Raft says what is stored, sent and committed; the machine says what that does.

    index = core.propose(command)          or core.read(context), core.step(sender, message), core.tick()
    ready = core.ready()                   at any time; None when there is nothing to do
    send ready.messages; put ready.entries and ready.hard_state on disk, then send core.persisted(ready)
    core.apply(ready.committed)            gives what happened, in order
    ready.reads                            may be answered once `machine.applied` is there

One persistence is under way at a time; what is proposed meanwhile goes into the next one, so a batch grows with the
load and one sync serves all of it. A group of one is the same code: it commits what it has stored.

No clock, no disk, no loop.

Neighbours: `raft.node` and `machine` do the work; `committer` is the shell around this.
"""

from collections.abc import Iterable, Iterator

import msgspec

from actors.state import commands, errors, image
from actors.state.commands import Command
from actors.state.image import Restored
from actors.state.machine import Machine, Outcome
from actors.state.messages import MAX_REQUEST_BYTES
from actors.state.raft.node import Node
from actors.state.raft.ready import NotLeader, Ready, TooMuchUncommitted
from actors.state.raft.records import Entry, Envelope, Message
from actors.state.raft.role import Role
from bus.errors import Overloaded

RETRY_AFTER_MS = 50  # about the time of a few syncs
KEPT_BYTES = 8 << 20  # of applied entries that stay in memory, for followers that are a little behind
KEPT_ENTRY_BYTES = 256  # what an entry in memory costs beside its data
TRIM_BYTES = 2 << 20  # is trimmed at once, because it moves all that stays


class Applied(msgspec.Struct, frozen=True):
    """A command that is committed and applied."""

    index: int
    term: int
    command: Command
    outcome: Outcome


class Core:
    """One member of a group."""

    def __init__(self, machine: Machine, node: Node):
        self.machine = machine
        self.node = node
        self.pinned: dict[object, int] = {}  # entries after these indexes stay in memory: a snapshot is on its way
        self._commands: dict[int, tuple[int, Command]] = {}  # proposed here and not applied: (term, command)
        log = node.log
        kept = log.between(log.offset, log.applied)
        self._kept_bytes = sum(len(entry.data) + KEPT_ENTRY_BYTES for entry in kept)

    @property
    def is_leader(self) -> bool:
        return self.node.role is Role.LEADER

    @property
    def is_alone(self) -> bool:
        """Whether this member leads a group of one: then what it has stored is committed, and all reads are current."""
        return self.node.is_alone and self.node.role is Role.LEADER

    @property
    def leader(self) -> str:
        return self.node.leader

    @property
    def pending(self) -> int:
        """How many commands were proposed here and are not applied."""
        return len(self._commands)

    def propose(self, command: Command) -> tuple[int, int]:
        """Take a command; return index and term of its entry. NOT_LEADER, REQUEST_TOO_LARGE, or Overloaded."""
        data = commands.encode(command)
        if len(data) > MAX_REQUEST_BYTES:
            raise errors.request_too_large(len(data))
        try:
            entry = self.node.propose(data)
        except NotLeader as error:
            raise errors.not_leader(error.leader) from error
        except TooMuchUncommitted as error:
            raise Overloaded("too many writes wait to be stored", {"retry_after_ms": RETRY_AFTER_MS}) from error
        self._commands[entry.index] = entry.term, command
        return entry.index, entry.term

    def read(self, context: int) -> None:
        self.node.read(context)

    def step(self, sender: str, message: Message) -> None:
        self.node.step(sender, message)

    def tick(self) -> None:
        self.node.tick()

    def ready(self) -> Ready | None:
        return self.node.ready()

    def persisted(self, ready: Ready) -> list[Envelope]:
        """What `ready` asked to persist is on disk; return what may be sent now."""
        return self.node.persisted(ready)

    def abandon(self, ready: Ready) -> None:
        """The disk of a group of one is full, and nothing of `ready` is there: forget it, and all behind it."""
        self.node.abandon(ready)
        self._commands.clear()

    def give_up(self) -> None:
        """This member leads no more: what it proposed may still be committed, by others."""
        self._commands.clear()

    def apply(self, committed: Iterable[Entry]) -> Iterator[Applied]:
        """Apply committed entries; give what the commands among them did, in order. One by one, so that nothing waits
        in memory for the last of them; the caller must take them all."""
        machine = self.machine
        for entry in committed:
            self._kept_bytes += len(entry.data) + KEPT_ENTRY_BYTES
            if not entry.data:
                machine.skip(entry.index)
                continue
            term, command = self._commands.pop(entry.index, (0, None))
            if command is None or term != entry.term:
                command = commands.decode(entry.data)
            yield Applied(entry.index, entry.term, command, machine.apply(entry.index, command))
        self.node.applied(machine.applied)
        self._trim()

    def capture(self, cluster_id: str) -> image.Image:
        """Return the image of everything that is applied."""
        index = self.machine.applied
        term = self.node.log.term(index)
        assert term is not None, f"entry {index} is applied and not in the log"
        return image.capture(self.machine, term, self.node.history.at(index).votes, cluster_id)

    def install(self, restored: Restored) -> None:
        """The snapshot of a Ready is on disk: go on from its state."""
        self.machine.become(restored.machine)
        self._commands.clear()
        self._kept_bytes = 0

    def _trim(self) -> None:
        """Keep in memory what a follower may need; one that needs more gets a snapshot."""
        if self._kept_bytes <= TRIM_BYTES:
            return
        keep_bytes = 0 if self.node.is_alone else KEPT_BYTES
        if self._kept_bytes <= keep_bytes + TRIM_BYTES:
            return
        log = self.node.log
        through = min((log.applied, *self.pinned.values()))
        freed_bytes = 0
        index = log.offset
        for entry in log.between(log.offset, max(log.offset, through)):
            if self._kept_bytes - freed_bytes <= keep_bytes:
                break
            freed_bytes += len(entry.data) + KEPT_ENTRY_BYTES
            index = entry.index
        self._kept_bytes -= freed_bytes
        self.node.compact(index)

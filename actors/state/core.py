"""The decisions of the state actor: what is proposed, what must be on disk, what may be applied and answered.

The shape is that of a Raft node, so that one can take its place: `propose` a command, take a `Ready`, put its entries
on disk, then `advance`, which applies what is committed and returns the outcomes to answer. A single member commits
what it has persisted. One `Ready` is under way at a time; what is proposed meanwhile goes into the next one, so a batch
grows with the load and one sync serves all of it.

No clock, no disk, no loop.

Neighbours: `machine` applies; `actor` persists and answers.
"""

from dataclasses import dataclass

from actors.state import commands, errors
from actors.state.commands import Command
from actors.state.log import Entry
from actors.state.machine import Machine, Outcome
from actors.state.messages import MAX_REQUEST_BYTES
from bus.errors import Overloaded

MAX_BATCH_BYTES = 4 << 20  # of a Ready: 10 to 40 ms of a slow disk; more waits for the next one
MAX_PENDING_BYTES = 64 << 20  # proposed and not yet applied; beyond it a proposal is refused with Overloaded
ENTRY_BYTES = 64  # what an entry costs beside its data, so that many small ones count too
RETRY_AFTER_MS = 50  # about the time of a few syncs


@dataclass(frozen=True, slots=True)
class Ready:
    """What to put on disk now; then call `advance` with it."""

    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Applied:
    """A command that is durable and applied."""

    index: int
    command: Command
    outcome: Outcome


class Core:
    """The one member of a group of one."""

    def __init__(self, machine: Machine, term: int):
        self.machine = machine
        self.term = term
        self.is_leader = True
        self._next_index = machine.applied + 1
        self._proposed: list[Entry] = []  # not yet in a Ready
        self._commands: dict[int, Command] = {}  # of all entries that are not applied yet
        self._pending_bytes = 0
        self._under_way: Ready | None = None

    @property
    def pending(self) -> int:
        """How many commands are proposed and not applied."""
        return len(self._commands)

    def propose(self, command: Command) -> int:
        """Take a command; return the index of its entry. REQUEST_TOO_LARGE, or Overloaded when too much is pending."""
        data = commands.encode(command)
        if len(data) > MAX_REQUEST_BYTES:
            raise errors.request_too_large(len(data))
        if self._pending_bytes + len(data) > MAX_PENDING_BYTES:
            raise Overloaded("too many writes are waiting for the disk", {"retry_after_ms": RETRY_AFTER_MS})
        index = self._next_index
        self._next_index += 1
        self._proposed.append(Entry(index, self.term, data))
        self._commands[index] = command
        self._pending_bytes += len(data) + ENTRY_BYTES
        return index

    def ready(self) -> Ready | None:
        """Return what to persist next; None when there is nothing, or when a Ready is still under way."""
        if self._under_way is not None or not self._proposed:
            return None
        size_bytes = count = 0
        for entry in self._proposed:
            size_bytes += len(entry.data) + ENTRY_BYTES
            if size_bytes > MAX_BATCH_BYTES and count:
                break
            count += 1
        self._under_way = Ready(self._proposed[:count])
        del self._proposed[:count]
        return self._under_way

    def advance(self, ready: Ready) -> list[Applied]:
        """The Ready is on disk: apply it and return what to answer, in order."""
        assert ready is self._under_way, "only the Ready under way can be done"
        self._under_way = None
        applied = []
        for entry in ready.entries:
            command = self._commands.pop(entry.index)
            self._pending_bytes -= len(entry.data) + ENTRY_BYTES
            applied.append(Applied(entry.index, command, self.machine.apply(entry.index, command)))
        return applied

    def abandon(self, ready: Ready) -> list[int]:
        """The disk refused the Ready, and nothing of it is there: forget it and all behind it; return the indexes."""
        assert ready is self._under_way, "only the Ready under way can be abandoned"
        indexes = list(self._commands)
        self._under_way = None
        self._proposed.clear()
        self._commands.clear()
        self._pending_bytes = 0
        self._next_index = self.machine.applied + 1
        return indexes

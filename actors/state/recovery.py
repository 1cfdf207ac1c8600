"""From what is on disk to a member as it was: the machine with everything that is known to be committed, and the rest.

The log is read once, in the order in which it was written. An entry is applied as soon as a later hard state says that
it is committed; so what is held back, because a later batch may replace it, stays small. A group of one has committed
whatever it has stored.

Neighbours: `storage` calls it; `raft.node` goes on from what it finds.
"""

from collections import deque
from collections.abc import Iterable

from actors.state.commands import decode
from actors.state.image import Restored
from actors.state.log import Batch
from actors.state.raft.entries import Entries
from actors.state.raft.members import Members
from actors.state.raft.records import Entry, HardState

KEPT_BYTES = 8 << 20  # of applied entries that stay in memory, for members that are a little behind
NOTHING_YET = HardState(0, "", 0)


class Gap(Exception):
    """Entries are missing."""


class Conflict(Exception):
    """The log and the snapshot are of different histories: the snapshot came from a leader, and wins."""


class Replay:
    """Takes batches, applies what is certain."""

    def __init__(self, restored: Restored, name: str):
        self.machine = restored.machine
        self.hard = NOTHING_YET
        self.replayed = 0
        self._name = name
        self._start = restored.machine.applied
        self._start_term = restored.term
        self._seen_start_term: int | None = None
        self._kept: deque[Entry] = deque()
        self._kept_bytes = 0
        self._before_kept = restored.machine.applied, restored.term
        self._members: deque[tuple[int, dict[str, bool]]] = deque([(restored.machine.applied, restored.members)])
        self._tail: list[Entry] = []  # after `machine.applied`, not known to be committed

    @property
    def newest_members(self) -> dict[str, bool]:
        changes = (entry.votes for entry in reversed(self._tail) if entry.votes is not None)
        return next(changes, self._members[-1][1])

    def take(self, batches: Iterable[Batch]) -> None:
        """Read them all. Gap, or Conflict."""
        for batch in batches:
            if batch.entries:
                self._append(batch.entries)
            if batch.hard is not None:
                self.hard = batch.hard
                self._apply(batch.hard.commit)
        if self._seen_start_term not in (None, self._start_term):
            raise Conflict
        if Members(self.newest_members).voters == {self._name} == set(self.newest_members):
            self._apply(self.machine.applied + len(self._tail))

    def entries(self) -> Entries:
        """Return the log in memory: a little of what is applied, and what is not."""
        offset, term = self._before_kept
        entries = Entries(offset, term, [*self._kept, *self._tail])
        entries.commit = entries.handed = entries.applied = self.machine.applied
        return entries

    def members_at_offset(self) -> dict[str, bool]:
        """Return the membership in force where `entries` begins."""
        offset = self._before_kept[0]
        return next(members for index, members in reversed(self._members) if index <= offset)

    def _append(self, entries: list[Entry]) -> None:
        first, last = entries[0].index, entries[-1].index
        if first <= self._start:
            self._seen_start_term = entries[self._start - first].term if last >= self._start else None
        due = self.machine.applied + len(self._tail) + 1
        if first > due:
            raise Gap(f"entries {due} to {first - 1}, which should be before it, are missing")
        kept = max(0, first - 1 - self.machine.applied)
        del self._tail[kept:]
        self._tail += entries[max(0, self.machine.applied + 1 - first) :]

    def _apply(self, index: int) -> None:
        count = min(index - self.machine.applied, len(self._tail))
        if count <= 0:
            return
        for entry in self._tail[:count]:
            if entry.data:
                self.machine.apply(entry.index, decode(entry.data))
            else:
                self.machine.skip(entry.index)
            if entry.votes is not None:
                self._members.append((entry.index, entry.votes))
            self._keep(entry)
        self.replayed += count
        del self._tail[:count]

    def _keep(self, entry: Entry) -> None:
        self._kept.append(entry)
        self._kept_bytes += len(entry.data)
        while self._kept_bytes > KEPT_BYTES:
            gone = self._kept.popleft()
            self._kept_bytes -= len(gone.data)
            self._before_kept = gone.index, gone.term

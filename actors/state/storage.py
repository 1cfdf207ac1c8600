"""A member's data directory: format, group, snapshot and log, opened and kept as one.

    format               which format the files have
    group                which cluster this is, who founded it, and this directory's birth
    births               those of the other members
    INDEX.snapshot       the state up to a log index; one, or two while the older is being removed
    SEQUENCE.log         segments of the log; those that the snapshot covers are removed
    lock                 held by the process that has the directory open

Neighbours: `actor` opens it, appends through it and has it write snapshots; `log`, `snapshot`, `recovery` and `disk` do
the work.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from actors.state import births, group, image, log, snapshot
from actors.state.births import Births
from actors.state.damage import RESTORE, DataRefused, NewerFormat, NoSpace
from actors.state.disk import Disk, closing_file, is_full
from actors.state.frames import FORMAT_VERSION
from actors.state.group import Group
from actors.state.image import Image, Restored
from actors.state.log import Log
from actors.state.machine import Machine
from actors.state.raft.entries import Entries
from actors.state.raft.records import Entry, HardState
from actors.state.recovery import NOTHING_YET, Conflict, Gap, Replay

FORMAT_NAME = "format"
_FORMAT_TEMPORARY = "format.tmp"
_FORMAT_WORD = "kubus-state"

Rest = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was on disk: what is needed to make the member's node, and its machine."""

    machine: Machine
    hard: HardState
    entries: Entries
    members: dict[str, bool]  # in force where `entries` begins
    snapshot_index: int  # 0: there was none
    replayed: int  # entries that were applied after the snapshot
    cut: log.Cut | None  # an interrupted write that was cut off


class Storage:
    """One member's files. `log` calls, `save` and `remove` may run in different threads; two saves may not."""

    def __init__(self, disk: Disk, segment_bytes: int, name: str = "alone", founding: Group | None = None):
        """Open what is there, or begin anew with the group `founding`; DataRefused when it cannot be used."""
        is_new = _check_format(disk)
        for temporary in (log.TEMPORARY, snapshot.TEMPORARY, snapshot.INCOMING, group.TEMPORARY, births.TEMPORARY):
            if temporary in disk.names():
                disk.remove(temporary)
        self.disk = disk
        self.name = name
        self.group = self._group(founding if is_new else None)
        self.births = Births(disk)
        self._removing = threading.Lock()
        self.log = Log.open(disk, segment_bytes)
        self.snapshot_index = max(snapshot.indexes(disk), default=0)
        self.snapshot_bytes = disk.size_bytes(snapshot.name_of(self.snapshot_index)) if self.snapshot_index else 0
        snapshot.remove_older(disk, self.snapshot_index)

    def recover(self) -> Recovered:
        """Return the member as it was: the snapshot, and every entry after it that is known to be committed."""
        replay = self._replay()
        try:
            replay.take(self.log.batches())
        except Gap as error:
            raise DataRefused(self.disk.describe(self.log.reading), str(error), RESTORE) from error
        except Conflict:
            self.log.restart_after(self.snapshot_index)
            hard = replay.hard
            replay = self._replay()
            replay.hard = hard
        self.log.skip_to(self.snapshot_index)
        hard = replay.hard
        entries = replay.entries()
        if hard == NOTHING_YET and entries.last_index:  # a log of format 1, whose only member never voted
            hard = HardState(entries.last_term, "", entries.commit)
        return Recovered(
            replay.machine,
            hard,
            entries,
            replay.members_at_offset(),
            self.snapshot_index,
            replay.replayed,
            self.log.cut,
        )

    def append(self, entries: list[Entry], hard: HardState | None = None) -> None:
        self.log.append(entries, hard)

    def adopt(self, index: int, size_bytes: int) -> None:
        """Take the snapshot that came in from the leader, in place of all there is. NoSpace: nothing has changed."""
        self.disk.rename(snapshot.INCOMING, snapshot.name_of(index))
        self.disk.sync_names()
        self.snapshot_index, self.snapshot_bytes = index, size_bytes
        self.log.restart_after(index)
        with self._removing:
            snapshot.remove_older(self.disk, index)

    def save(self, taken: Image, rest: Rest = lambda: None) -> int:
        """Write a snapshot and return its size; `release` then lets go of what it covers. NoSpace: there is none.

        `rest` is called after each short piece of work.
        """
        return snapshot.write(self.disk, taken.head.applied, taken.chunks(rest))

    def release(self, taken: Image, size_bytes: int) -> list[str]:
        """Let go of the log and the snapshots that a saved snapshot covers; return the files to `remove`."""
        if taken.head.applied < self.snapshot_index:
            return []  # a newer one came from the leader meanwhile, and has removed this one's log
        self.snapshot_index, self.snapshot_bytes = taken.head.applied, size_bytes
        older = [index for index in snapshot.indexes(self.disk) if index < self.snapshot_index]
        return [*map(snapshot.name_of, older), *self.log.release(self.snapshot_index)]

    def remove(self, names: list[str], rest: Rest = lambda: None) -> None:
        """Remove released files, in this order. It takes long, and may be done while the log is written."""
        for name in names:
            with self._removing:
                if name in self.disk.names():  # not if `adopt` has removed it meanwhile
                    self.disk.remove(name)
            rest()
        if names:
            self.disk.sync_names()

    def join(self, cluster_id: str) -> None:
        """Remember the cluster that has taken this member in."""
        self._keep(Group(cluster_id, {}, self.group.birth, begun=True))

    def begin(self) -> None:
        """Remember that this founder has heard of all others, and may vote."""
        self._keep(msgspec.structs.replace(self.group, begun=True))

    def _keep(self, changed: Group) -> None:
        group.write(self.disk, changed)
        self.group = changed

    def close(self) -> None:
        self.log.close()
        self.disk.close()

    def _group(self, founding: Group | None) -> Group:
        """Read the group, or write it into a new directory; one of format 1 was its group's only member."""
        known = group.read(self.disk)
        if known is not None and known.birth:
            return known
        begun = (known or founding or Group.alone(self.name)).born()
        try:
            group.write(self.disk, begun)
        except OSError as error:
            raise _no_space(self.disk.describe(group.NAME), error) from error
        return begun

    def _replay(self) -> Replay:
        if not self.snapshot_index:
            return Replay(Restored(Machine(), 0, self.group.founders), self.name)
        try:
            restored = image.restore(snapshot.read(self.disk, snapshot.name_of(self.snapshot_index)))
        except image.BadImage as error:
            file = self.disk.describe(snapshot.name_of(self.snapshot_index))
            raise DataRefused(file, f"the snapshot cannot be read: {error}", RESTORE) from error
        members = restored.members or self.group.founders
        return Replay(Restored(restored.machine, restored.term, members), self.name)


def _check_format(disk: Disk) -> bool:
    """Refuse a directory of a newer format, write this one's into an older or empty one; return whether it is new."""
    names = disk.names()
    file = disk.describe(FORMAT_NAME)
    if FORMAT_NAME in names:
        words = disk.read(FORMAT_NAME).decode("ascii", "replace").split()
        if len(words) != 2 or words[0] != _FORMAT_WORD or not words[1].isdigit():
            raise DataRefused(file, f"it should say '{_FORMAT_WORD} {FORMAT_VERSION}', not {words}", RESTORE)
        if int(words[1]) > FORMAT_VERSION:
            raise NewerFormat(file, f"the data has format {words[1]}; this program knows up to {FORMAT_VERSION}")
        if int(words[1]) < FORMAT_VERSION:
            write_format(disk)
        return not _has_data(disk)
    if _has_data(disk):
        raise DataRefused(file, "there is data, but not this file that says which format it has", RESTORE)
    write_format(disk)
    return True


def _has_data(disk: Disk) -> bool:
    return any(name.endswith((log.SUFFIX, snapshot.SUFFIX)) for name in disk.names())


def write_format(disk: Disk) -> None:
    try:
        with closing_file(disk.create(_FORMAT_TEMPORARY)) as handle:
            handle.write_at(0, f"{_FORMAT_WORD} {FORMAT_VERSION}\n".encode("ascii"))
            handle.sync()
        disk.rename(_FORMAT_TEMPORARY, FORMAT_NAME)
        disk.sync_names()
    except OSError as error:
        raise _no_space(disk.describe(FORMAT_NAME), error) from error


def _no_space(file: str, error: OSError) -> Exception:
    """Return what a failed write of a small file means: no space, or what it was."""
    return NoSpace(f"{file}: {error}") if is_full(error) else error

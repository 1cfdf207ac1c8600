"""A member's data directory: format, snapshot and log, opened and kept as one.

    format               which format the files have
    INDEX.snapshot       the state up to a log index; one, or two while the older is being removed
    SEQUENCE.log         segments of the log; those that the snapshot covers are removed
    lock                 held by the process that has the directory open

Neighbours: `actor` opens it, appends through it and has it write snapshots; `log`, `snapshot` and `disk` do the work.
"""

from dataclasses import dataclass

from actors.state import image, log, snapshot
from actors.state.commands import decode
from actors.state.damage import RESTORE, DataRefused, NewerFormat, NoSpace
from actors.state.disk import Disk, closing_file, is_full
from actors.state.frames import FORMAT_VERSION
from actors.state.log import Entry, Log
from actors.state.machine import Machine

FORMAT_NAME = "format"
_FORMAT_TEMPORARY = "format.tmp"
_FORMAT_WORD = "kubus-state"
FIRST_TERM = 1


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was on disk."""

    machine: Machine
    term: int  # of the last entry
    snapshot_index: int  # 0: there was none
    replayed: int  # entries that were applied after the snapshot
    cut: log.Cut | None  # an interrupted write that was cut off


class Storage:
    """One member's files. `log` calls and `save` may run in different threads; two saves may not."""

    def __init__(self, disk: Disk, segment_bytes: int):
        """Open what is there, or begin anew; DataRefused when it cannot be used."""
        _check_format(disk)
        log.remove_temporary(disk)
        snapshot.remove_temporary(disk)
        self.disk = disk
        self.log = Log.open(disk, segment_bytes)
        self.snapshot_index = max(snapshot.indexes(disk), default=0)
        self.snapshot_bytes = disk.size_bytes(snapshot.name_of(self.snapshot_index)) if self.snapshot_index else 0
        snapshot.remove_older(disk, self.snapshot_index)
        if self.log.last_index < self.snapshot_index:
            self.log.restart_after(self.snapshot_index)

    def recover(self) -> Recovered:
        """Return the state machine as it was: the snapshot and every entry after it."""
        machine, term = Machine(), FIRST_TERM
        if self.snapshot_index:
            try:
                machine, term = image.restore(snapshot.read(self.disk, self.snapshot_index))
            except image.BadImage as error:
                file = self.disk.describe(snapshot.name_of(self.snapshot_index))
                raise DataRefused(file, f"the snapshot cannot be read: {error}", RESTORE) from error
        replayed = 0
        for entry in self.log.entries(machine.applied):
            machine.apply(entry.index, decode(entry.data))
            term = entry.term
            replayed += 1
        return Recovered(machine, term, self.snapshot_index, replayed, self.log.cut)

    def append(self, entries: list[Entry]) -> None:
        self.log.append(entries)

    def save(self, taken: image.Image) -> int:
        """Write a snapshot and return its size; `release` then removes what it covers. NoSpace: there is none."""
        return snapshot.write(self.disk, taken.head.applied, taken.chunks())

    def release(self, taken: image.Image, size_bytes: int) -> None:
        """Remove the log and the snapshots that a saved snapshot covers."""
        self.snapshot_index, self.snapshot_bytes = taken.head.applied, size_bytes
        snapshot.remove_older(self.disk, self.snapshot_index)
        self.log.release(self.snapshot_index)

    def close(self) -> None:
        self.log.close()
        self.disk.close()


def _check_format(disk: Disk) -> None:
    """Refuse a directory of another format; write the format into an empty one."""
    names = disk.names()
    file = disk.describe(FORMAT_NAME)
    if FORMAT_NAME in names:
        words = disk.read(FORMAT_NAME).decode("ascii", "replace").split()
        if len(words) != 2 or words[0] != _FORMAT_WORD or not words[1].isdigit():
            raise DataRefused(file, f"it should say '{_FORMAT_WORD} {FORMAT_VERSION}', not {words}", RESTORE)
        if int(words[1]) > FORMAT_VERSION:
            raise NewerFormat(file, f"the data has format {words[1]}; this program knows up to {FORMAT_VERSION}")
        return
    if any(name.endswith((log.SUFFIX, snapshot.SUFFIX)) for name in names):
        raise DataRefused(file, "there is data, but not this file that says which format it has", RESTORE)
    try:
        with closing_file(disk.create(_FORMAT_TEMPORARY)) as handle:
            handle.write_at(0, f"{_FORMAT_WORD} {FORMAT_VERSION}\n".encode("ascii"))
            handle.sync()
        disk.rename(_FORMAT_TEMPORARY, FORMAT_NAME)
        disk.sync_names()
    except OSError as error:
        if not is_full(error):
            raise
        raise NoSpace(f"{file}: {error}") from error

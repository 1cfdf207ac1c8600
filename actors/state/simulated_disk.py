"""A disk in memory that crashes as real ones do: what was not synced is lost, kept or torn, as a seed decides.

Used by tests of the log and by simulations. Each write is cut into sectors; a crash keeps any subset of the unsynced
ones, because a disk may write them in any order. Names that were created, renamed or removed and not yet synced are
kept up to some point, as by a file system's journal. `crash_after` makes the n-th operation from now raise `Crashed`,
half done, and every later one too, until `restart`. `capacity_bytes` makes writes fail with ENOSPC.

Neighbours: `disk` declares the interface.
"""

import errno
import random
from dataclasses import dataclass, field

SECTOR_BYTES = 512


class Crashed(BaseException):
    """The simulated machine went down. Not an Exception: nothing may handle it but the simulation."""


@dataclass(slots=True, eq=False)
class _Inode:
    """A file's bytes: as the process sees them, and as the platter has them, with what lies between."""

    seen: bytearray = field(default_factory=bytearray)
    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes] | int] = field(default_factory=list)  # (offset, data), or a new size

    def do(self, change: tuple[int, bytes] | int) -> None:
        _change(self.seen, change)
        self.unsynced.append(change)

    def sync(self) -> None:
        self.synced = bytearray(self.seen)
        self.unsynced.clear()

    def crash(self, rng: random.Random) -> None:
        keep = rng.random()
        for change in self.unsynced:
            if isinstance(change, int):
                if rng.random() < keep:
                    _change(self.synced, change)
                continue
            offset, data = change
            for sector in _sectors(offset, data):
                if rng.random() < keep:
                    _change(self.synced, sector)
        self.seen = bytearray(self.synced)
        self.unsynced.clear()


def _change(content: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        if change < len(content):
            del content[change:]
        else:
            content.extend(bytes(change - len(content)))
        return
    offset, data = change
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes):
    """Cut a write where the sectors of the disk begin."""
    position = 0
    while position < len(data):
        size_bytes = SECTOR_BYTES - (offset + position) % SECTOR_BYTES
        yield offset + position, data[position : position + size_bytes]
        position += size_bytes


class SimulatedDisk:
    """A flat directory of files in memory. Outlives the crash of what uses it."""

    def __init__(self, seed: int, capacity_bytes: int | None = None):
        self.capacity_bytes = capacity_bytes
        self.operations = 0
        self.crash_after: int | None = None
        self.syncs = 0
        self._rng = random.Random(seed)
        self._is_down = False
        self._seen: dict[str, _Inode] = {}
        self._synced: dict[str, _Inode] = {}
        self._unsynced: list[dict[str, _Inode]] = []  # the names after each change that was not synced

    # Faults

    def restart(self) -> None:
        """Come up after a crash, with what the platter has."""
        kept = self._rng.randint(0, len(self._unsynced))
        if kept:
            self._synced = self._unsynced[kept - 1]
        for inode in self._synced.values():
            inode.crash(self._rng)
        self._seen = dict(self._synced)
        self._unsynced.clear()
        self._is_down = False
        self.crash_after = None

    def corrupt(self, name: str, offset: int, data: bytes) -> None:
        """Overwrite stored bytes, as rot or a careless hand would."""
        _change(self._seen[name].seen, (offset, data))
        self._seen[name].sync()

    def _operate(self) -> bool:
        """Count an operation; return whether the machine goes down in the middle of it."""
        if self._is_down:
            raise Crashed
        self.operations += 1
        if self.crash_after is not None:
            self.crash_after -= 1
            self._is_down = self.crash_after < 0
        return self._is_down

    def _operate_whole(self) -> None:
        if self._operate():
            raise Crashed

    def _check_room(self, inode: _Inode, size_bytes: int) -> None:
        if self.capacity_bytes is None or size_bytes <= len(inode.seen):
            return
        used_bytes = sum(len(each.seen) for each in self._seen.values())
        if used_bytes + size_bytes - len(inode.seen) > self.capacity_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    # Disk

    def names(self) -> list[str]:
        self._operate_whole()
        return sorted(self._seen)

    def read(self, name: str, offset: int = 0, size_bytes: int | None = None) -> bytes:
        self._operate_whole()
        content = self._seen[name].seen
        return bytes(content[offset:] if size_bytes is None else content[offset : offset + size_bytes])

    def size_bytes(self, name: str) -> int:
        return len(self._seen[name].seen)

    def create(self, name: str) -> "SimulatedFile":
        self._operate_whole()
        inode = self._seen.get(name)
        if inode is None:
            inode = _Inode()
            self._rename({**self._seen, name: inode})
        else:
            inode.do(0)
        return SimulatedFile(self, inode)

    def open(self, name: str) -> "SimulatedFile":
        self._operate_whole()
        return SimulatedFile(self, self._seen[name])

    def rename(self, old: str, new: str) -> None:
        self._operate_whole()
        names = dict(self._seen)
        names[new] = names.pop(old)
        self._rename(names)

    def remove(self, name: str) -> None:
        self._operate_whole()
        names = dict(self._seen)
        del names[name]
        self._rename(names)

    def _rename(self, names: dict[str, _Inode]) -> None:
        self._seen = names
        self._unsynced.append(names)

    def sync_names(self) -> None:
        self._operate_whole()
        self._synced = dict(self._seen)
        self._unsynced.clear()

    def describe(self, name: str) -> str:
        return f"simulated:{name}"

    def close(self) -> None:
        """Nothing to release."""


class SimulatedFile:
    """A file of a SimulatedDisk."""

    def __init__(self, disk: SimulatedDisk, inode: _Inode):
        self._disk = disk
        self._inode = inode

    def write_at(self, offset: int, data: bytes) -> None:
        goes_down = self._disk._operate()
        try:
            self._disk._check_room(self._inode, offset + len(data))
        except OSError:
            self._inode.do((offset, data[: len(data) // 2]))  # as a real write does, which is cut short first
            raise
        self._inode.do((offset, data))
        if goes_down:
            raise Crashed

    def reserve(self, size_bytes: int) -> None:
        self._disk._operate_whole()
        self._disk._check_room(self._inode, size_bytes)
        if size_bytes > len(self._inode.seen):
            self._inode.do(size_bytes)

    def truncate(self, size_bytes: int) -> None:
        self._disk._operate_whole()
        self._inode.do(size_bytes)

    def sync(self) -> None:
        if self._disk._operate():
            raise Crashed  # before it did anything: a crash then keeps what it likes
        self._disk.syncs += 1
        self._inode.sync()

    def close(self) -> None:
        """Nothing to release."""

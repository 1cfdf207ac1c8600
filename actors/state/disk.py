"""What the log needs of a disk: a flat directory of files, and nothing that a crash could leave unclear.

`Disk` is the interface; `DirectoryDisk` is a real directory; `simulated_disk.SimulatedDisk` one that can crash. What is
written is on disk only after `sync` of its file; a name that was created, renamed or removed only after `sync_names`.
Before that a crash may keep all of it, none, or some sectors.

Errors are `OSError`s. `is_full` tells a full disk, from which there is a way back, from one that failed.

Neighbours: `log` and `snapshot` write through it.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

LOCK_NAME = "lock"
BLANK_BYTES = 256 << 10  # written ahead of what is written to a reserved file; about 0.3 ms of a sync, now and then
SMALL_BYTES = 32 << 10  # a larger write costs so much that its sync's journal does not matter

_BLANK = bytes(BLANK_BYTES)


class DataDirInUse(Exception):
    """Another process has the data directory open."""


class File(Protocol):
    """An open file. `write_at` may be torn by a crash until `sync` returned."""

    def write_at(self, offset: int, data: bytes) -> None: ...
    def reserve(self, size_bytes: int) -> None:
        """Make sure that the file can be written up to this size; what was not written reads as zeros.

        From then on it is written from its beginning to its end.
        """

    def truncate(self, size_bytes: int) -> None: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...


class Disk(Protocol):
    """A flat directory of files."""

    def names(self) -> list[str]: ...
    def read(self, name: str, offset: int = 0, size_bytes: int | None = None) -> bytes:
        """Return what is in a file from an offset on, up to a size; less where the file ends."""

    def size_bytes(self, name: str) -> int: ...
    def create(self, name: str) -> File:
        """Create a file, or empty one that is there."""

    def open(self, name: str) -> File:
        """Open a file that is there, for writing."""

    def rename(self, old: str, new: str) -> None: ...
    def remove(self, name: str) -> None: ...
    def sync_names(self) -> None: ...
    def describe(self, name: str) -> str:
        """Return how a message should call a file."""

    def close(self) -> None: ...


def is_full(error: OSError) -> bool:
    """Tell whether an error says that there is no room (now), rather than that the disk failed."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DirectoryDisk:
    """A real directory, locked against every other process for as long as it is open."""

    def __init__(self, path: Path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._lock = _lock(path / LOCK_NAME)
        except BaseException:
            os.close(self._directory)
            raise

    def names(self) -> list[str]:
        return sorted(name for name in os.listdir(self._directory) if name != LOCK_NAME)

    def read(self, name: str, offset: int = 0, size_bytes: int | None = None) -> bytes:
        with open(self.path / name, "rb", buffering=0) as file:
            file.seek(offset)
            wanted = self.size_bytes(name) - offset if size_bytes is None else size_bytes
            parts = []
            while wanted > 0 and (part := file.read(wanted)):
                parts.append(part)
                wanted -= len(part)
            return b"".join(parts)

    def size_bytes(self, name: str) -> int:
        return os.stat(name, dir_fd=self._directory).st_size

    def create(self, name: str) -> "DirectoryFile":
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return DirectoryFile(os.open(name, flags, 0o600, dir_fd=self._directory))

    def open(self, name: str) -> "DirectoryFile":
        return DirectoryFile(os.open(name, os.O_RDWR | os.O_CLOEXEC, dir_fd=self._directory))

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def remove(self, name: str) -> None:
        os.unlink(name, dir_fd=self._directory)

    def sync_names(self) -> None:
        os.fsync(self._directory)

    def describe(self, name: str) -> str:
        return str(self.path / name)

    def close(self) -> None:
        os.close(self._directory)
        os.close(self._lock)  # which releases it


class DirectoryFile:
    """A file of a DirectoryDisk.

    The first write to a reserved block changes the file's extents, so its sync must write the file system's journal,
    too. Blocks that have been written before sync in half the time; so small writes bring blank ones along.
    """

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._reserved_bytes = 0
        self._blank_until = 0  # up to where blocks have been written

    def write_at(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if self._blank_until < end < self._reserved_bytes and len(data) <= SMALL_BYTES:
            self._blank_until = min(end + BLANK_BYTES, self._reserved_bytes)
            data += _BLANK[: self._blank_until - end]
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, offset)
            rest = rest[written:]
            offset += written

    def reserve(self, size_bytes: int) -> None:
        """Allocate the blocks now: a full disk shows here, and a sync later need not write file metadata."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._descriptor, 0, size_bytes)
            self._reserved_bytes = size_bytes

    def truncate(self, size_bytes: int) -> None:
        self._blank_until = min(self._blank_until, size_bytes)
        os.ftruncate(self._descriptor, size_bytes)

    def sync(self) -> None:
        if hasattr(fcntl, "F_FULLFSYNC"):  # macOS, where fsync leaves data in the drive's cache
            fcntl.fcntl(self._descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def _lock(path: Path) -> int:
    """Return the descriptor that holds the lock; DataDirInUse names the process that has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise DataDirInUse(f"{path.parent} is in use by another process (pid {holder}); stop it first") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


@contextlib.contextmanager
def closing_file(file: File) -> Iterator[File]:
    """Close a file however the block ends."""
    try:
        yield file
    finally:
        file.close()

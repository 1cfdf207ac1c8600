"""Snapshot files: an image of the state machine on disk, so that the log before it can go.

A snapshot is written under a temporary name, synced, renamed, and its directory synced. So a file with a snapshot's
name is whole; if it is not, it has rotted, and is refused. It can be written in a thread while the log goes on.

Neighbours: `image` gives the chunks; `frames` is the layout; `storage` decides when segments may go.
"""

import secrets
from collections.abc import Iterable, Iterator

from actors.state import frames
from actors.state.damage import RESTORE, DataRefused, NewerFormat, NoSpace
from actors.state.disk import Disk, File, is_full

MAGIC = b"KUBUSSNP"
SUFFIX = ".snapshot"
TEMPORARY = "snapshot.tmp"
INCOMING = "incoming.tmp"  # from the leader
SYNC_BYTES = 2 << 20  # synced in pieces, so that a commit's sync waits 2 to 3 ms behind one, and never behind all of it
END = b"end"  # payload of the last frame: without it the file is not whole


def name_of(index: int) -> str:
    return f"{index:016x}{SUFFIX}"


def indexes(disk: Disk) -> list[int]:
    """Return the log indexes of the snapshots that are there, in order."""
    found = []
    for name in disk.names():
        if name.endswith(SUFFIX):
            try:
                found.append(int(name.removesuffix(SUFFIX), 16))
            except ValueError as error:
                raise DataRefused(disk.describe(name), "this is not the name of a snapshot", "Move it away") from error
    return sorted(found)


def write(disk: Disk, index: int, chunks: Iterable[bytes]) -> int:
    """Write the snapshot of everything up to a log index; return its size. NoSpace: there is none."""
    writer = Writer(disk, TEMPORARY)
    try:
        for chunk in chunks:
            writer.write(chunk)
        size_bytes = writer.finish()
        disk.rename(TEMPORARY, name_of(index))
        disk.sync_names()
    except OSError as error:
        if not is_full(error):
            raise
        writer.abandon()
        raise NoSpace(str(error)) from error
    return size_bytes


class Writer:
    """A snapshot that is being written under a temporary name."""

    def __init__(self, disk: Disk, name: str):
        self._disk = disk
        self._name = name
        self._head = frames.Head(MAGIC, secrets.randbits(32), 1)
        self._sequence = self._head.first_sequence
        self._file: File | None = disk.create(name)
        self._file.write_at(0, self._head.pack())
        self._offset = self._synced = frames.HEAD_BYTES

    def write(self, chunk: bytes) -> None:
        assert self._file is not None, "the snapshot is finished"
        frame = frames.pack_frame(self._head.salt, self._sequence, chunk)
        self._file.write_at(self._offset, frame)
        self._offset += len(frame)
        self._sequence += 1
        if self._offset - self._synced >= SYNC_BYTES:
            self._file.sync()
            self._synced = self._offset

    def finish(self) -> int:
        """All of it is there: put it on disk, and return its size."""
        self.write(END)
        assert self._file is not None
        self._file.sync()
        self._close()
        return self._offset

    def abandon(self) -> None:
        """Remove what was written."""
        self._close()
        if self._name in self._disk.names():
            self._disk.remove(self._name)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def read(disk: Disk, name: str) -> Iterator[bytes]:
    """Give the chunks of a snapshot; DataRefused when it is damaged."""
    file = disk.describe(name)
    try:
        head = frames.parse_head(disk.read(name, 0, frames.HEAD_BYTES), MAGIC)
    except frames.NewerFormat as error:
        raise NewerFormat(file, str(error)) from error
    except frames.NotAHead as error:
        raise DataRefused(file, f"this is not a snapshot: {error}", RESTORE, 0) from error
    read_bytes = frames.HEAD_BYTES
    for payload in frames.frames_of(lambda offset, size_bytes: disk.read(name, offset, size_bytes), head):
        if payload == END:
            return
        read_bytes += frames.FRAME_BYTES + len(payload) + -len(payload) % 8
        yield payload
    raise DataRefused(file, "the snapshot is damaged", RESTORE, read_bytes)


def remove_older(disk: Disk, index: int) -> None:
    """Remove the snapshots before an index."""
    for older in indexes(disk):
        if older < index:
            disk.remove(name_of(older))

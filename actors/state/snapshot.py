"""Snapshot files: an image of the state machine on disk, so that the log before it can go.

A snapshot is written under a temporary name, synced, renamed, and its directory synced. So a file with a snapshot's
name is whole; if it is not, it has rotted, and is refused. It can be written in a thread while the log goes on.

Neighbours: `image` gives the chunks; `frames` is the layout; `storage` decides when segments may go.
"""

import itertools
import secrets
from collections.abc import Iterable, Iterator

from actors.state import frames
from actors.state.damage import RESTORE, DataRefused, NewerFormat, NoSpace
from actors.state.disk import Disk, File, closing_file, is_full

MAGIC = b"KUBUSSNP"
SUFFIX = ".snapshot"
TEMPORARY = "snapshot.tmp"
SYNC_BYTES = 8 << 20  # synced in pieces, so that a commit's sync never waits behind all of it
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
    head = frames.Head(MAGIC, secrets.randbits(32), 1)
    try:
        with closing_file(disk.create(TEMPORARY)) as file:
            size_bytes = _fill(file, head, chunks)
        disk.rename(TEMPORARY, name_of(index))
        disk.sync_names()
    except OSError as error:
        if not is_full(error):
            raise
        remove_temporary(disk)
        raise NoSpace(str(error)) from error
    return size_bytes


def _fill(file: File, head: frames.Head, chunks: Iterable[bytes]) -> int:
    file.write_at(0, head.pack())
    offset = synced = frames.HEAD_BYTES
    sequence = head.first_sequence
    for chunk in itertools.chain(chunks, (END,)):
        frame = frames.pack_frame(head.salt, sequence, chunk)
        file.write_at(offset, frame)
        offset += len(frame)
        sequence += 1
        if offset - synced >= SYNC_BYTES:
            file.sync()
            synced = offset
    file.sync()
    return offset


def read(disk: Disk, index: int) -> Iterator[bytes]:
    """Give the chunks of a snapshot; DataRefused when it is damaged."""
    name = name_of(index)
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


def remove_temporary(disk: Disk) -> None:
    """Remove a snapshot that was not finished."""
    if TEMPORARY in disk.names():
        disk.remove(TEMPORARY)

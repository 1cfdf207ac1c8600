"""A disk that is full: logs and notes are lost then, and nothing else; a command says which disk it is.

What a process says and keeps for people must not end what it does for others; so who writes such things asks here
whether an error means just that there is no room, and goes on without them. Data is another matter: see `actors.state`.

A command that makes files can't go on. The kernel's error names no file where a write has failed, so `room_at` says
whose disk is full, and what helps.

Neighbours: `logging`, of the supervisor `journal` and `records`; the commands of `actors.cluster`.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    return error.errno in NO_ROOM


class NoRoom(OSError):
    """A file could not be written because its disk is full. Its text is for the user."""

    def __str__(self) -> str:
        return str(self.strerror)


@contextlib.contextmanager
def room_at(place: Path, remedy: str = "make some there") -> Iterator[None]:
    """Around what writes at a place, or as a decorator: that the disk is full is raised as NoRoom, which says where."""
    try:
        yield
    except NoRoom:
        raise
    except OSError as error:
        if not is_full(error):
            raise
        raise NoRoom(error.errno, f"{_want_of_room(place, error)}: {remedy}") from error


def _want_of_room(place: Path, error: OSError) -> str:
    if error.errno == errno.EDQUOT:
        return f"this user's disk quota is used up at {place}"
    there = next((path for path in (place, *place.parents) if path.exists()), Path("/"))
    disk = os.statvfs(there)
    if disk.f_files and not disk.f_favail and disk.f_bavail:
        return f"no inode is left for a file on the disk of {place} (all {disk.f_files} are taken)"
    size, free = disk.f_frsize * disk.f_blocks, disk.f_frsize * disk.f_bavail
    return f"no room is left on the disk of {place} ({free / 1e6:,.1f} of {size / 1e6:,.1f} MB free)"


class Forbearing:
    """A stream of log lines. Those for which there is no room come late or are lost; it says how many they were."""

    def __init__(self, out: TextIO):
        self._out = out
        self._lost = 0

    def write(self, text: str) -> None:
        if self._lost:
            text = f'{{"event": "lines came late or not at all: the disk was full", "lines": {self._lost}}}\n{text}'
        try:
            self._out.write(text)
            self._out.flush()
        except OSError as error:
            if not is_full(error):
                raise
            self._lost += 1
        else:
            self._lost = 0

    def flush(self) -> None:
        """Each line was flushed when it was written."""

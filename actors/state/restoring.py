"""Data directories for the members of a new group, made of a snapshot that was taken of another one.

The new group is another cluster to the old one's members: its id is made from the snapshot and the members' names, the
same on every machine where the same file is restored for the same members. So each machine makes its own members'
directories, and an old member that is still about cannot take part.

Neighbours: `archive` reads the snapshot; `storage` opens what is made here; the command line calls it.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from actors.state import group, image, snapshot
from actors.state.archive import Archive
from actors.state.damage import NoSpace
from actors.state.disk import DirectoryDisk
from actors.state.group import Group
from actors.state.storage import write_format


class NoRoom(Exception):
    """The disk is full."""


def new_group(archive: Archive, members: Sequence[str]) -> Group:
    """Return the group that a snapshot's state begins anew with."""
    words = "\n".join([archive.digest, *sorted(members)])
    return Group(hashlib.sha256(words.encode()).hexdigest()[:16], dict.fromkeys(members, True))


def restore_member(directory: Path, archive: Archive, begun: Group) -> None:
    """Make one member's directory, which must be new. OSError, NoRoom."""
    restored = archive.restored
    taken = image.capture(restored.machine, restored.term, begun.founders, begun.cluster_id)
    disk = DirectoryDisk(directory)
    try:
        assert not disk.names(), f"{directory} is not new"
        write_format(disk)
        group.write(disk, begun)
        snapshot.write(disk, taken.head.applied, taken.chunks())
    except NoSpace as error:
        raise NoRoom(str(error)) from error
    finally:
        disk.close()

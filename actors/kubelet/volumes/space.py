"""How full the file system of a volume is, as statvfs(2) tells."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Space:
    capacity_bytes: int
    available_bytes: int  # to whoever is not root
    used_bytes: int
    inodes: int
    inodes_free: int

    @property
    def inodes_used(self) -> int:
        return self.inodes - self.inodes_free


def space_of(path: Path) -> Space | None:
    """Return how full it is; None when the path is gone."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return Space(
        capacity_bytes=found.f_blocks * found.f_frsize,
        available_bytes=found.f_bavail * found.f_frsize,
        used_bytes=(found.f_blocks - found.f_bfree) * found.f_frsize,
        inodes=found.f_files,
        inodes_free=found.f_ffree,
    )

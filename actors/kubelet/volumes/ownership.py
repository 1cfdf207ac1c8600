"""Who owns the files of a volume that came with files: fsGroup, applied once or as often as the pod's policy says.

A big volume takes its time, so callers run this in a thread. Source: "Configure volume permission and ownership change
policy" of Kubernetes' documentation.
"""

import os
import stat
from pathlib import Path

SETGID, GROUP_READS_AND_WRITES, GROUP_ENTERS = 0o2000, 0o060, 0o010
ON_ROOT_MISMATCH = "OnRootMismatch"


def give_to_group(root: Path, group: int, policy: str = "Always", readonly: bool = False) -> None:
    """Let a group own, read and (unless read-only) write everything below a directory; links stay as they are."""
    if policy == ON_ROOT_MISMATCH and _is_given(root, group, readonly):
        return
    for folder, names, files in os.walk(root, topdown=False):
        for name in (*files, *names):
            _give(Path(folder) / name, group, readonly)
    _give(root, group, readonly)  # last: what was cut short is seen as not done


def _is_given(root: Path, group: int, readonly: bool) -> bool:
    found = root.stat()
    wanted = _mode(found.st_mode, readonly)
    return found.st_gid == group and found.st_mode & wanted == wanted


def _give(path: Path, group: int, readonly: bool) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        os.chown(path, -1, group, follow_symlinks=False)
        return
    wanted = found.st_mode & 0o7777 | _mode(found.st_mode, readonly)
    if found.st_gid != group:
        os.chown(path, -1, group)
    if found.st_mode & 0o7777 != wanted or found.st_gid != group:  # chown clears the set-gid bit
        path.chmod(wanted)


def _mode(mode: int, readonly: bool) -> int:
    bits = 0o040 if readonly else GROUP_READS_AND_WRITES
    return bits | SETGID | GROUP_ENTERS if stat.S_ISDIR(mode) else bits

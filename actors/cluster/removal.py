"""The hands of `kubus down --purge`: does what `purge.plan` decided, step by step, and tells what failed.

A step that finds its target gone has nothing to do: a purge may be repeated, and may follow one that was interrupted.
"""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from actors.cluster.leftovers import PROGRAM_TIMEOUT_S, parse_mountinfo
from runtime.command import find_program

DEATH_DEADLINE_S = 10.0  # from SIGKILL until a process is gone; only one stuck in the kernel takes longer
DEATH_POLL_S = 0.01
MNT_DETACH = 2  # umount2's flag: take the mount out of the tree now, let go of it when its last user ends
UMOUNT_NOFOLLOW = 8


class RemovalFailed(Exception):
    """Why one thing could not be removed."""


class Verb(Enum):
    KILL = "kill"
    UNMOUNT = "unmount"
    DELETE_LINK = "delete link"
    DELETE_TABLE = "delete nftables table"
    DELETE_RULE = "delete iptables rule"
    REMOVE_CGROUP = "remove cgroup"
    REMOVE_FILE = "remove"
    REMOVE_TREE = "remove tree"


@dataclass(frozen=True, slots=True)
class Action:
    verb: Verb
    target: str

    def __str__(self) -> str:
        return f"{self.verb.value} {self.target}"


def execute(actions: Sequence[Action]) -> list[str]:
    """Do it all; returns what failed, in words. A failure stops nothing but what depends on it."""
    failures = _kill([int(action.target) for action in actions if action.verb is Verb.KILL])
    for action in actions:
        if action.verb is not Verb.KILL:
            try:
                _DO[action.verb](action.target)
            except (OSError, RemovalFailed, subprocess.SubprocessError) as error:
                failures.append(f"{action}: {error}")
    return failures


def _kill(pids: Sequence[int]) -> list[str]:
    """SIGKILL them all and wait until they are gone. A pid is ours: it was read a moment ago, and is never pid 1."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + DEATH_DEADLINE_S
    left = list(pids)
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if _alive(pid)]
        if left:
            time.sleep(DEATH_POLL_S)
    return [f"process {pid} does not end" for pid in left]


def _alive(pid: int) -> bool:
    """Return whether a process still runs; a zombie does not, whoever has to reap it."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _unmount(path: str) -> None:
    """Unmount; what is busy is detached."""
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (UMOUNT_NOFOLLOW, UMOUNT_NOFOLLOW | MNT_DETACH):
        if libc.umount2(os.fsencode(path), flags) == 0:
            return
        code = ctypes.get_errno()
        if code in (errno.EINVAL, errno.ENOENT):
            return  # no longer a mount point: it went with another one
        if code != errno.EBUSY:
            raise OSError(code, os.strerror(code))


def _run(*command: str) -> None:
    program = find_program(command[0])
    if program is None:
        raise RemovalFailed(f"{command[0]} is not installed")
    answer = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S)
    gone = ("Cannot find device", "No such file or directory", "does not exist", "Bad rule")
    if answer.returncode and not any(words in answer.stderr for words in gone):
        raise RemovalFailed(answer.stderr.strip())


def _delete_rule(rule: str) -> None:
    """Delete a rule that `iptables-save` printed as `TABLE -A CHAIN ...`."""
    table, _, *rest = [word.strip('"') for word in rule.split()]
    _run("iptables", "-w", "-t", table, "-D", *rest)


def _remove_cgroup(path: str) -> None:
    deadline = time.monotonic() + DEATH_DEADLINE_S
    while True:
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(DEATH_POLL_S)  # the kernel takes a killed process out of its cgroup a moment later
        else:
            return


def remove_tree(path: str) -> None:
    """Remove a tree, unless something is still mounted in it: that content is not ours to delete."""
    root = Path(path)
    mounted = [
        point
        for point in parse_mountinfo(Path("/proc/self/mountinfo").read_text())
        if point == path or point.startswith(path.rstrip("/") + "/")
    ]
    if mounted:
        raise RemovalFailed(f"{mounted[0]} is still mounted")
    if root.is_symlink() or len(root.parts) < 3:
        raise RemovalFailed("refused: a link, or a folder at the top of the file system")
    if root.exists():
        shutil.rmtree(root)


_DO = {
    Verb.UNMOUNT: _unmount,
    Verb.DELETE_LINK: lambda name: _run("ip", "link", "delete", name),
    Verb.DELETE_TABLE: lambda table: _run("nft", "delete", "table", *table.split()),
    Verb.DELETE_RULE: _delete_rule,
    Verb.REMOVE_CGROUP: _remove_cgroup,
    Verb.REMOVE_FILE: lambda path: Path(path).unlink(missing_ok=True),
    Verb.REMOVE_TREE: remove_tree,
}

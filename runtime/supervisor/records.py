"""Which processes a supervisor started, on disk, so that its successor can end what it left behind.

Normally nothing is left: see `runtime.warm.child`. What is left anyway (a foreign program on a system without the
parent-death signal, an actor stuck in the kernel) would fight its successor over sockets and files.
"""

import os
from pathlib import Path

import msgspec

from runtime.full_disk import is_full
from runtime.supervisor import process

FILE = "children.json"
GONE_DEADLINE_S = 10.0  # from KILL to gone; only a process stuck in the kernel takes longer


class ChildRecord(msgspec.Struct):
    name: str
    pid: int
    started: int


class Records(msgspec.Struct):
    boot: str
    children: list[ChildRecord]


class LeftOver(Exception):
    """A process of the last run does not go away."""


class Recorder:
    """Keeps DATA/children.json up to date."""

    def __init__(self, data_dir: Path):
        self._path = data_dir / FILE
        self._boot = process.boot_id()
        self._children: dict[str, ChildRecord] = {}
        self._is_behind = False  # the file, for want of room

    def end_left_over(self) -> list[str]:
        """Kill what the last supervisor left; return their names. Blocks until they are gone; raises LeftOver."""
        found = [child for child in self._load() if process.kill(child.pid, child.started)]
        for child in found:
            if not process.wait_gone(child.pid, child.started, GONE_DEADLINE_S):
                raise LeftOver(f"{child.name} (pid {child.pid}) of the last run does not end")
        return [child.name for child in found]

    def add(self, name: str, pid: int) -> None:
        self._children[name] = ChildRecord(name, pid, process.start_time(pid))
        self._save()

    def remove(self, name: str) -> None:
        if self._children.pop(name, None) is not None:
            self._save()

    def catch_up(self) -> None:
        """Write what could not be written before."""
        if self._is_behind:
            self._save()

    def started(self, name: str) -> int:
        """Return the start time of a child's process, 0 when there is none."""
        child = self._children.get(name)
        return child.started if child is not None else 0

    def all(self) -> list[ChildRecord]:
        return list(self._children.values())

    def _load(self) -> list[ChildRecord]:
        try:
            records = msgspec.json.decode(self._path.read_bytes(), type=Records)
        except (FileNotFoundError, msgspec.DecodeError):
            return []  # a half-written file can't be: it is replaced whole
        return records.children if records.boot == self._boot else []

    def _save(self) -> None:
        """Write the file; on a full disk it stays as it was until `catch_up`. What it then says of processes that are
        gone harms nobody: a successor looks when they were started."""
        beside = self._path.with_name(FILE + ".new")
        try:
            beside.write_bytes(msgspec.json.encode(Records(self._boot, list(self._children.values()))))
            os.replace(beside, self._path)
        except OSError as error:
            if not is_full(error):
                raise
            self._is_behind = True
        else:
            self._is_behind = False

"""What containerd forgets of a container whose making it did not survive: the shim, its folder, the runtime's record.

A containerd that is killed between making a shim and hearing of its task finds no task when it is back. The sandbox or
container is then removed without its shim, which stays for ever, and holds a cgroup. So whoever removes one looks for
its bundle, the folder that the shim works in. And since a kubelet may die there too, all bundles and shims are looked
through when containerd is back.

Only what is older than the containerd that listens counts, and what it has no record of: anything younger is its own,
and may be in the making.

What can go wrong: containerd may remove the same folder at the same time; what is gone already is well.

Neighbours: `driver` calls; `actors.cluster.leftovers` finds the same things when a whole cluster is purged.
"""

import asyncio
import contextlib
import math
import os
import shutil
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import psutil

from actors.kubelet.containerd import handlers
from actors.kubelet.containerd.places import Places
from actors.kubelet.containerd.proto import containers_pb2
from actors.kubelet.runtime import NotInRuntime, RuntimeRefused, RuntimeUnreachable
from runtime import command

TASKS = "io.containerd.runtime.v2.task/k8s.io"  # below containerd's state and root folders
SHIM = "containerd-shim-runc-v2"
RUNTIME_LIMIT_S = 10.0  # it kills, waits for a moment and removes folders
READ_S = 10.0
SOCKET = "unix://"

Call = Callable[[str, Any, float | None], Awaitable[Any]]


class Remains:
    """Of the containerds before the one that listens on a node's own socket."""

    def __init__(self, call: Call, places: Places):
        self._call, self._places = call, places
        self._bundles = places.state / TASKS
        self._records = {name: places.records_of(name) / "k8s.io" for name in handlers.NAMES}

    async def clear(self, identity: str) -> None:
        """Remove what is left of a container that was removed. Raises RuntimeFault."""
        if self._is_older(self._bundles / identity) and not await self._is_recorded(identity):
            await self._end(identity)

    async def sweep(self, known: Collection[str]) -> list[str]:
        """Remove what is left of all containers that containerd has no record of; return their ids. RuntimeFault."""
        try:
            found = await asyncio.to_thread(self._found)
        except OSError as error:
            raise RuntimeUnreachable(
                f"containerd does not listen at {self._places.socket}: {error.strerror}"
            ) from error
        left = [each for each in sorted(found.difference(known)) if not await self._is_recorded(each)]
        for identity in left:
            await self._end(identity)
        return left

    async def _is_recorded(self, identity: str) -> bool:
        try:
            await self._call("Get", containers_pb2.GetContainerRequest(id=identity), READ_S)
        except NotInRuntime:
            return False
        return True

    async def _end(self, identity: str) -> None:
        for pid, _ in await asyncio.to_thread(self._shims, identity):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        for program, records in self._records.items():
            if not (records / identity).exists():
                continue
            try:
                words = ("--root", str(records), "delete", "--force", identity)
                await command.run(program, *words, deadline_s=RUNTIME_LIMIT_S)
            except command.CommandFailed as error:
                raise RuntimeRefused(f"what is left of container {identity} stays: {error}") from error
        await asyncio.to_thread(self._remove_files, identity)

    def _found(self) -> set[str]:
        """Return the ids of all bundles and shims that are older than this containerd."""
        begun = _began(_listener(self._places.socket))
        found = {identity for pid, identity in self._shims() if _began(pid) < begun}
        if self._bundles.is_dir():
            found |= {path.name for path in self._bundles.iterdir() if self._is_older(path)}
        return found

    def _is_older(self, bundle: Path) -> bool:
        """A bundle's config is written once, as the bundle is made; the folder itself changes later, too."""
        try:
            begun_ns = self._places.socket.stat().st_mtime_ns
        except FileNotFoundError:  # it is away
            return False
        for made in (bundle / "config.json", bundle):
            with contextlib.suppress(FileNotFoundError):
                return made.stat().st_mtime_ns < begun_ns
        return False

    def _shims(self, wanted: str = "") -> list[tuple[int, str]]:
        """Return pid and container of this containerd's shims, or of one container's; by their command lines."""
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(OSError):  # it has ended
                words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
                options = dict(zip(words[1::2], words[2::2], strict=False))
                ours = Path(words[0]).name == SHIM and options.get("-address") == str(self._places.socket)
                if ours and wanted in ("", options.get("-id")):
                    found.append((pid, options.get("-id", "")))
        return found

    def _remove_files(self, identity: str) -> None:
        bundle = self._bundles / identity
        with contextlib.suppress(FileNotFoundError):
            _remove_dead_socket(Path((bundle / "address").read_text().removeprefix(SOCKET)))
        records = [folder / identity for folder in self._records.values()]
        for folder in (self._places.root / TASKS / identity, bundle, *records):
            shutil.rmtree(folder, ignore_errors=True)


def _began(pid: int) -> float:
    """Return when a process began, in the kernel's ticks, which no clock's correction moves; infinity once it ended."""
    try:
        return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return math.inf


def _listener(path: Path) -> int:
    """Return the pid of who listens on a socket. OSError when nobody does."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(path))
        credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[0])


def _remove_dead_socket(path: Path) -> None:
    """Containers share their sandbox's shim: its socket stays while it listens."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            return

"""Calls that outlive the kubelet: containerd ends what it was asked for, although who asked has died.

containerd gives a call up when its connection breaks. For most calls that is well: what was half made is taken back,
and the next kubelet begins again. A start is different: the process may have run its first lines when containerd kills
it, and nobody can tell; the next kubelet would run them a second time. And a sandbox that is given up at the wrong
moment leaves its shim behind, which nobody knows of. So these go over a connection of their own, which a second process
keeps open: a shell that waits for the kubelet's end, and then for as long as a call may take. It needs 0.3 MB of
memory. The next kubelet finds the sandbox or the container in the making, or made.

What can go wrong: both die at once, as when the machine does, or containerd does. Then a start that was under way is
given up after all, and `faults.never_ran` tells the cases that are certain from the others.

Neighbours: `rpc` has the connection; `driver` decides which calls come this way.
"""

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from actors.kubelet.runtime import RuntimeRefused, RuntimeUnreachable
from runtime.background import spawn
from runtime.command import find_program

# Its stdin is a pipe from the kubelet: a line says that the connection is not needed any more, an end without one is
# the kubelet's own. It inherits the connection, and goes when the time is over ($0, s) or containerd has gone ($1).
SCRIPT = 'read -r line || { n=0; while [ $n -lt "$0" ] && kill -0 "$1"; do n=$((n + 1)); sleep 1; done; }'


class Caller(Protocol):
    """What is needed of `rpc.Connection`."""

    async def connect(self, timeout_s: float) -> None: ...

    async def call(self, method: str, request: Any, timeout_s: float) -> Any: ...

    async def close(self, grace_s: float = 0.0) -> None: ...


class OutlivingCalls:
    """One connection with its keeper, made at the first call, and again when either was lost. Calls may overlap."""

    def __init__(self, connection_of: Callable[[Path], Caller], path: Path, limit_s: float):
        """`path` is containerd's socket; no call takes longer than `limit_s`."""
        self._connection_of, self._path, self._limit_s = connection_of, path, limit_s
        self._changing = asyncio.Lock()
        self._connection: Caller | None = None
        self._sockets: dict[int, int] = {}  # descriptor -> inode; one, unless something else connected just then
        self._keeper: asyncio.subprocess.Process | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def call(self, method: str, request: Any, timeout_s: float) -> Any:
        """As `rpc.Connection.call`; raises a RuntimeFault."""
        connection = self._connection
        if connection is None or not self._is_kept():
            async with self._changing:
                if self._connection is None or not self._is_kept():
                    await self._renew(timeout_s)
                connection = self._connection
        assert connection is not None, "it was made above"
        return await connection.call(method, request, timeout_s)

    async def close(self) -> None:
        await self._let_go(0.0)
        if self._closing:
            await asyncio.wait(self._closing)

    def _is_kept(self) -> bool:
        """Tell whether the connection is the one that the keeper has: gRPC replaces a lost one without a word."""
        if self._keeper is None or self._keeper.returncode is not None:
            return False
        return all(_inode(descriptor) == inode for descriptor, inode in self._sockets.items())

    async def _renew(self, timeout_s: float) -> None:
        await self._let_go(self._limit_s)
        before = _sockets_to(str(self._path))
        connection = self._connection_of(self._path)
        try:
            await connection.connect(timeout_s)
            after = _sockets_to(str(self._path))
            sockets = {descriptor: inode for descriptor, inode in after.items() if before.get(descriptor) != inode}
            self._keeper = await _keeper_of(list(sockets), self._limit_s)
        except BaseException:
            await connection.close()
            raise
        self._connection, self._sockets = connection, sockets

    async def _let_go(self, grace_s: float) -> None:
        """Give up connection and keeper, once the calls that are under way have ended."""
        if self._connection is not None:
            closing = spawn(self._connection.close(grace_s), "closing a connection to containerd")
            self._connection = None
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None, "a keeper listens"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # somebody has killed it
            keeper.stdin.write(b"\n")
            await keeper.stdin.drain()
        keeper.stdin.close()
        await keeper.wait()


async def _keeper_of(sockets: list[int], limit_s: float) -> asyncio.subprocess.Process:
    """Start the process that keeps sockets open. RuntimeRefused when there can't be one."""
    if not sockets:
        raise RuntimeUnreachable("the connection to containerd was lost at once")
    shell = find_program("sh")
    if shell is None:
        raise RuntimeRefused("sh is not installed: nothing keeps a start alive while the kubelet dies")
    words = ["-c", SCRIPT, str(round(limit_s)), str(_peer(sockets[0]))]
    silent = asyncio.subprocess.DEVNULL
    try:
        return await asyncio.create_subprocess_exec(
            shell, *words, stdin=asyncio.subprocess.PIPE, stdout=silent, stderr=silent, pass_fds=sockets,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise RuntimeRefused(f"no process could be started: {error.strerror}") from error


def _peer(descriptor: int) -> int:
    """Return the pid of the process that a socket is connected to."""
    with socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as copy:
        credentials = copy.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def _sockets_to(path: str) -> dict[int, int]:
    """Return this process's sockets that are connected to a path: descriptor -> inode."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        inode = _inode(int(name))
        if not inode:
            continue
        with socket.fromfd(int(name), socket.AF_UNIX, socket.SOCK_STREAM) as copy, contextlib.suppress(OSError):
            if copy.getpeername() == path:  # OSError: it is connected to nothing
                found[int(name)] = inode
    return found


def _inode(descriptor: int) -> int:
    """Return the inode of a socket; 0 when the descriptor is closed, or something else."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return 0
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else 0

"""The supervisor's end of a warm parent: start it, ask it for children, hear of their ends.

Each warm parent is a generation of its own, with its own lifeline: `close` ends it and every actor that it forked.
Making a link starts the process, which needs no loop, so that it imports while the supervisor still gets ready itself.
After `attach`, `on_message` gets what it says, in order; `on_lost` is called once when it is gone and reaped.

Neighbours: `parent` is the process, `messages` what is said; `runtime.supervisor.shell` owns the link.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import runtime
from runtime.warm.messages import LENGTH, Begin, FromParent, StartActor, StartCommand, from_parent, pack

if TYPE_CHECKING:
    import asyncio  # at run time where a loop is: a start can't wait for its import

BOOT = """\
import sys
if sys.argv[3] not in sys.path: sys.path.insert(0, sys.argv[3])
from runtime.warm.parent import main
main()
"""
ROOT = str(Path(runtime.__file__).resolve().parent.parent)  # where the packages are, installed or in a checkout

# Threads of numeric libraries would not survive the fork; more malloc arenas than this are memory that nobody uses.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONUNBUFFERED": "1",
}


def _for_the_owner_only(path: str, flags: int) -> int:
    """Open a log: what is logged is nobody else's business."""
    return os.open(path, flags, 0o600)


class WarmLink:
    """One warm parent process, as the supervisor sees it."""

    def __init__(self, log_path: Path, preload: Sequence[str] = ()):
        self._on_message: Callable[[FromParent], None]
        self._on_lost: Callable[[WarmLink, str], None]
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        command = [sys.executable, "-P", "-c", BOOT, str(theirs.fileno()), str(lifeline), ROOT]
        with theirs, open(log_path, "ab", opener=_for_the_owner_only) as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, **ENVIRONMENT},
                pass_fds=(theirs.fileno(), lifeline),
                start_new_session=True,
            )
        os.close(lifeline)
        ours.sendall(pack(Begin([path for path in sys.path if path], list(preload))))
        self._pair = ours
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def pid(self) -> int:
        return self.process.pid

    async def attach(
        self, on_message: Callable[[FromParent], None], on_lost: Callable[["WarmLink", str], None]
    ) -> None:
        """Begin to listen, inside a running loop; Ready arrives as its first message."""
        import asyncio

        self._on_message = on_message
        self._on_lost = on_lost
        reader, self._writer = await asyncio.open_connection(sock=self._pair)
        self._reading = asyncio.create_task(self._read(reader), name="warm-link")

    def send(self, message: StartActor | StartCommand) -> None:
        """Queue a message. One that is lost because the warm parent died is covered by `on_lost`."""
        assert self._writer is not None, "send before attach"
        self._writer.write(pack(message))

    def kill(self) -> None:
        """End a warm parent that hangs; `on_lost` follows."""
        self.process.kill()

    def end(self) -> None:
        """`close` for a link that was never attached; blocks."""
        self._cut()
        self.process.kill()
        self.process.wait()

    async def close(self) -> None:
        """End the warm parent, and with the lifeline every actor of it that is left."""
        self._closing = True
        self._cut()
        if self._reading is not None:
            await self._reading
        else:
            await self._reap()

    async def _read(self, reader: "asyncio.StreamReader") -> None:
        import asyncio

        while True:
            try:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                body = await reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            self._on_message(from_parent.decode(body))
        self._cut()
        code = await self._reap()
        if not self._closing:
            self._on_lost(self, f"signal {-code}" if code < 0 else f"exit code {code}")

    def _cut(self) -> None:
        if self._writer is not None:
            self._writer.close()
        else:
            self._pair.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    async def _reap(self) -> int:
        """It exits by itself when the pair closes; one that is stopped or stuck is killed."""
        import asyncio

        try:
            return await asyncio.to_thread(self.process.wait, 1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return await asyncio.to_thread(self.process.wait)

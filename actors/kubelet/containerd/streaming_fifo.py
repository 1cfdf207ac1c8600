"""FIFOs as the stdio of a command: this end, without blocking, and in the order in which the shim opens its own.

Outputs are opened for reading before the command is created, so that the shim's opening for writing never waits, and
nothing is lost between. The input is opened for writing in a thread, which waits until the shim has it open: a writer
that came and went before would never have been seen.

What can go wrong: the shim dies; then reading ends and writing fails, as with any pipe.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from actors.kubelet.streaming.process import Piece, Stdio

PIPE_BYTES = 256 * 1024  # of a FIFO's buffer, where the kernel lets us; the default of 64 KiB costs more wakes
READ_BYTES = 128 * 1024  # at a time


class Fifos:
    """The FIFOs of one command, in a folder of their own. Make, `open_outputs`, create, start, `open_input`."""

    def __init__(self, folder: Path, stdio: Stdio):
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self.stdin = str(folder / "stdin") if stdio.stdin else ""
        self.stdout = str(folder / "stdout") if stdio.stdout else ""
        self.stderr = str(folder / "stderr") if stdio.stderr else ""
        self._outputs: dict[int, bool] = {}  # descriptor -> is it stderr
        self._input = -1
        self._opening: asyncio.Future[int] | None = None

    @staticmethod
    def of(folder: Path) -> "Fifos":
        """Return what is left of a command's FIFOs: only `close` makes sense."""
        return Fifos(folder, Stdio(stdin=False, stdout=False, stderr=False, tty=False))

    def make(self) -> None:
        self._folder.mkdir(parents=True, mode=0o700)
        for path in (self.stdin, self.stdout, self.stderr):
            if path:
                os.mkfifo(path, 0o600)
        for path, is_stderr in ((self.stdout, False), (self.stderr, True)):
            if path:
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                self._outputs[descriptor] = is_stderr
                with contextlib.suppress(OSError):  # beyond the user's limit of pipe memory: a smaller one does
                    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    # -- output

    async def read(self) -> Piece | None:
        """Return what one of the outputs has; None when both have ended. Only once the shim has opened its ends."""
        while self._outputs:
            for descriptor, is_stderr in list(self._outputs.items()):
                try:
                    data = os.read(descriptor, READ_BYTES)
                except BlockingIOError:
                    continue
                if not data:
                    del self._outputs[descriptor]
                    os.close(descriptor)
                    continue
                if len(self._outputs) > 1:  # the other one is looked at first next time
                    self._outputs[descriptor] = self._outputs.pop(descriptor)
                return Piece(data, is_stderr)
            if self._outputs:
                await self._readable()
        return None

    async def _readable(self) -> None:
        woken = self._loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        descriptors = list(self._outputs)
        for descriptor in descriptors:
            self._loop.add_reader(descriptor, wake)
        try:
            await woken
        finally:
            for descriptor in descriptors:
                self._loop.remove_reader(descriptor)

    # -- input

    def open_input(self) -> None:
        """Begin to open the input, which is done when the shim has opened its end."""
        if self.stdin:
            self._opening = self._loop.run_in_executor(None, os.open, self.stdin, os.O_WRONLY | os.O_CLOEXEC)

    async def write(self, data: bytes) -> None:
        """Write all; BrokenPipeError when nobody reads any more."""
        await self._await_input()
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._input, view)
            except BlockingIOError:
                await self._writable()
            else:
                view = view[written:]

    async def end_input(self) -> None:
        """Close the input, after all that was written."""
        await self._await_input()
        self._close_input()

    async def _await_input(self) -> None:
        if self._opening is not None:
            descriptor = await asyncio.shield(self._opening)
            if self._opening is not None:
                self._opening = None
                self._input = descriptor
                os.set_blocking(descriptor, False)
        if self._input < 0:
            raise BrokenPipeError("stdin is closed")

    async def _writable(self) -> None:
        woken = self._loop.create_future()
        descriptor = self._input

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        self._loop.add_writer(descriptor, wake)
        try:
            await woken
        finally:
            self._loop.remove_writer(descriptor)

    def _close_input(self) -> None:
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    # -- the end

    async def close(self) -> None:
        """Close and remove everything. Idempotent."""
        if self._opening is not None:
            opening, self._opening = self._opening, None
            reader = os.open(self.stdin, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.close(await opening)  # where the shim never opened its end, ours lets the waiting thread go on
            os.close(reader)
        self._close_input()
        for descriptor in self._outputs:
            os.close(descriptor)
        self._outputs.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

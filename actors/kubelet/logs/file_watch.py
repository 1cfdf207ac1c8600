"""Waiting until a file grows, is renamed or removed: inotify, without a process or a thread.

Where the system has no inotify, or its limit of watches is reached, a pause stands in for it.
"""

import asyncio
import ctypes
import os
import sys
from pathlib import Path
from types import TracebackType

IN_MODIFY, IN_ATTRIB, IN_DELETE_SELF, IN_MOVE_SELF = 0x2, 0x4, 0x400, 0x800
IN_NONBLOCK, IN_CLOEXEC = os.O_NONBLOCK, getattr(os, "O_CLOEXEC", 0)
POLL_S = 0.2  # between looks where there is no inotify
EVENT_BYTES = 4096


class FileWatch:
    """`async with FileWatch(path) as watch: await watch.changed()`. Changes before the first wait are not lost."""

    def __init__(self, path: Path):
        self._path = path
        self._handle = -1
        self._changed = asyncio.Event()

    async def __aenter__(self) -> "FileWatch":
        if sys.platform == "linux":
            self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def changed(self) -> None:
        """Return when the file has changed since the last call."""
        if self._handle < 0:
            await asyncio.sleep(POLL_S)
            return
        await self._changed.wait()
        self._changed.clear()

    def wake(self) -> None:
        """Make `changed` return: something else than the file has changed."""
        self._changed.set()

    def _open(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        handle = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
        if handle < 0:
            return
        mask = IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF
        if libc.inotify_add_watch(handle, os.fsencode(self._path), mask) < 0:
            os.close(handle)
            return
        self._handle = handle
        asyncio.get_running_loop().add_reader(handle, self._on_readable)

    def _on_readable(self) -> None:
        try:
            os.read(self._handle, EVENT_BYTES)
        except BlockingIOError:
            return
        self._changed.set()

    def _close(self) -> None:
        if self._handle >= 0:
            asyncio.get_running_loop().remove_reader(self._handle)
            os.close(self._handle)
            self._handle = -1

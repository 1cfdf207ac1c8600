"""A log of lines that rotates: written in batches off the loop, bounded in memory and on disk.

A line that is told is on its way: it is written within FLUSH_S, and at the end of the process. When the disk is slower
than the events come, lines beyond MAX_WAITING_BYTES are dropped and counted; requests don't wait for their log.

Neighbours: `auditor` appends.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from runtime.clock import Clock

FLUSH_S = 0.5
MAX_WAITING_BYTES = 64 << 20
DAY_S = 86_400
MODE = 0o600  # it holds what people did, and maybe what they wrote


class RotatingFile:
    """`path`, and beside it the older ones as NAME-TIME.SUFFIX. Limits of 0 don't apply."""

    def __init__(self, path: Path, clock: Clock, *, max_bytes: int, max_backups: int, max_age_days: int) -> None:
        self._path = path
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_backups = max_backups
        self._max_age_s = max_age_days * DAY_S

    def write(self, lines: bytes) -> None:
        """Append; rotate first when the file would become too large. Raises OSError."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            size = 0
        if self._max_bytes and size and size + len(lines) > self._max_bytes:
            self._rotate()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, MODE)
        with os.fdopen(descriptor, "ab") as file:
            file.write(lines)

    def _rotate(self) -> None:
        now = self._clock.wall()
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}"
        target, number = self._beside(stamp), 0
        while target.exists():
            number += 1
            target = self._beside(f"{stamp}.{number}")
        self._path.rename(target)
        self._prune(now)

    def _prune(self, now: float) -> None:
        """Remove the oldest beyond the limits of number and age."""
        old = sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}"), reverse=True)
        for number, path in enumerate(old):
            too_many = bool(self._max_backups) and number >= self._max_backups
            too_old = bool(self._max_age_s) and path.stat().st_mtime < now - self._max_age_s
            if too_many or too_old:
                path.unlink(missing_ok=True)

    def _beside(self, stamp: str) -> Path:
        return self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")


class LineWriter:
    """Collects lines and writes them from a thread, a batch at a time."""

    def __init__(self, file: RotatingFile, log: Any) -> None:
        self._file = file
        self._log = log
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self.written = 0
        self.dropped = 0

    def append(self, line: bytes) -> None:
        if self._waiting_bytes + len(line) > MAX_WAITING_BYTES:
            self.dropped += 1
            return
        self._lines.append(line)
        self._waiting_bytes += len(line)

    async def run(self) -> None:
        """Write what has come, each FLUSH_S; for ever."""
        while True:
            await asyncio.sleep(FLUSH_S)
            if self._lines:
                await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Write all that waits. A disk that refuses costs the lines of this batch, loudly."""
        lines, self._lines = self._lines, []
        self._waiting_bytes = 0
        if not lines:
            return
        try:
            self._file.write(b"".join(lines))
            self.written += len(lines)
        except OSError as error:
            self.dropped += len(lines)
            self._log.error("audit events are lost", count=len(lines), error=str(error))

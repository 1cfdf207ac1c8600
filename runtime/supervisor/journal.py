"""The supervisor's own log, and the limit on everybody's.

Children write to their logs with O_APPEND, so a log that grew too long can be copied aside and cut to nothing while
they write; lines written between the copy and the cut are lost. One old part is kept.
"""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from runtime.full_disk import is_full

MAX_LOG_BYTES = 32 * 1024 * 1024  # of one actor: a day of busy logging; past it the log is turned over
ROTATE_EVERY_S = 60.0


class Journal:
    """JSON lines in DATA/logs/supervisor.log, in the form of every actor's."""

    def __init__(self, path: Path):
        self._out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lost = 0  # lines, for want of room

    def write(self, event: str, level: str = "info", **fields: Any) -> None:
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = {"actor": "supervisor", **fields, "event": event, "level": level, "timestamp": moment}
        if self._lost:
            line["lost_lines_before"] = self._lost
        self._lost = 0 if self._append(msgspec.json.encode(line) + b"\n") else self._lost + 1

    def _append(self, line: bytes) -> bool:
        """Write a whole line, or return False: what the supervisor does must not hang on whether it can be told."""
        try:
            written = os.write(self._out, line)
        except OSError as error:
            if not is_full(error):
                raise
            return False
        if written < len(line):
            os.ftruncate(self._out, os.fstat(self._out).st_size - written)
        return written == len(line)

    def close(self) -> None:
        os.close(self._out)


def turn_over(directory: Path, limit_bytes: int = MAX_LOG_BYTES) -> list[str]:
    """Cut each log of a directory that is longer than the limit; return their names. On a full disk nothing is kept of
    what is cut off, which makes room."""
    cut = []
    for path in directory.glob("*.log"):
        if path.stat().st_size > limit_bytes:
            _keep(path, path.with_name(path.name + ".1"))
            os.truncate(path, 0)
            cut.append(path.name)
    return cut


def _keep(path: Path, old: Path) -> None:
    try:
        shutil.copyfile(path, old)
    except OSError as error:
        if not is_full(error):
            raise
        old.unlink(missing_ok=True)

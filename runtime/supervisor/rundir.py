"""Where a cluster's sockets are: DATA/run, or a short directory when their paths would be too long for the kernel.

Both `prepare` (the supervisor) and `find` (the command line) come to the same place from the data directory alone: a
short directory's name is made from the data directory's, and DATA/run.path records it.
"""

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bus.address import MAX_IPC_PATH_BYTES, SOCKETS
from runtime.supervisor.datadir import DataDirError

RECORD = "run.path"
MODE = 0o700  # who can enter can speak for any actor


class RunDirError(DataDirError):
    """No safe place for sockets."""


def prepare(data_dir: Path, names: Iterable[str]) -> Path:
    """Return a directory of mode 0700 in which every actor's socket fits. The caller holds the data dir's lock."""
    longest = max((len(os.fsencode(f"/{name}.{socket}")) for name in names for socket in SOCKETS), default=0)
    run_dir = data_dir / "run"
    record = data_dir / RECORD
    if len(os.fsencode(run_dir)) + longest > MAX_IPC_PATH_BYTES:
        run_dir = _short(data_dir)
        record.write_text(f"{run_dir}\n")
    else:
        record.unlink(missing_ok=True)
    _make(run_dir)
    for left_over in run_dir.iterdir():
        if left_over.is_socket():
            left_over.unlink()
    return run_dir


def find(data_dir: Path) -> Path:
    """Return the run directory of a cluster that runs, or ran, on a data directory."""
    record = data_dir / RECORD
    try:
        return Path(record.read_text().strip())
    except FileNotFoundError:
        return data_dir / "run"


def _short(data_dir: Path) -> Path:
    tag = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()[:12]
    if os.geteuid() == 0 and sys.platform == "linux" and os.path.isdir("/run"):
        return Path("/run") / f"kubus-{tag}"
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"kubus-{os.geteuid()}-{tag}"


def _make(run_dir: Path) -> None:
    """Make it, and refuse one that somebody else put there first."""
    try:
        run_dir.mkdir(mode=MODE, exist_ok=True)
        status = os.lstat(run_dir)
    except OSError as error:
        raise RunDirError(f"run directory {run_dir}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise RunDirError(f"run directory {run_dir} belongs to somebody else")
    os.chmod(run_dir, MODE)

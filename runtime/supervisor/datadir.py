"""A cluster's data directory: private, and used by one supervisor at a time.

The lock is the kernel's, so that it is free the moment its holder is dead, however it died. The file holds the
supervisor's pid for whoever finds it locked.
"""

import errno
import fcntl
import os
from pathlib import Path

from runtime.full_disk import room_at

LOCK = "lock"
TAKE_ATTEMPTS = 10
MODE = 0o700  # it holds private keys and everybody's Secrets
REMEDY = "make some there, or name another --data-dir"


class DataDirError(Exception):
    """A data directory that can't be used, and why."""


class DataDirInUse(DataDirError):
    """Another Kubus runs on it."""

    def __init__(self, path: Path, pid: int):
        super().__init__(f"data directory {path} is in use by another Kubus (pid {pid or 'unknown'})")
        self.pid = pid


class DataDir:
    """A data directory that this process holds the lock of."""

    def __init__(self, path: Path):
        """Make it if need be, and lock it. Raises DataDirInUse, DataDirError."""
        self.path = Path(os.path.abspath(path))
        try:
            with room_at(self.path, REMEDY):
                self._make()
                self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirError(f"data directory {self.path}: {error.strerror}") from error
        try:
            self._take()
            self._settle()
        except (OSError, DataDirError):
            os.close(self._lock)
            raise

    def close(self) -> None:
        os.close(self._lock)

    def _take(self) -> None:
        """Lock it. A `holder` that looks at just this moment holds it too, for microseconds: so a few attempts."""
        for _ in range(TAKE_ATTEMPTS):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise DataDirError(f"cannot lock {self.path / LOCK}: {error.strerror}") from error
                pid = holder(self.path)
                if pid:
                    raise DataDirInUse(self.path, pid) from error
            else:
                return
        raise DataDirInUse(self.path, 0)

    def _settle(self) -> None:
        """Write down who holds it."""
        try:
            with room_at(self.path, REMEDY):
                os.ftruncate(self._lock, 0)
                os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
                (self.path / "logs").mkdir(mode=MODE, exist_ok=True)
        except OSError as error:
            raise DataDirError(f"data directory {self.path}: {error.strerror}") from error

    def _make(self) -> None:
        self.path.mkdir(mode=MODE, parents=True, exist_ok=True)
        stranger = not (self.path / LOCK).exists() and next(self.path.iterdir(), None) is not None
        if stranger:
            raise DataDirError(f"{self.path} is neither empty nor a data directory of Kubus; name another")
        os.chmod(self.path, MODE)


def holder(path: Path) -> int:
    """Return the pid of the supervisor that holds a data directory, 0 when nobody does."""
    try:
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        content = os.pread(descriptor, 32, 0).strip()
        return int(content) if content.isdigit() else 0
    else:
        return 0
    finally:
        os.close(descriptor)

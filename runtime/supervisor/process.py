"""What the operating system knows of a process: whether it is still the same one, its memory, its end.

A process id alone says little, for the kernel gives it to somebody else later; with the start time it names one process
for as long as the machine runs. Linux tells through /proc; elsewhere psutil does.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_LINUX = sys.platform == "linux"
POLL_S = 0.005  # between looks at a process that was killed and is not a child of this one
_STATE, _START = 0, 19  # fields of /proc/PID/stat, counted from the one behind the command's closing bracket


def start_time(pid: int) -> int:
    """Return when a process started, as a number that only serves to compare; 0 when there is no such process."""
    return _start_time_linux(pid) if _LINUX else _start_time_elsewhere(pid)


def pss_bytes(pid: int) -> int:
    """Return the memory of a process, shared pages counted in parts (elsewhere than on Linux: its resident memory)."""
    try:
        if not _LINUX:
            return _psutil(pid).memory_info().rss
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, LookupError):
        return 0
    return 0


def kill(pid: int, started: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal to this very process; return False when it is not there any more."""
    if not started or start_time(pid) != started:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_gone(pid: int, started: int, timeout_s: float) -> bool:
    """Block until a process is gone; return False when it is still there after the timeout."""
    until = time.monotonic() + timeout_s
    while start_time(pid) == started:
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_S)
    return True


def boot_id() -> str:
    """Return what changes with each boot of the machine, or nothing where that is unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time_linux(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[_STATE] in (b"Z", b"X") else int(fields[_START])


def _start_time_elsewhere(pid: int) -> int:
    try:
        process = _psutil(pid)
        return 0 if process.status() == "zombie" else int(process.create_time() * 1000)
    except LookupError:
        return 0


def _psutil(pid: int) -> Any:
    import psutil

    try:
        return psutil.Process(pid)
    except psutil.Error as error:
        raise LookupError(f"no process {pid}") from error

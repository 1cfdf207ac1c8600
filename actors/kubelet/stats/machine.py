"""Usage of the machine as a whole, where psutil knows it; what it does not know is 0."""

import contextlib
import os
import shutil
from pathlib import Path

import psutil

from actors.api.meta import rfc3339
from actors.kubelet.stats.usage import NS_PER_S, Disk, NodeUsage, Usage

PID_MAX = Path("/proc/sys/kernel/pid_max")
_BOOTED = rfc3339(psutil.boot_time())


def node_usage(data_dir: Path) -> NodeUsage:
    """Measure. Idle and waiting time are no use of a CPU; what is available of memory is no part of a working set."""
    memory = psutil.virtual_memory()
    times = psutil.cpu_times()
    busy_s = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    working_set = memory.total - memory.available
    usage = Usage(
        cpu_ns=int(busy_s * NS_PER_S),
        working_set_bytes=working_set,
        usage_bytes=memory.total - memory.free,
        rss_bytes=working_set,
        processes=_processes(),
    )
    return NodeUsage(
        usage=usage,
        available_bytes=memory.available,
        capacity_bytes=memory.total,
        disk=disk_of(data_dir),
        max_pids=max_pids(),
        booted=_BOOTED,
        cpus=psutil.cpu_count() or 1,
    )


def disk_of(path: Path) -> Disk:
    """Return the file system that a path is on; inodes are 0 where it does not count them."""
    usage = shutil.disk_usage(path)
    if not hasattr(os, "statvfs"):
        return Disk(usage.total, usage.free)
    counted = os.statvfs(path)
    return Disk(usage.total, usage.free, counted.f_files, counted.f_favail)


def max_pids() -> int:
    try:
        return int(PID_MAX.read_text())
    except (OSError, ValueError):
        return 0


def _processes() -> int:
    """Count threads too, as the kernel's limit does: the second number of the fourth field of /proc/loadavg."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return len(psutil.pids())


def directory_bytes(path: Path) -> int:
    """Return the bytes that the files below a directory take up on the disk. Slow for many files: use a thread.

    Files may come and go meanwhile: one that has just gone takes up nothing, and says nothing of those beside it.
    """
    total = 0
    pending = [path]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:  # or nobody may look into it
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total

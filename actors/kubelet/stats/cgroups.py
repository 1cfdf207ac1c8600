"""Usage of one cgroup, out of the kernel's files: v1's hierarchies by controller, or v2's single one.

A cgroup that went away between being listed and being read is None, as is one whose controllers are not there.
"""

from pathlib import Path

from actors.kubelet.containerd.machine import CGROUP_ROOT
from actors.kubelet.stats.usage import Usage

NS_PER_US = 1000


class CgroupReader:
    def __init__(self, root: Path = CGROUP_ROOT):
        self._root = root
        self.unified = (root / "cgroup.controllers").exists()

    def read(self, cgroup: str) -> Usage | None:
        """Return what a cgroup uses; `cgroup` is its path below the root of every hierarchy."""
        path = cgroup.lstrip("/")
        try:
            return self._read_v2(self._root / path) if self.unified else self._read_v1(path)
        except OSError:
            return None

    def process(self, cgroup: str) -> int:
        """Return the pid of a process in a cgroup; 0 when there is none."""
        folder = self._root if self.unified else self._root / "cpuacct"
        try:
            with open(folder / cgroup.lstrip("/") / "cgroup.procs", "rb", buffering=0) as file:
                return int(file.read(64).split(b"\n")[0] or 0)
        except OSError:
            return 0

    def _read_v1(self, path: str) -> Usage:
        memory = self._root / "memory" / path
        stat = _fields(memory / "memory.stat")
        usage = _number(memory / "memory.usage_in_bytes")
        return Usage(
            cpu_ns=_number(self._root / "cpuacct" / path / "cpuacct.usage"),
            working_set_bytes=max(0, usage - stat.get("total_inactive_file", 0)),
            usage_bytes=usage,
            rss_bytes=stat.get("total_rss", 0),
            page_faults=stat.get("total_pgfault", 0),
            major_page_faults=stat.get("total_pgmajfault", 0),
            processes=_processes(self._root / "pids" / path / "pids.current"),
        )

    def _read_v2(self, path: Path) -> Usage:
        stat = _fields(path / "memory.stat")
        usage = _number(path / "memory.current")
        return Usage(
            cpu_ns=_fields(path / "cpu.stat").get("usage_usec", 0) * NS_PER_US,
            working_set_bytes=max(0, usage - stat.get("inactive_file", 0)),
            usage_bytes=usage,
            rss_bytes=stat.get("anon", 0),
            page_faults=stat.get("pgfault", 0),
            major_page_faults=stat.get("pgmajfault", 0),
            processes=_processes(path / "pids.current"),
        )


def _number(path: Path) -> int:
    with open(path, "rb", buffering=0) as file:
        return int(file.read())


def _processes(path: Path) -> int:
    """Not every cgroup has the pids controller."""
    return _number(path) if path.exists() else 0


def _fields(path: Path) -> dict[str, int]:
    """Return a file of `name number` lines."""
    with open(path, "rb", buffering=0) as file:
        text = file.read(65_536).decode()
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isdigit():
            found[name] = int(value)
    return found

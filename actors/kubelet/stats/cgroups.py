"""Usage of one cgroup, out of the kernel's files: v1's hierarchies by controller, or v2's single one.

A cgroup that went away between being listed and being read is None, as is one whose controllers are not there.
"""

from collections import Counter
from pathlib import Path

from actors.kubelet.containerd.machine import CGROUP_ROOT
from actors.kubelet.stats.usage import Usage, Work

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

    def work(self, cgroup: str) -> Work:
        """Return what a cgroup has done besides; what its kernel does not count is 0."""
        path = cgroup.lstrip("/")
        cpu = _fields_if_any((self._root if self.unified else self._root / "cpu") / path / "cpu.stat")
        throttled_ns = cpu.get("throttled_time", 0) or cpu.get("throttled_usec", 0) * NS_PER_US
        limits = (cpu.get("nr_periods", 0), cpu.get("nr_throttled", 0), throttled_ns)
        if self.unified:
            return Work(*limits, *_io_of_v2(self._root / path / "io.stat"))
        folder = self._root / "blkio" / path
        served, done = (
            _io_of_v1(folder / "blkio.throttle.io_service_bytes"),
            _io_of_v1(folder / "blkio.throttle.io_serviced"),
        )
        return Work(*limits, *done, *served)

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
            cache_bytes=stat.get("total_cache", 0),
            swap_bytes=stat.get("total_swap", 0),
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
            cache_bytes=stat.get("file", 0),
            swap_bytes=_number(path / "memory.swap.current") if (path / "memory.swap.current").exists() else 0,
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


def _fields_if_any(path: Path) -> dict[str, int]:
    try:
        return _fields(path)
    except OSError:
        return {}


def _io_of_v1(path: Path) -> tuple[int, int]:
    """Return (reads, writes) over all devices, out of lines as `8:0 Read 4096`."""
    words = [line.split() for line in _text_if_any(path).splitlines()]
    found = [(fields[1], int(fields[2])) for fields in words if len(fields) == 3]
    return sum(n for kind, n in found if kind == "Read"), sum(n for kind, n in found if kind == "Write")


def _io_of_v2(path: Path) -> tuple[int, int, int, int]:
    """Return (reads, writes, bytes read, bytes written), out of lines as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0`."""
    pairs = [word.split("=") for line in _text_if_any(path).splitlines() for word in line.split()[1:]]
    total: Counter[str] = Counter()
    for pair in pairs:
        if len(pair) == 2:
            total[pair[0]] += int(pair[1])
    return total["rios"], total["wios"], total["rbytes"], total["wbytes"]


def _text_if_any(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

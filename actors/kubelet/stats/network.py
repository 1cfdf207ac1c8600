"""What has passed through the interfaces of a pod, or of the node: the kernel's counters of a network namespace.

A namespace is read through a process that is in it: the pod's pause process, which its cgroup names. A pod on the
node's own network has no counters of its own.
"""

from pathlib import Path

from actors.kubelet.stats.usage import Interface

PROC = Path("/proc")
HEADER_LINES = 2
LOOPBACK = "lo"
RX_BYTES, RX_PACKETS, RX_ERRORS, RX_DROPPED = range(4)  # columns of /proc/PID/net/dev, see proc(5)
TX_BYTES, TX_PACKETS, TX_ERRORS, TX_DROPPED = range(8, 12)
COLUMNS = (RX_BYTES, RX_ERRORS, TX_BYTES, TX_ERRORS, RX_PACKETS, RX_DROPPED, TX_PACKETS, TX_DROPPED)  # as Interface
MAX_BYTES = 1 << 20  # of the file: thousands of interfaces


def interfaces(pid: int | str, proc: Path = PROC) -> tuple[Interface, ...]:
    """Return the interfaces that a process sees, without loopback; none when it has ended."""
    try:
        with open(proc / str(pid) / "net" / "dev", "rb", buffering=0) as file:
            return parse(file.read(MAX_BYTES).decode())
    except OSError:
        return ()


def parse(text: str) -> tuple[Interface, ...]:
    found = []
    for line in text.splitlines()[HEADER_LINES:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        if name.strip() != LOOPBACK and len(fields) > TX_DROPPED:
            found.append(Interface(name.strip(), *(int(fields[column]) for column in COLUMNS)))
    return tuple(found)

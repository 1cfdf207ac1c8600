"""What has passed through the interfaces of a pod, or of the node: the kernel's counters of a network namespace.

A namespace is read through a process that is in it: the pod's pause process, which its cgroup names. A pod on the
node's own network has no counters of its own.
"""

from pathlib import Path

from actors.kubelet.stats.usage import Interface

PROC = Path("/proc")
HEADER_LINES = 2
LOOPBACK = "lo"
RX_BYTES, RX_ERRORS, TX_BYTES, TX_ERRORS = 0, 2, 8, 10  # columns of /proc/PID/net/dev, see proc(5)
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
        if name.strip() != LOOPBACK and len(fields) > TX_ERRORS:
            counted = (int(fields[column]) for column in (RX_BYTES, RX_ERRORS, TX_BYTES, TX_ERRORS))
            found.append(Interface(name.strip(), *counted))
    return tuple(found)

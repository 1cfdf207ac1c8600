"""What containers need of a machine, looked up: programs, plugins, a static busybox, capabilities, cgroups.

Nothing here is judged or changed. The node's containerd is set up by what is found, `kubus doctor` and
`kubus up --install-missing` tell of what is not.

Neighbours: `child` and `importer` use it for the node, `actors.cluster.doctor` and `install` for the user.
"""

import os
import re
import struct
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
BUSYBOX_PATHS = ("/bin/busybox", "/usr/bin/busybox")
CNI_BIN_DIRS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")  # upstream's, Debian's and Fedora's
CNI_PLUGINS = ("bridge", "host-local", "loopback")

CAP_SYS_RESOURCE = 24  # linux/capability.h


def find_cni_dir() -> str | None:
    """Return the first folder that holds every CNI plugin that a node needs."""
    for folder in CNI_BIN_DIRS:
        if all(os.access(os.path.join(folder, plugin), os.X_OK) for plugin in CNI_PLUGINS):
            return folder
    return None


def parse_version(text: str) -> tuple[int, int]:
    """Return (major, minor) out of what `containerd --version` prints; (0, 0) when it holds none."""
    found = re.search(r"\bv?(\d+)\.(\d+)\.\d+", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def holds_capability(number: int, status: str) -> bool:
    """Return whether a process holds a capability, given its /proc/PID/status."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def find_busybox() -> Path | None:
    """Return a busybox that is an ELF executable without an interpreter, that is: statically linked."""
    for name in BUSYBOX_PATHS:
        path = Path(name)
        if path.exists() and is_static(path.read_bytes()):
            return path
    return None


def is_static(program: bytes) -> bool:
    """Return whether an ELF file asks for no dynamic linker (has no PT_INTERP)."""
    if program[:4] != b"\x7fELF" or len(program) < 64:
        return False
    wide, order = program[4] == 2, "<" if program[5] == 1 else ">"
    offset = struct.unpack_from(order + ("Q" if wide else "I"), program, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", program, 54 if wide else 42)
    kinds = (struct.unpack_from(order + "I", program, offset + index * size)[0] for index in range(count))
    return 3 not in kinds

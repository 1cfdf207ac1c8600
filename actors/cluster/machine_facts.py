"""What a machine is and has, as far as a node cares: looked at, and not judged.

What can't be found out counts as what is usual, or as what is worse where that only costs a word of warning.

Neighbour: `doctor` judges.
"""

import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.cluster.install import NEEDS
from actors.kubelet.containerd import crun, handlers
from actors.kubelet.containerd.machine import CGROUP_ROOT, holds_capability, parse_version
from actors.kubelet.containerd.places import places_of
from runtime.command import find_program

PROGRAM_TIMEOUT_S = 5.0  # for one `--version`
KERNEL_FEATURES = ("overlay", "veth", "bridge", "nf_tables", "br_netfilter")


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine, as far as a node cares."""

    system: str = "Linux"
    kernel: tuple[int, int] = (0, 0)
    root: bool = True
    capabilities: frozenset[int] = frozenset()
    kernel_features: Mapping[str, bool] = field(default_factory=dict)
    network_namespaces: bool = True
    cgroup_version: int = 2  # 0: none mounted
    cgroup_controllers: frozenset[str] = frozenset()
    programs: Mapping[str, bool] = field(default_factory=dict)  # by the name in `install.NEEDS`
    versions: Mapping[str, str] = field(default_factory=dict)
    crun: handlers.Finding = handlers.Finding(fault="crun is not installed")
    free_bytes: int = 0
    memory_bytes: int = 0
    ports_taken: Sequence[int] = ()
    forward_policy_drop: bool = False
    process_limit: int = -1  # -1: none
    data_dir: str = ""
    apt: bool = True


def gather(data_dir: Path, ports: Sequence[tuple[str, int]] = ()) -> Facts:
    """Look at this machine. `ports` are (address, port) that the cluster will bind; 0 is any free one."""
    base = _existing(data_dir)
    common: dict[str, Any] = {
        "system": platform.system(),
        "root": os.name == "posix" and os.geteuid() == 0,
        "free_bytes": shutil.disk_usage(base).free,
        "ports_taken": [port for address, port in ports if port and not _is_free(address, port)],
        "data_dir": str(data_dir),
        "apt": find_program("apt-get") is not None,
    }
    if sys.platform != "linux":
        return Facts(**common)
    import resource

    status = Path("/proc/self/status").read_text()
    version, controllers = _cgroup_state()
    return Facts(
        **common,
        kernel=parse_version(platform.release() + ".0"),
        capabilities=frozenset(number for number in range(41) if holds_capability(number, status)),
        kernel_features={name: _has_feature(name) for name in KERNEL_FEATURES},
        network_namespaces=Path("/proc/self/ns/net").exists(),
        cgroup_version=version,
        cgroup_controllers=controllers,
        programs={need.name: need.present() for need in NEEDS},
        versions={name: _version_of(*command) for name, command in _VERSION_COMMANDS.items()},
        crun=_tried_crun(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        forward_policy_drop="-P FORWARD DROP" in _printed("iptables", "-w", "-S", "FORWARD"),
        process_limit=resource.getrlimit(resource.RLIMIT_NPROC)[0],
    )


_VERSION_COMMANDS = {
    "containerd": ("containerd", "--version"),
    "runc": ("runc", "--version"),
    "crun": ("crun", "--version"),
    "nft": ("nft", "--version"),
    "ip": ("ip", "-V"),
}


def _tried_crun() -> handlers.Finding:
    """Run a container with crun, as a node does at its start; it takes 0.03 s."""
    if os.geteuid() != 0:
        return handlers.Finding(fault="crun can't be tried without root")
    with tempfile.TemporaryDirectory() as place:
        return crun.look(places_of(Path(place), "trial"))


def _existing(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    return next(candidate for candidate in (path.absolute(), *path.absolute().parents) if candidate.exists())


def _printed(*command: str) -> str:
    program = find_program(command[0])
    if program is None:
        return ""
    try:
        answer = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # a program that can't be asked has no version; its own check says whether it is there
    return answer.stdout


def _version_of(*command: str) -> str:
    lines = _printed(*command).splitlines()
    return lines[0].strip() if lines else ""


def _has_feature(module: str) -> bool:
    """Return whether the kernel has a feature: built in, loaded, or as a module that can be loaded."""
    if (Path("/sys/module") / module).exists():
        return True
    if module == "overlay" and "overlay" in Path("/proc/filesystems").read_text():
        return True
    if module == "br_netfilter" and Path("/proc/sys/net/bridge").exists():
        return True
    modules = Path("/lib/modules") / platform.release()
    for index in ("modules.builtin", "modules.dep"):
        path = modules / index
        if path.exists() and f"/{module}.ko" in path.read_text():
            return True
    return _configured(module)


def _configured(module: str) -> bool:
    """Ask the kernel's own configuration. Where nothing tells (a container without it), assume the usual kernel."""
    config = Path("/proc/config.gz")
    if config.exists():
        import gzip

        option = {
            "overlay": "CONFIG_OVERLAY_FS",
            "veth": "CONFIG_VETH",
            "bridge": "CONFIG_BRIDGE",
            "nf_tables": "CONFIG_NF_TABLES",
            "br_netfilter": "CONFIG_BRIDGE_NETFILTER",
        }[module]
        lines = gzip.decompress(config.read_bytes()).decode().splitlines()
        return f"{option}=y" in lines or f"{option}=m" in lines
    return True


def _cgroup_state() -> tuple[int, frozenset[str]]:
    """Return cgroup version and controllers; a hybrid machine counts as version 1, as container runtimes see it."""
    unified = CGROUP_ROOT / "cgroup.controllers"
    if unified.exists():
        return 2, frozenset(unified.read_text().split())
    if not CGROUP_ROOT.is_dir():
        return 0, frozenset()
    names = frozenset(path.name for path in CGROUP_ROOT.iterdir() if path.is_dir())
    return (1, names) if "memory" in names or "cpu" in names else (0, frozenset())


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True

"""`kubus doctor`: can this machine be a node, what is degraded, and how to cure it.

`gather` looks at the machine and judges nothing; `evaluate` judges the gathered facts and looks at nothing, so that a
test can put any machine before it. A check is `ok`, `degraded` (works, but less well or less safely) or `missing`
(real nodes can't work; simulated ones can).
"""

import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from actors.cluster.install import NEEDS
from actors.kubelet.containerd import crun, handlers
from actors.kubelet.containerd.machine import CAP_SYS_RESOURCE, CGROUP_ROOT, holds_capability, parse_version
from runtime.command import find_program

CAP_SYS_ADMIN, CAP_NET_ADMIN = 21, 12  # linux/capability.h
MIN_CONTAINERD = (1, 6)  # the first with runtime.v1 of the CRI
MIN_KERNEL = (5, 2)  # nftables maps as the proxy uses them; older ones lack parts of cgroup v2, too
MIN_FREE_BYTES = 2 * 1024**3  # the kubelet would report DiskPressure soon after
MIN_MEMORY_BYTES = 1024**3  # control plane, containerd and a few pods
MIN_PROCESS_LIMIT = 4096  # each pod costs a dozen threads of shims
PROGRAM_TIMEOUT_S = 5.0  # for one `--version`
KERNEL_FEATURES = ("overlay", "veth", "bridge", "nf_tables", "br_netfilter")


class Verdict(Enum):
    OK = "ok"
    DEGRADED = "degraded"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    verdict: Verdict
    why: str
    cure: str = ""

    def to_json(self) -> dict[str, str]:
        return {**asdict(self), "verdict": self.verdict.value}


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


# -- judging ----------------------------------------------------------------------------------------------------------


def evaluate(facts: Facts) -> list[Check]:
    """Return every check, in the order in which one would cure them."""
    if facts.system != "Linux":
        return [
            Check(
                "system",
                Verdict.MISSING,
                f"containers need Linux, this is {facts.system}",
                "use simulated nodes: kubus up --config configs/simulated.yaml",
            )
        ]
    return [
        _kernel(facts),
        _root(facts),
        *_capabilities(facts),
        *_features(facts),
        _cgroups(facts),
        *_programs(facts),
        _containerd_version(facts),
        _runtime(facts),
        _forward(facts),
        *_room(facts),
        _ports(facts),
    ]


def _check(name: str, good: bool, fine: str, bad: str, cure: str, verdict: Verdict = Verdict.MISSING) -> Check:
    return Check(name, Verdict.OK, fine) if good else Check(name, verdict, bad, cure)


def _kernel(facts: Facts) -> Check:
    shown = ".".join(map(str, facts.kernel))
    wanted = ".".join(map(str, MIN_KERNEL))
    return _check(
        "kernel",
        facts.kernel >= MIN_KERNEL,
        f"Linux {shown}",
        f"Linux {shown} is older than {wanted}",
        "use a newer kernel",
        Verdict.DEGRADED,
    )


def _root(facts: Facts) -> Check:
    return _check("root", facts.root, "running as root", "containers need root", "run as root: sudo kubus up")


def _capabilities(facts: Facts) -> list[Check]:
    needed = {CAP_SYS_ADMIN: "CAP_SYS_ADMIN", CAP_NET_ADMIN: "CAP_NET_ADMIN"}
    lacking = [name for number, name in needed.items() if number not in facts.capabilities]
    return [
        _check(
            "capabilities",
            not lacking,
            "mounts and networks may be made",
            f"{' and '.join(lacking)} lacking: no mounts or networks can be made",
            "run on the machine itself, or in a privileged container",
        ),
        _check(
            "CAP_SYS_RESOURCE",
            CAP_SYS_RESOURCE in facts.capabilities,
            "system pods can be shielded from the OOM killer",
            "pods can't be shielded from the OOM killer: a negative oom_score_adj is raised to 0",
            "give the capability, where the machine is a container or a sandbox of somebody's",
            Verdict.DEGRADED,
        ),
    ]


_FEATURE_PURPOSE = {
    "overlay": ("overlayfs", "containers have no root filesystem"),
    "veth": ("veth", "pods have no network"),
    "bridge": ("bridge", "pods of a node don't reach each other"),
    "nf_tables": ("nftables", "Services lead nowhere"),
    "br_netfilter": ("br_netfilter", "a pod can't reach its node's pods through a Service"),
}


def _features(facts: Facts) -> list[Check]:
    checks = []
    for module in KERNEL_FEATURES:
        name, loss = _FEATURE_PURPOSE[module]
        there = facts.kernel_features.get(module, False)
        checks.append(_check(name, there, "in the kernel", f"not in the kernel: {loss}", f"modprobe {module}"))
    checks.append(
        _check(
            "network namespaces",
            facts.network_namespaces,
            "in the kernel",
            "the kernel has none: pods can't be told apart",
            "use a kernel with CONFIG_NET_NS",
        )
    )
    return checks


def _cgroups(facts: Facts) -> Check:
    if facts.cgroup_version == 0:
        return Check("cgroups", Verdict.MISSING, "none are mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    lacking = sorted({"cpu", "memory", "pids"} - facts.cgroup_controllers)
    shown = f"version {facts.cgroup_version}"
    if not lacking:
        return Check("cgroups", Verdict.OK, shown)
    return Check(
        "cgroups",
        Verdict.DEGRADED,
        f"{shown} without {', '.join(lacking)}: limits on it have no effect",
        "enable the controllers on the kernel's command line",
    )


def _programs(facts: Facts) -> list[Check]:
    checks = []
    for need in NEEDS:
        version = facts.versions.get(need.name, "")
        verdict = Verdict.DEGRADED if need.optional or need.package == "busybox-static" else Verdict.MISSING
        how = f"apt-get install {need.package}" if facts.apt else f"install what Debian calls {need.package}"
        there = facts.programs.get(need.name, False)
        checks.append(
            _check(need.name, there, version or "installed", f"not installed: it {need.purpose}", how, verdict)
        )
    return checks


def _containerd_version(facts: Facts) -> Check:
    version = parse_version(facts.versions.get("containerd", ""))
    name, wanted = "containerd version", ".".join(map(str, MIN_CONTAINERD))
    if version == (0, 0):
        return Check(name, Verdict.DEGRADED, "unknown", "run `containerd --version` and see")
    shown = ".".join(map(str, version))
    return _check(
        name,
        version >= MIN_CONTAINERD,
        f"{shown} speaks CRI v1",
        f"{shown} does not speak CRI v1",
        f"install containerd {wanted} or newer",
    )


def _runtime(facts: Facts) -> Check:
    """What starts containers where the config names nothing."""
    return _check(
        "runtime handler",
        bool(facts.crun.program),
        facts.crun.how,
        f"runc, which takes three times as long as crun: {facts.crun.fault}",
        f"see that `{handlers.CRUN}` is there and works; nothing is wrong with runc but its speed",
        Verdict.DEGRADED,
    )


def _forward(facts: Facts) -> Check:
    return _check(
        "forwarding",
        not facts.forward_policy_drop,
        "no firewall stands between pods",
        "iptables' FORWARD policy is DROP, as Docker sets it; Kubus puts a rule for its bridge in front",
        "nothing to do, unless that rule is removed again",
        Verdict.DEGRADED,
    )


def _room(facts: Facts) -> list[Check]:
    free, memory = facts.free_bytes / 1024**3, facts.memory_bytes / 1024**3
    return [
        _check(
            "disk",
            facts.free_bytes >= MIN_FREE_BYTES,
            f"{free:.1f} GiB free at {facts.data_dir}",
            f"only {free:.1f} GiB free at {facts.data_dir}",
            "make room, or name another place with --data-dir",
            Verdict.DEGRADED,
        ),
        _check(
            "memory",
            facts.memory_bytes >= MIN_MEMORY_BYTES,
            f"{memory:.1f} GiB",
            f"{memory:.1f} GiB is little for a control plane and pods",
            "use a larger machine, or simulated nodes",
            Verdict.DEGRADED,
        ),
        _check(
            "process limit",
            facts.process_limit < 0 or facts.process_limit >= MIN_PROCESS_LIMIT,
            "high enough",
            f"at most {facts.process_limit} processes: some dozen pods exhaust it",
            "ulimit -u unlimited",
            Verdict.DEGRADED,
        ),
    ]


def _ports(facts: Facts) -> Check:
    taken = ", ".join(map(str, facts.ports_taken))
    return _check(
        "ports",
        not facts.ports_taken,
        "free",
        f"in use by another program: {taken}",
        "end that program, or set apiserver.port in the config (0 takes a free one)",
    )


def table(checks: Sequence[Check]) -> list[tuple[str, str, str, str]]:
    """Return rows for the terminal: name, verdict, why, cure."""
    return [(check.name, check.verdict.value, check.why, check.cure) for check in checks]


def can_run_containers(checks: Sequence[Check]) -> bool:
    return all(check.verdict is not Verdict.MISSING for check in checks)


# -- looking ----------------------------------------------------------------------------------------------------------


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
        return crun.look(Path(place) / "crun", Path(place), Path(place), f"/kubus-trial-{os.getpid()}")


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

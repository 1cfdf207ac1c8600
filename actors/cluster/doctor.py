"""`kubus doctor`: can this machine be a node, what is degraded, and how to cure it.

`evaluate` judges the facts that it is given and looks at nothing, so that a test can put any machine before it. A check
is `ok`, `degraded` (works, but less well or less safely) or `missing` (real nodes can't work; simulated ones can).

Neighbour: `machine_facts` looks.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum

from actors.cluster.install import NEEDS
from actors.cluster.machine_facts import KERNEL_FEATURES, Facts
from actors.kubelet.containerd import handlers
from actors.kubelet.containerd.machine import CAP_SYS_RESOURCE, parse_version

CAP_SYS_ADMIN, CAP_NET_ADMIN = 21, 12  # linux/capability.h
MIN_CONTAINERD = (1, 6)  # the first with runtime.v1 of the CRI
MIN_KERNEL = (5, 2)  # nftables maps as the proxy uses them; older ones lack parts of cgroup v2, too
MIN_FREE_BYTES = 2 * 1024**3  # the kubelet would report DiskPressure soon after
MIN_MEMORY_BYTES = 1024**3  # control plane, containerd and a few pods
MIN_PROCESS_LIMIT = 4096  # each pod costs a dozen threads of shims


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

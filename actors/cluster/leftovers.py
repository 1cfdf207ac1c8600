"""What is on the machine that a cluster may have left there: read, not judged.

`survey` sees everybody's processes, mounts, links and rules; `purge.plan` tells which are ours. What a missing program
would have shown, it has not made either: so a machine without nft is simply one without nftables.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from actors.kubelet.containerd.machine import CGROUP_ROOT
from actors.kubelet.containerd.places import Places
from runtime.command import find_program

CNI_RESULTS = Path("/var/lib/cni/results")  # libcni's cache, one folder for all containerds of a machine
PROGRAM_TIMEOUT_S = 20.0  # for one call of ip, nft or iptables


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    name: str
    master: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is on the machine, ours and others'."""

    processes: Sequence[Process] = ()
    pids_in_cgroups: Sequence[int] = ()  # of this instance's cgroups
    mounts: Sequence[str] = ()
    links: Sequence[Link] = ()
    tables: Sequence[tuple[str, str]] = ()  # family, name
    iptables_rules: Sequence[str] = ()  # as `iptables -S` prints them, with their table in front
    cgroups: Sequence[str] = ()  # of this instance, deepest first
    shim_sockets: Sequence[str] = ()
    cni_results: Sequence[str] = ()  # file names
    sandbox_ids: Sequence[str] = ()


def survey(instance: str, nodes: Sequence[Places]) -> Survey:
    """Look at the machine. Cgroups, sockets and sandbox ids are looked up for one instance and its nodes only."""
    cgroups = _cgroups(instance)
    return Survey(
        processes=_processes(),
        pids_in_cgroups=_pids(cgroups),
        mounts=parse_mountinfo(Path("/proc/self/mountinfo").read_text()),
        links=_links(),
        tables=_tables(),
        iptables_rules=_iptables_rules(),
        cgroups=cgroups,
        shim_sockets=_shim_sockets(nodes),
        cni_results=[path.name for path in CNI_RESULTS.iterdir()] if CNI_RESULTS.is_dir() else [],
        sandbox_ids=_sandbox_ids(nodes),
    )


def _processes() -> list[Process]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it ended meanwhile
            found.append(Process(int(entry.name), tuple(os.fsdecode(part) for part in argv[:-1])))
    return found


def parse_mountinfo(text: str) -> list[str]:
    """Return the mount points in /proc/PID/mountinfo, in order of mounting."""
    paths = [line.split(" ")[4] for line in text.splitlines()]
    return [path.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace") for path in paths]


def _cgroups(instance: str) -> list[str]:
    """Return this instance's cgroups in every hierarchy, deepest first."""
    tops = [CGROUP_ROOT, *(path for path in CGROUP_ROOT.iterdir() if path.is_dir() and not path.is_symlink())]
    found: list[str] = []
    for top in tops:
        found += [folder for folder, _, _ in os.walk(top / f"kubus-{instance}", topdown=False)]
    return found


def _pids(cgroups: Iterable[str]) -> list[int]:
    pids: set[int] = set()
    for cgroup in cgroups:
        try:
            pids |= {int(pid) for pid in (Path(cgroup) / "cgroup.procs").read_text().split()}
        except OSError:
            continue  # removed meanwhile, or a threaded cgroup whose members its parent lists
    return sorted(pids - {0, 1, os.getpid()})


def _links() -> list[Link]:
    printed = _output("ip", "-j", "link", "show")
    return [Link(item["ifname"], item.get("master", "")) for item in json.loads(printed)] if printed else []


def _tables() -> list[tuple[str, str]]:
    printed = _output("nft", "-j", "list", "tables")
    entries = json.loads(printed)["nftables"] if printed else []
    return [(entry["table"]["family"], entry["table"]["name"]) for entry in entries if "table" in entry]


def _iptables_rules() -> list[str]:
    rules = [
        f"{table} {line}" for table in ("filter", "nat") for line in _output("iptables-save", "-t", table).splitlines()
    ]
    return [rule for rule in rules if " -A " in rule]


def _shim_sockets(nodes: Iterable[Places]) -> list[str]:
    """Return the sockets of shims: outside our folders, but each bundle says which is its own."""
    sockets = set()
    for places in nodes:
        for record in places.state.glob("io.containerd.runtime.v2.task/*/*/address"):
            path = Path(record.read_text().strip().removeprefix("unix://"))
            if path.is_socket():
                sockets.add(str(path))
    return sorted(sockets)


def _sandbox_ids(nodes: Iterable[Places]) -> list[str]:
    found = []
    for places in nodes:
        for base in (places.root, places.state):
            found += [path.name for path in base.glob("io.containerd.grpc.v1.cri/sandboxes/*")]
    return sorted(set(found))


def _output(*command: str) -> str:
    """Return what a program prints; nothing when it is not installed or refuses: then it made nothing here either."""
    program = find_program(command[0])
    if program is None:
        return ""
    answer = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S)
    return answer.stdout if answer.returncode == 0 else ""

"""`kubus down --purge`: removes what a cluster left on the machine, and nothing else.

Works with a dead cluster, a half-purged one, and one that never came up: it looks at the machine, not at a record.
Everything that Kubus makes outside its data directory carries the data directory's instance id (cgroups, nftables,
iptables comments, CNI networks, the bridge) or a path below it (shims' and containerd's command lines, mounts); that is
how another cluster's things are told from this one's. `survey` gathers, `plan` decides (pure), `execute` acts.

The order matters: processes first (nothing is made anew), then mounts (nothing holds them any more), then devices,
rules and cgroups, files last. A file tree is removed only when nothing is mounted in it.

Neighbours: `actors.kubelet.containerd` made most of it; the command line stops the supervisor before it calls here.
"""

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from actors.kubelet.containerd.cgroups import CGROUP_ROOT
from actors.kubelet.containerd.child import find_program
from actors.kubelet.containerd.places import Places, places_of
from runtime.supervisor import datadir, rundir

CNI_RESULTS = Path("/var/lib/cni/results")  # libcni's cache, one folder for all containerds of a machine
DEATH_DEADLINE_S = 10.0  # from SIGKILL until a process is gone; only one stuck in the kernel takes longer
DEATH_POLL_S = 0.01
PROGRAM_TIMEOUT_S = 20.0  # for one call of ip, nft or iptables
MNT_DETACH = 2  # umount2's flag: take the mount out of the tree now, let go of it when its last user ends
UMOUNT_NOFOLLOW = 8


class PurgeError(Exception):
    """Why nothing was purged."""


class Verb(Enum):
    KILL = "kill"
    UNMOUNT = "unmount"
    DELETE_LINK = "delete link"
    DELETE_TABLE = "delete nftables table"
    DELETE_RULE = "delete iptables rule"
    REMOVE_CGROUP = "remove cgroup"
    REMOVE_FILE = "remove"
    REMOVE_TREE = "remove tree"


@dataclass(frozen=True, slots=True)
class Action:
    verb: Verb
    target: str

    def __str__(self) -> str:
        return f"{self.verb.value} {self.target}"


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


@dataclass(frozen=True, slots=True)
class Scope:
    """What belongs to the cluster."""

    data_dir: Path
    instance: str
    bridge: str
    nodes: Sequence[Places] = field(default_factory=tuple)
    run_dirs: Sequence[Path] = ()  # outside the data directory


# -- deciding ---------------------------------------------------------------------------------------------------------


def plan(scope: Scope, found: Survey) -> list[Action]:
    """Return what to do, in order. Empty when the machine is clean."""
    return [
        *(Action(Verb.KILL, str(pid)) for pid in _doomed(scope, found)),
        *(Action(Verb.UNMOUNT, path) for path in _our_mounts(scope, found.mounts)),
        *(Action(Verb.DELETE_LINK, name) for name in _our_links(scope, found.links)),
        *(Action(Verb.DELETE_TABLE, f"{family} {name}") for family, name in found.tables if _our_table(scope, name)),
        *(Action(Verb.DELETE_RULE, rule) for rule in found.iptables_rules if _our_rule(scope, rule)),
        *(Action(Verb.REMOVE_CGROUP, path) for path in found.cgroups),
        *(Action(Verb.REMOVE_FILE, path) for path in found.shim_sockets),
        *(Action(Verb.REMOVE_FILE, str(CNI_RESULTS / name)) for name in _our_results(scope, found)),
        *(Action(Verb.REMOVE_TREE, str(path)) for path in [*scope.run_dirs, scope.data_dir]),
    ]


def _doomed(scope: Scope, found: Survey) -> list[int]:
    """Return containerd and its shims (so that nothing is restarted), then whatever runs in our cgroups."""
    keepers = [process.pid for process in found.processes if is_ours(scope, process.argv)]
    return list(dict.fromkeys([*keepers, *found.pids_in_cgroups]))


def is_ours(scope: Scope, argv: Sequence[str]) -> bool:
    """Return whether a command line is of this cluster's containerd or of one of its shims."""
    if not argv:
        return False
    program = os.path.basename(argv[0])
    option = {"containerd": "--config", "containerd-shim-runc-v2": "-address"}.get(program)
    if option is None or option not in argv[:-1]:
        return False
    value = argv[argv.index(option) + 1]
    return any(value in (str(places.config), str(places.socket)) for places in scope.nodes)


def _our_mounts(scope: Scope, mounts: Iterable[str]) -> list[str]:
    """Return the mounts below our folders, inner ones and later ones first."""
    roots = [str(path) for path in (scope.data_dir, *scope.run_dirs)]
    inside = [path for path in mounts if any(path == root or path.startswith(root + "/") for root in roots)]
    return sorted(reversed(inside), key=lambda path: path.count("/"), reverse=True)


def _our_links(scope: Scope, links: Iterable[Link]) -> list[str]:
    ports = [link.name for link in links if link.master == scope.bridge]
    return ports + [link.name for link in links if link.name == scope.bridge]


def _our_table(scope: Scope, name: str) -> bool:
    own = f"kubus-{scope.instance}"
    return name == own or name.startswith(own + "-")


def _our_rule(scope: Scope, rule: str) -> bool:
    return f"kubus-{scope.instance}" in rule.replace('"', " ").split()


def _our_results(scope: Scope, found: Survey) -> list[str]:
    network = f"kubus-{scope.instance}-"
    ids = tuple(f"cni-loopback-{sandbox}-" for sandbox in found.sandbox_ids)
    return [name for name in found.cni_results if name.startswith((network, *ids))]


# -- looking ----------------------------------------------------------------------------------------------------------


def scope_of(data_dir: Path, bridge: str, instance: str) -> Scope:
    """Return what belongs to the cluster of a data directory; PurgeError for a folder that is none."""
    path = Path(os.path.realpath(data_dir))
    if path.exists():
        if not (path / datadir.LOCK).exists() and next(path.iterdir(), None) is not None:
            raise PurgeError(f"{path} is not a data directory of Kubus: it has no file named {datadir.LOCK}")
        pid = datadir.holder(path)
        if pid:
            raise PurgeError(f"{path} is in use by a Kubus (pid {pid}): `kubus down` comes first")
    folder = path / "nodes"
    names = sorted(item.name for item in folder.iterdir() if item.is_dir()) if folder.is_dir() else []
    nodes = tuple(places_of(path, name) for name in names)
    outside = {places.short_run for places in nodes if places.short_run.exists()}
    run_dir = rundir.find(path)
    if run_dir.exists() and not run_dir.is_relative_to(path) and run_dir.name.startswith("kubus-"):
        outside.add(run_dir)
    return Scope(path, instance, bridge, nodes, sorted(outside))


def survey(scope: Scope) -> Survey:
    """Look at the machine."""
    cgroups = _cgroups(scope.instance)
    return Survey(
        processes=_processes(),
        pids_in_cgroups=_pids(cgroups),
        mounts=parse_mountinfo(Path("/proc/self/mountinfo").read_text()),
        links=_links(),
        tables=_tables(),
        iptables_rules=_iptables_rules(),
        cgroups=cgroups,
        shim_sockets=_shim_sockets(scope.nodes),
        cni_results=[path.name for path in CNI_RESULTS.iterdir()] if CNI_RESULTS.is_dir() else [],
        sandbox_ids=_sandbox_ids(scope.nodes),
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


# -- acting -----------------------------------------------------------------------------------------------------------


def execute(actions: Sequence[Action]) -> list[str]:
    """Do it all; returns what failed, in words. A failure stops nothing but what depends on it."""
    failures = _kill([int(action.target) for action in actions if action.verb is Verb.KILL])
    for action in actions:
        if action.verb is not Verb.KILL:
            try:
                _DO[action.verb](action.target)
            except (OSError, PurgeError, subprocess.SubprocessError) as error:
                failures.append(f"{action}: {error}")
    return failures


def _kill(pids: Sequence[int]) -> list[str]:
    """SIGKILL them all and wait until they are gone. A pid is ours: it was read a moment ago, and is never pid 1."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + DEATH_DEADLINE_S
    left = list(pids)
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if _alive(pid)]
        if left:
            time.sleep(DEATH_POLL_S)
    return [f"process {pid} does not end" for pid in left]


def _alive(pid: int) -> bool:
    """Return whether a process still runs; a zombie does not, whoever has to reap it."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _unmount(path: str) -> None:
    """Unmount; what is busy is detached."""
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (UMOUNT_NOFOLLOW, UMOUNT_NOFOLLOW | MNT_DETACH):
        if libc.umount2(os.fsencode(path), flags) == 0:
            return
        code = ctypes.get_errno()
        if code in (errno.EINVAL, errno.ENOENT):
            return  # no longer a mount point: it went with another one
        if code != errno.EBUSY:
            raise OSError(code, os.strerror(code))


def _run(*command: str) -> None:
    program = find_program(command[0])
    if program is None:
        raise PurgeError(f"{command[0]} is not installed")
    answer = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S)
    gone = ("Cannot find device", "No such file or directory", "does not exist", "Bad rule")
    if answer.returncode and not any(words in answer.stderr for words in gone):
        raise PurgeError(answer.stderr.strip())


def _delete_rule(rule: str) -> None:
    """Delete a rule that `iptables-save` printed as `TABLE -A CHAIN ...`."""
    table, _, *rest = [word.strip('"') for word in rule.split()]
    _run("iptables", "-w", "-t", table, "-D", *rest)


def _remove_cgroup(path: str) -> None:
    deadline = time.monotonic() + DEATH_DEADLINE_S
    while True:
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(DEATH_POLL_S)  # the kernel takes a killed process out of its cgroup a moment later
        else:
            return


def _remove_tree(path: str) -> None:
    """Remove a tree, unless something is still mounted in it: that content is not ours to delete."""
    root = Path(path)
    mounted = [
        point
        for point in parse_mountinfo(Path("/proc/self/mountinfo").read_text())
        if point == path or point.startswith(path.rstrip("/") + "/")
    ]
    if mounted:
        raise PurgeError(f"{mounted[0]} is still mounted")
    if root.is_symlink() or len(root.parts) < 3:
        raise PurgeError("refused: a link, or a folder at the top of the file system")
    if root.exists():
        shutil.rmtree(root)


_DO = {
    Verb.UNMOUNT: _unmount,
    Verb.DELETE_LINK: lambda name: _run("ip", "link", "delete", name),
    Verb.DELETE_TABLE: lambda table: _run("nft", "delete", "table", *table.split()),
    Verb.DELETE_RULE: _delete_rule,
    Verb.REMOVE_CGROUP: _remove_cgroup,
    Verb.REMOVE_FILE: lambda path: Path(path).unlink(missing_ok=True),
    Verb.REMOVE_TREE: _remove_tree,
}


def purge(data_dir: Path, bridge: str, instance: str) -> list[str]:
    """Remove everything of a cluster; returns what could not be removed. Raises PurgeError when it must not start.

    Looks again until nothing is found that could be removed: a CNI plugin that was running when its containerd was
    killed may have made one more device.
    """
    scope = scope_of(data_dir, bridge, instance)
    failures: list[str] = []
    for _ in range(PASSES):
        actions = [action for action in plan(scope, survey(scope)) if not _is_gone(action)]
        if not actions:
            return []
        failures = execute(actions)
    return failures


PASSES = 3  # one does it all; the next finds nothing; one more for what was made in between


def _is_gone(action: Action) -> bool:
    return action.verb is Verb.REMOVE_TREE and not os.path.lexists(action.target)

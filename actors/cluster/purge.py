"""`kubus down --purge`: removes what a cluster left on the machine, and nothing else.

Works with a dead cluster, a half-purged one, and one that never came up: it looks at the machine, not at a record.
Everything that Kubus makes outside its data directory carries the data directory's instance id (cgroups, nftables,
iptables comments, CNI networks, the bridge) or a path below it (shims' and containerd's command lines, mounts); that is
how another cluster's things are told from this one's. `leftovers.survey` gathers, `plan` decides (pure),
`removal.execute` acts.

Node names come from the folders below DATA/nodes, so that a node that the config no longer has is found, too.

The order matters: processes first (nothing is made anew), then mounts (nothing holds them any more), then devices,
rules and cgroups, files last. A file tree is removed only when nothing is mounted in it.

Neighbours: `actors.kubelet.containerd` made most of it; the command line stops the supervisor before it calls here.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from actors.api.config import ClusterConfig
from actors.api.network import bridge_name, instance_id
from actors.cluster.bringup import recorded_config
from actors.cluster.leftovers import CNI_RESULTS, Link, Survey, survey
from actors.cluster.removal import Action, Verb, execute
from actors.kubelet.containerd.places import Places, places_of
from runtime.supervisor import datadir, rundir

PASSES = 3  # one does it all; the next finds nothing; one more for what was made in between


class PurgeError(Exception):
    """Why nothing was purged."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What belongs to the cluster."""

    data_dir: Path
    instance: str
    bridge: str
    nodes: Sequence[Places] = ()
    run_dirs: Sequence[Path] = ()  # outside the data directory


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
    bridges = [link.name for link in links if _is_bridge(scope, link.name)]
    return [link.name for link in links if link.master in bridges] + bridges


def _is_bridge(scope: Scope, name: str) -> bool:
    """The bridge of a node; those of further nodes on the machine are numbered."""
    number = name.removeprefix(scope.bridge)
    return name == scope.bridge or (name.startswith(scope.bridge) and number.isdigit())


def _our_table(scope: Scope, name: str) -> bool:
    own = f"kubus-{scope.instance}"
    return name == own or name.startswith(own + "-")


def _our_rule(scope: Scope, rule: str) -> bool:
    return f"kubus-{scope.instance}" in rule.replace('"', " ").split()


def _our_results(scope: Scope, found: Survey) -> list[str]:
    network = f"kubus-{scope.instance}-"
    ids = tuple(f"cni-loopback-{sandbox}-" for sandbox in found.sandbox_ids)
    return [name for name in found.cni_results if name.startswith((network, *ids))]


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


def purge_data_dir(data_dir: Path) -> list[str]:
    """Remove everything of a cluster; returns what could not be removed. Raises PurgeError when it must not start."""
    path = Path(os.path.realpath(data_dir))
    return purge(scope_of(path, bridge_name(path, _config(path)), instance_id(path)))


def _config(data_dir: Path) -> ClusterConfig:
    """Return the config that the cluster last ran with; a default one, where no record can be read."""
    try:
        return recorded_config(data_dir) or ClusterConfig(nodes={})
    except (OSError, msgspec.MsgspecError):
        return ClusterConfig(nodes={})


def purge(scope: Scope) -> list[str]:
    """Look and act until nothing is left that can be removed; returns what failed the last time.

    Again, because a CNI plugin that was running when its containerd was killed may have made one more device.
    """
    failures: list[str] = []
    for _ in range(PASSES):
        actions = [action for action in plan(scope, survey(scope.instance, scope.nodes)) if not _is_gone(action)]
        if not actions:
            return []
        failures = execute(actions)
    return failures


def _is_gone(action: Action) -> bool:
    return action.verb is Verb.REMOVE_TREE and not os.path.lexists(action.target)

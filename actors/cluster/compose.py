"""From a cluster's config to what the supervisor runs: child specs, and what the children have in common.

The order of starts is in `after`: an API server once its node's state actor serves, everybody else once an API server
does, a kubelet also after its containerd. A start that finds a long log to replay, or a cold disk, takes its time:
hence the deadlines. Of what runs on other machines only the addresses matter here.

Neighbours: `plan` gives a checked config; `runtime.supervisor` runs what comes out of here.
"""

import functools
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from actors.api.addresses import bus_endpoints, processes_of
from actors.api.config import ClusterConfig, NodeConfig
from actors.cluster import bus_keys
from bus.address import node_of
from runtime.supervisor.spec import ActorLaunch, ChildSpec, CommandLaunch

TARGETS = {
    "state": "actors.state.actor:StateActor",
    "apiserver": "actors.apiserver.actor:ApiServerActor",
    "scheduler": "actors.scheduler.actor:SchedulerActor",
    "controller-manager": "actors.controller_manager.actor:ControllerManagerActor",
    "kubelet": "actors.kubelet.actor:KubeletActor",
    "proxy": "actors.proxy.actor:ProxyActor",
    "balancer": "actors.balancer.actor:BalancerActor",
}
KUBELET, CONTAINERD_DRIVER = "actors.kubelet.actor", "actors.kubelet.containerd.driver"
CONTAINERD = "containerd"  # the role of a node's containerd, which is no actor

START_DEADLINE_S = {"state": 600.0, "apiserver": 120.0, CONTAINERD: 60.0}  # a state actor may replay a long log
DEFAULT_START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 10.0  # on top of what a kubelet gives its pods to end


@dataclass(frozen=True)
class Composition:
    """All that runs on this machine. `preparations_of` must have been called before anything starts."""

    specs: list[ChildSpec]
    actors: list[str]  # names on the bus, of all machines
    remote: dict[str, dict[str, str]]  # endpoints of those on other machines
    listen: dict[str, dict[str, str]]  # and where other machines reach those on this one
    keys_dir: Path | None  # of CURVE keys; None where all is on one machine
    preload: tuple[str, ...]


def actor_names(config: ClusterConfig, here: Collection[str] = ()) -> list[str]:
    """Return the names of all actors of a cluster, or of those nodes in `here`, in the config's order."""
    nodes = nodes_here(config, here)
    return [actor for name, node in nodes.items() for role in node.roles for actor in processes_of(config, role, name)]


def compose(config: ClusterConfig, data_dir: Path, run_dir: Path, here: Collection[str] = ()) -> Composition:
    """Return what this machine shall run: the nodes in `here`, or all of them."""
    plain = msgspec.to_builtins(config)
    local = actor_names(config, here)
    specs: list[ChildSpec] = []
    for name, node in nodes_here(config, here).items():
        if needs_containerd(node):
            specs.append(_containerd(config, data_dir, run_dir, name))
        settings = {"cluster": plain, "node": plain["nodes"][name]}
        for role in node.roles:
            first, *others = [
                _actor(actor, role, name, node, settings, local) for actor in processes_of(config, role, name)
            ]
            specs += [first, *(msgspec.structs.replace(other, after=(first.name,)) for other in others)]
    endpoints = bus_endpoints(config)
    return Composition(
        _in_start_order(specs),
        [name for name in actor_names(config) if name in local or _is_first(name)],
        remote={name: sockets for name, sockets in endpoints.items() if name not in local},
        listen={name: sockets for name, sockets in endpoints.items() if name in local},
        keys_dir=bus_keys.directory_of(data_dir) if endpoints else None,
        preload=preload_of(config, here),
    )


def _is_first(name: str) -> bool:
    """Whether an actor is the first of its role on its node; machines know of no other ones elsewhere."""
    return name.partition("@")[2] == node_of(name)


def nodes_here(config: ClusterConfig, here: Collection[str]) -> dict[str, NodeConfig]:
    """Return the nodes that this machine runs: those in `here`, or all of them."""
    return {name: node for name, node in config.nodes.items() if not here or name in here}


def preload_of(config: ClusterConfig, here: Collection[str] = ()) -> tuple[str, ...]:
    """Return the modules for the warm parent to import, in the order in which children will want them."""
    nodes = nodes_here(config, here).values()
    roles = {role for node in nodes for role in node.roles}
    modules = [target.partition(":")[0] for role, target in TARGETS.items() if role in roles]
    if any("kubelet" in node.roles and node.runtime == CONTAINERD for node in nodes):
        modules.insert(modules.index(KUBELET), CONTAINERD_DRIVER)  # that kubelet loads it at its start
    return ("runtime.actor", *modules)


def preparations_of(config: ClusterConfig, data_dir: Path, here: Collection[str] = ()) -> list[Callable[[], Any]]:
    """Return what is to be called before the specs of `compose` may start."""
    nodes = [name for name, node in nodes_here(config, here).items() if needs_containerd(node)]
    work: list[Callable[[], Any]] = [functools.partial(_prepare_containerd, config, data_dir, name) for name in nodes]
    return [*work, functools.partial(_build_images, data_dir)] if nodes else []


def needs_containerd(node: NodeConfig) -> bool:
    """Whether Kubus starts a containerd for this node."""
    return "kubelet" in node.roles and node.runtime == "containerd" and not node.containerd_socket


def _actor(actor: str, role: str, name: str, node: NodeConfig, settings: dict[str, Any], local: list[str]) -> ChildSpec:
    after: list[str] = []
    if role == "apiserver":
        after = _nearest("state", name, local)
    elif role != "state":
        after = _nearest("apiserver", name, local)
    if role == "kubelet" and needs_containerd(node):
        after = [*after, f"{CONTAINERD}@{name}"]
    return ChildSpec(
        name=actor,
        role=role,
        node=name,
        launch=ActorLaunch(TARGETS[role], settings),
        after=tuple(after),
        start_deadline_s=START_DEADLINE_S.get(role, DEFAULT_START_DEADLINE_S),
        stop_deadline_s=STOP_DEADLINE_S + (node.kubelet.shutdown_s if role == "kubelet" else 0.0),
    )


def _containerd(config: ClusterConfig, data_dir: Path, run_dir: Path, node: str) -> ChildSpec:
    child = _containerd_child(config, data_dir, run_dir, node)
    launch = CommandLaunch([os.fspath(word) for word in child["command"]], os.fspath(child["socket"]), child["env"])
    name = f"{CONTAINERD}@{node}"
    return ChildSpec(name, CONTAINERD, node, launch, start_deadline_s=START_DEADLINE_S[CONTAINERD])


def _prepare_containerd(config: ClusterConfig, data_dir: Path, node: str) -> None:
    _containerd_child(config, data_dir, data_dir / "run", node)["prepare"]()


def _containerd_child(config: ClusterConfig, data_dir: Path, run_dir: Path, node: str) -> dict[str, Any]:
    # Imported only where a containerd is run: a machine without one needs nothing of it.
    from actors.kubelet.containerd.child import containerd_child

    return containerd_child(data_dir, run_dir, node, config)


def _build_images(data_dir: Path) -> None:
    from actors.kubelet.containerd.images import build_archives

    build_archives(data_dir / "cache" / "images")


def _nearest(role: str, node: str, names: list[str]) -> list[str]:
    """Return the actor of a role on a node, or the first one there is: one that works is enough to begin."""
    found = [name for name in names if name.partition("@")[0] == role]
    own = f"{role}@{node}"
    return [own] if own in found else found[:1]


def _in_start_order(specs: list[ChildSpec]) -> list[ChildSpec]:
    """Sort by what must be there first, so that the supervisor asks for the most wanted child first."""
    depth: dict[str, int] = {}
    waiting = list(specs)
    while waiting:
        for spec in list(waiting):
            if all(needed in depth for needed in spec.after):
                depth[spec.name] = 1 + max((depth[needed] for needed in spec.after), default=-1)
                waiting.remove(spec)
    return sorted(specs, key=lambda spec: (depth[spec.name], spec.role == CONTAINERD))

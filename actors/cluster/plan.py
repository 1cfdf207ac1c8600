"""From the command line's wishes to a config that is known to be good.

`load` reads a file, or the packaged default, and checks what types alone can't: roles, ports, networks, names, counts.
Every complaint names file, line and key, as `runtime.config` does.

Neighbours: `node_checks` checks what is a node's own; `compose` turns the config into children; `simulate` turns real
nodes into simulated ones.
"""

import importlib.resources
import ipaddress
import re
from collections.abc import Collection
from pathlib import Path

import msgspec

from actors.api import names
from actors.api.addresses import (
    PORTS_PER_NODE,
    Address,
    apiserver_bind,
    balancer_bind,
    etcd_bind,
    is_loopback,
    nodes_of_role,
)
from actors.api.config import ClusterConfig, ControllerConfig, NodeConfig
from actors.cluster.node_checks import check_node
from runtime.config import ConfigError, Loaded, load, parse, suggestion

DEFAULT = "single.yaml"
ROLES = ("state", "apiserver", "scheduler", "controller-manager", "kubelet", "proxy", "balancer")
MAX_STATE_MEMBERS = 5  # more would only make writes slower: four of seven must store each
MAX_PROCESSES = 16  # of one API server: each is fed with all changes, so that more hardly get more done
MAX_NODE_NAME = 52  # so that a socket's path, which holds `controller-manager@NAME.control`, fits in a run directory

_ENDPOINT = re.compile(r"https?://[^/:\s]+:\d+$|https?://\[[0-9a-fA-F:.]+\]:\d+$")
_BRIDGE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,14}")  # the kernel's limit
_PORT_RANGE = re.compile(r"(\d+)-(\d+)$")


def load_cluster(path: Path | None) -> Loaded[ClusterConfig]:
    """Return the checked config of a file, or the packaged default; raises ConfigError."""
    if path is not None:
        loaded = load(path, ClusterConfig)
    else:
        content = (importlib.resources.files("configs") / DEFAULT).read_bytes()
        loaded = parse(content, f"configs/{DEFAULT}", ClusterConfig)
    check(loaded)
    return loaded


def adjusted(config: ClusterConfig, *, nodes: int | None = None, port: int | None = None) -> ClusterConfig:
    """Return the config with what the command line changes in it; raises ConfigError.

    The port is the door that clients use: the balancer's where there is one. Any free one will then do behind it, too.
    """
    if port is not None:
        door = "balancer" if nodes_of_role(config, "balancer") else "apiserver"
        config = msgspec.structs.replace(config, **{door: msgspec.structs.replace(getattr(config, door), port=port)})
        if port == 0:
            config = msgspec.structs.replace(config, apiserver=msgspec.structs.replace(config.apiserver, port=0))
    if nodes is not None:
        config = _with_nodes(config, nodes)
    return config


def _with_nodes(config: ClusterConfig, count: int) -> ClusterConfig:
    players = [name for name, node in config.nodes.items() if "kubelet" in node.roles and node.runtime == "simulated"]
    if not players:
        raise ConfigError(
            "--nodes says how many simulated nodes to play, but this config has none; try configs/simulated.yaml"
        )
    first = msgspec.structs.replace(config.nodes[players[0]], count=count)
    others = {name: node for name, node in config.nodes.items() if name not in players[1:]}
    made = msgspec.structs.replace(config, nodes={**others, players[0]: first})
    if len(node_names(made)) > subnets(made):
        raise ConfigError(f"--nodes {count}: {_too_few_subnets(made)}")
    return made


def node_names(config: ClusterConfig, here: Collection[str] = ()) -> list[str]:
    """Return the names that the cluster's Nodes will have, or those that this machine's nodes in `here` will have."""
    names: list[str] = []
    for name, node in config.nodes.items():
        if "kubelet" in node.roles and (not here or name in here):
            names += [name] if node.count == 1 else [f"{name}-{index}" for index in range(node.count)]
    return names


def subnets(config: ClusterConfig) -> int:
    """Return how many nodes the pod network has a subnet for."""
    return 1 << (config.network.node_cidr_mask - ipaddress.IPv4Network(config.network.pod_cidr).prefixlen)


def _too_few_subnets(config: ClusterConfig) -> str:
    network = config.network
    return f"{network.pod_cidr} has {subnets(config)} subnets of /{network.node_cidr_mask}, fewer than there are nodes"


def check_here(config: ClusterConfig, here: Collection[str]) -> None:
    """Raise ConfigError when these nodes of a config can't run on this machine by themselves."""
    for name in here:
        if name not in config.nodes:
            raise ConfigError(f"--only {name}: no such node; {suggestion(name, config.nodes)}")
    if here and set(here) != config.nodes.keys() and not all(node.address for node in config.nodes.values()):
        raise ConfigError("--only: nodes on several machines find each other by nodes.NAME.address, which all need")


def doors(config: ClusterConfig) -> list[Address]:
    """Return where API servers and balancers will listen."""
    binds = {"apiserver": apiserver_bind, "balancer": balancer_bind}
    return [bind(config, name) for role, bind in binds.items() for name in nodes_of_role(config, role)]


def check(loaded: Loaded[ClusterConfig]) -> None:
    """Raise ConfigError for the first thing that is well-formed but can't work."""
    _check_names(loaded)
    _check_roles(loaded)
    _check_ports(loaded)
    _check_binds(loaded)
    _check_addresses(loaded)
    _check_members(loaded)
    _check_networks(loaded)
    _check_times(loaded)
    for name in loaded.value.nodes:
        check_node(loaded, name)


def _check_names(loaded: Loaded[ClusterConfig]) -> None:
    if names.dns_label(loaded.value.name):
        complaint = f"expected lower-case letters, digits and '-', got {loaded.value.name!r}"
        raise loaded.error(["name"], f"{complaint}; at most {names.DNS_LABEL_MAX}")
    for name in loaded.value.nodes:
        if names.dns_subdomain(name) or len(name) > MAX_NODE_NAME:
            raise loaded.error(
                ["nodes", name], f"a node's name is at most {MAX_NODE_NAME} lower-case letters, digits, '-' and '.'"
            )


def _check_roles(loaded: Loaded[ClusterConfig]) -> None:
    nodes = loaded.value.nodes
    for name, node in nodes.items():
        for index, role in enumerate(node.roles):
            if role not in ROLES:
                complaint = f"{role!r} is no role; {suggestion(role, ROLES)}"
                raise loaded.error(["nodes", name, "roles", index], complaint)
            if role in node.roles[:index]:
                raise loaded.error(["nodes", name, "roles", index], f"{role} is there twice")
    if not nodes_of_role(loaded.value, "apiserver"):
        raise loaded.error(["nodes"], "no node has the role apiserver")
    _check_backend(loaded)


def _check_backend(loaded: Loaded[ClusterConfig]) -> None:
    """There are state actors, or an etcd cluster in their place."""
    state = loaded.value.state
    holders = nodes_of_role(loaded.value, "state")
    if state.backend == "etcd":
        if not state.endpoints:
            raise loaded.error(
                ["state"], "key endpoints is missing: where the etcd cluster is, as https://10.0.0.1:2379"
            )
        for index, endpoint in enumerate(state.endpoints):
            if not _ENDPOINT.match(endpoint):
                raise loaded.error(["state", "endpoints", index], "expected http://HOST:PORT or https://HOST:PORT")
        if holders:
            complaint = "state.backend is etcd, so no node has the role state"
            raise loaded.error(["nodes", holders[0], "roles"], complaint)
        return
    for key in ("endpoints", "tls"):
        if getattr(state, key):
            raise loaded.error(["state", key], "only where state.backend is etcd")
    if not holders:
        raise loaded.error(["nodes"], "no node has the role state")
    if len(holders) > MAX_STATE_MEMBERS:
        place = ["nodes", holders[MAX_STATE_MEMBERS], "roles"]
        raise loaded.error(place, f"at most {MAX_STATE_MEMBERS} nodes have the role state")


def _check_members(loaded: Loaded[ClusterConfig]) -> None:
    """Who founds the group of state actors must be there."""
    known = [f"state@{name}" for name in nodes_of_role(loaded.value, "state")]
    for index, name in enumerate(loaded.value.state.initial_members):
        if name not in known:
            complaint = f"{name} is no state actor of this cluster; {suggestion(name, known)}"
            raise loaded.error(["state", "initial_members", index], complaint)


def _check_ports(loaded: Loaded[ClusterConfig]) -> None:
    config = loaded.value
    found = _PORT_RANGE.match(config.network.node_ports)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= 65535:
        raise loaded.error(["network", "node_ports"], "expected a range of ports, as 30000-32767")
    for key in ("apiserver", "balancer"):
        port = getattr(config, key).port
        if not 0 <= port <= 65535:
            raise loaded.error([key, "port"], f"expected a port from 0 to 65535, got {port}")
        if int(found[1]) <= port <= int(found[2]):
            raise loaded.error([key, "port"], f"{port} is within network.node_ports")
    if not 1 <= config.apiserver.processes <= MAX_PROCESSES:
        complaint = f"expected 1 to {MAX_PROCESSES}, got {config.apiserver.processes}"
        raise loaded.error(["apiserver", "processes"], complaint)
    _check_doors(loaded)


def _check_doors(loaded: Loaded[ClusterConfig]) -> None:
    """No two API servers, balancers or state actors listen at the same place."""
    config = loaded.value
    taken: dict[tuple[str, str, int], str] = {}
    doors = [("apiserver", apiserver_bind, ["apiserver"]), ("balancer", balancer_bind, ["balancer"])]
    if config.state.etcd is not None:
        doors.append(("state", etcd_bind, ["state", "etcd"]))
        if not config.state.etcd.tls and not is_loopback(config.state.etcd.bind):
            raise loaded.error(["state", "etcd", "tls"], "without it etcd's clients can be served on loopback only")
    for role, bind, place in doors:
        for name in nodes_of_role(config, role):
            host, port = bind(config, name)
            if not port:
                continue
            other = taken.setdefault((config.nodes[name].address, host, port), f"{role}@{name}")
            if other != f"{role}@{name}":
                complaint = f"{role}@{name} and {other} would both listen on {host} port {port}; choose another one"
                raise loaded.error([*place, "port"], complaint)


def _check_binds(loaded: Loaded[ClusterConfig]) -> None:
    """What is listened at is an address or a name of this machine, without a port."""
    config = loaded.value
    binds: list[tuple[list[str], str]] = [(["apiserver", "bind"], config.apiserver.bind)]
    binds.append((["balancer", "bind"], config.balancer.bind))
    if config.state.etcd is not None:
        binds.append((["state", "etcd", "bind"], config.state.etcd.bind))
    for place, text in binds:
        if not _is_host(text):
            raise loaded.error(place, f"expected an IP address or a name, as 127.0.0.1 or 0.0.0.0, got {text!r}")


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        is_mistyped = text.rpartition(".")[2].isdigit()  # an address: no name ends in a number
        return not is_mistyped and not names.dns_subdomain(text.lower())
    return True


def _check_addresses(loaded: Loaded[ClusterConfig]) -> None:
    """Nodes on several machines: each has an address, and no two actors the same one."""
    nodes = loaded.value.nodes
    if not any(node.address for node in nodes.values()):
        return
    ports: dict[tuple[str, int], str] = {}
    for name, node in nodes.items():
        if not node.address:
            raise loaded.error(["nodes", name], "key address is missing: where one node has one, all need one")
        _check_address(loaded, name, node)
        for other, (address, first) in ((other, place) for place, other in ports.items()):
            if address == node.address and abs(first - node.bus_port) < PORTS_PER_NODE:
                complaint = f"{other} has ports at {address}, too: {PORTS_PER_NODE} from bus_port on; give another one"
                raise loaded.error(["nodes", name, "bus_port"], complaint)
        ports[node.address, node.bus_port] = name


def _check_address(loaded: Loaded[ClusterConfig], name: str, node: NodeConfig) -> None:
    try:
        ipaddress.ip_address(node.address)
    except ValueError as error:
        raise loaded.error(["nodes", name, "address"], f"expected an IP address: {error}") from error
    if not 1 <= node.bus_port <= 65536 - PORTS_PER_NODE:
        raise loaded.error(["nodes", name, "bus_port"], f"expected 1 to {65536 - PORTS_PER_NODE}, got {node.bus_port}")
    if "apiserver" in node.roles and not loaded.value.apiserver.port:
        raise loaded.error(["apiserver", "port"], "other machines can't guess it: 0 is for a cluster on one machine")


def _check_networks(loaded: Loaded[ClusterConfig]) -> None:
    network = loaded.value.network
    if names.dns_subdomain(network.domain):
        raise loaded.error(["network", "domain"], f"expected a DNS domain, as cluster.local, got {network.domain!r}")
    if network.bridge and not _BRIDGE.fullmatch(network.bridge):
        complaint = f"expected the name of a network interface, up to 15 letters and digits, got {network.bridge!r}"
        raise loaded.error(["network", "bridge"], complaint)
    pods = _network(loaded, "pod_cidr", network.pod_cidr)
    services = _network(loaded, "service_cidr", network.service_cidr)
    if pods.overlaps(services):
        raise loaded.error(["network", "service_cidr"], f"{services} overlaps pod_cidr {pods}")
    if not pods.prefixlen <= network.node_cidr_mask <= pods.max_prefixlen - 2:
        expected = f"expected {pods.prefixlen} to {pods.max_prefixlen - 2}"
        raise loaded.error(["network", "node_cidr_mask"], f"{expected}, got {network.node_cidr_mask}")
    if len(node_names(loaded.value)) > subnets(loaded.value):
        raise loaded.error(["network", "pod_cidr"], _too_few_subnets(loaded.value))


def _network(loaded: Loaded[ClusterConfig], key: str, text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise loaded.error(["network", key], f"expected an IPv4 network, as 10.96.0.0/16: {error}") from error


def _check_times(loaded: Loaded[ClusterConfig]) -> None:
    controllers = loaded.value.controllers
    for name in ControllerConfig.__struct_fields__:
        if getattr(controllers, name) <= 0:
            raise loaded.error(["controllers", name], f"expected more than 0, got {getattr(controllers, name)}")
    if not controllers.lease_duration_s > controllers.renew_deadline_s > controllers.retry_period_s * 1.2:
        raise loaded.error(
            ["controllers", "lease_duration_s"], "expected lease_duration_s > renew_deadline_s > 1.2 * retry_period_s"
        )
    for key in ("segment_bytes", "snapshot_every_bytes", "compact_every_s"):
        if getattr(loaded.value.state, key) <= 0:
            raise loaded.error(["state", key], f"expected more than 0, got {getattr(loaded.value.state, key)}")

"""Where the doors of a cluster are, as its config says: API servers, balancers, and the bus of nodes on other machines.

API servers that share a machine get ports one after the other, in the config's order, and so do state actors that
serve etcd's API. An actor of a node with an `address` listens there for the bus, too, at a port that its role decides,
so that every machine finds it from the config alone; on one machine actors meet in the run directory.

Neighbours: the API server and the balancer listen where this says; `actors.cluster` hands it on to clients and actors.
"""

import ipaddress
from typing import NamedTuple

from actors.api.config import ClusterConfig

# The order decides ports, so a role keeps its place for ever; new ones come last.
ROLES = ("state", "apiserver", "scheduler", "controller-manager", "kubelet", "proxy", "balancer")
PORTS_PER_NODE = 2 * len(ROLES)  # each actor has one for its work and one for its events


class Address(NamedTuple):
    """A host, without the brackets of IPv6, and a port. Port 0: any, which is known once somebody listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read what `str` of an Address wrote."""
    host, _, port = text.strip().rpartition(":")
    return Address(host.strip("[]"), int(port))


def nodes_of_role(config: ClusterConfig, role: str) -> list[str]:
    """Return the names of the nodes with a role, in the config's order."""
    return [name for name, node in config.nodes.items() if role in node.roles]


def processes_of(config: ClusterConfig, role: str, node: str) -> list[str]:
    """Return the names of the actors that play a role on a node: several only of API servers that share a port.

    The first has the plain name, and the others begin once it serves.
    """
    count = config.apiserver.processes if role == "apiserver" else 1
    return [f"{role}@{node}", *(f"{role}@{node}.{number}" for number in range(2, count + 1))]


def apiserver_bind(config: ClusterConfig, node: str) -> Address:
    """Return where the API server of a node listens."""
    return _bind(config, node, "apiserver", Address(config.apiserver.bind, config.apiserver.port))


def etcd_bind(config: ClusterConfig, node: str) -> Address:
    """Return where the state actor of a node serves etcd's API."""
    assert config.state.etcd is not None, "the config asks for no such thing"
    return _bind(config, node, "state", Address(config.state.etcd.bind, config.state.etcd.port))


def _bind(config: ClusterConfig, node: str, role: str, first: Address) -> Address:
    """Return where an actor listens when the first of its role and machine listens at `first`."""
    own = config.nodes[node].address
    before = nodes_of_role(config, role)
    before = before[: before.index(node)]
    index = sum(1 for name in before if config.nodes[name].address == own)
    return Address(own if own and is_loopback(first.host) else first.host, first.port + index if first.port else 0)


def balancer_bind(config: ClusterConfig, node: str) -> Address:
    """Return where the balancer of a node listens: for clients on its machine, unless the config says more."""
    return Address(config.balancer.bind, config.balancer.port)


def reachable(address: Address) -> Address:
    """Return what to connect to on this machine for an address that was bound: the loopback for all-zeros."""
    try:
        host = ipaddress.ip_address(address.host)
    except ValueError:
        return address
    if host.is_unspecified:
        return address._replace(host="127.0.0.1" if host.version == 4 else "::1")
    return address


def apiserver_address(config: ClusterConfig, node: str) -> Address:
    """Return where clients reach the API server of a node."""
    return client_address(config, node, apiserver_bind(config, node))


def client_address(config: ClusterConfig, node: str, bound: Address) -> Address:
    """Return where clients reach what listens on a node."""
    own = config.nodes[node].address
    if own and is_unspecified(bound.host):
        return bound._replace(host=own)
    return reachable(bound)


def bus_endpoints(config: ClusterConfig) -> dict[str, dict[str, str]]:
    """Return the endpoints for other machines, by actor and socket, of the actors on nodes with an address."""
    found = {}
    for name, node in config.nodes.items():
        if node.address:
            for role in node.roles:
                found[f"{role}@{name}"] = _endpoints_of(node.address, node.bus_port + 2 * ROLES.index(role))
    return found


def _endpoints_of(address: str, port: int) -> dict[str, str]:
    return {"work": f"tcp://{Address(address, port)}", "events": f"tcp://{Address(address, port + 1)}"}


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False

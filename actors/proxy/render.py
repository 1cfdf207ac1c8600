"""Services and EndpointSlices, rendered: the items of the ruleset that one Service needs.

A packet to a service address is looked up once, in a map from (address, protocol, port) to a chain. The chain picks an
endpoint by a random number out of a map, so that the cost grows neither with the number of services nor of endpoints:

    service-…    any endpoint of the port
    local-…      those on this node, for traffic policy Local
    external-…   how traffic from outside comes in: through a node port, an external or a load balancer's address
    endpoint-…   one endpoint; only with session affinity, where it also remembers the client

Where no endpoint takes traffic, the address stands in a map of refusals instead: reject where there is none at all,
drop where the policy is Local and there is none on this node.

Masquerading: traffic from outside the pod network, or that came in through a node, gets the node's address as its
source, so that answers come back this way. So does a pod that is sent to itself.

Neighbours: `service` and `endpoints` read the objects, `model` holds the items, `base` declares the maps.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from actors.proxy.base import (
    CLUSTER_IPS,
    FIREWALL_IPS,
    HAIRPIN,
    MARK_FOR_MASQUERADE,
    NO_ENDPOINT_NODEPORTS,
    NO_ENDPOINT_SERVICES,
    REJECT,
    SERVICE_IPS,
    SERVICE_NODEPORTS,
)
from actors.proxy.endpoints import Endpoint, Endpoints, endpoints_of
from actors.proxy.model import AffinitySet, Chain, Element, Fragment, Item, Value
from actors.proxy.service import ServicePort, service_ports

READABLE = 80  # characters of a chain's name that tell a reader whose it is; the kernel takes 127 in all

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Locality:
    """Where this proxy is."""

    node: str
    pod_cidr: str


def render_service(service: Object | None, slices: Iterable[Object], locality: Locality) -> Fragment:
    """Return what a Service needs in the ruleset; nothing for one that is gone."""
    items: dict[Item, Value] = {}
    found = list(slices)
    for port in service_ports(service) if service else ():
        endpoints = endpoints_of(found, port.port_name, port.protocol, locality.node)
        items |= _PortRenderer(port, endpoints, locality).render()
    return items


class _PortRenderer:
    """One service port. Collects items; chains are made when something first goes to them."""

    def __init__(self, port: ServicePort, endpoints: Endpoints, locality: Locality) -> None:
        self._port = port
        self._endpoints = endpoints
        self._locality = locality
        self._items: dict[Item, Value] = {}

    def render(self) -> dict[Item, Value]:
        port = self._port
        for ip in port.cluster_ips:
            self._items[Element(CLUSTER_IPS, ip)] = ""
            self._address(ip, self._internal())
        for ip in port.external_ips + port.load_balancer_ips:
            self._address(ip, self._external())
        if port.node_port:
            self._node_port(self._external())
        if port.source_ranges:
            self._firewall()
        for endpoint in {*self._endpoints.cluster, *self._endpoints.local}:
            self._items[Element(HAIRPIN, f"{endpoint.ip} . {endpoint.ip}")] = ""
        return self._items

    def _address(self, ip: str, verdicts: tuple[str, str]) -> None:
        accepted, refused = verdicts
        key = f"{ip} . {self._port.protocol} . {self._port.port}"
        self._verdicts(SERVICE_IPS, NO_ENDPOINT_SERVICES, key, accepted, refused)

    def _node_port(self, verdicts: tuple[str, str]) -> None:
        accepted, refused = verdicts
        key = f"{self._port.protocol} . {self._port.node_port}"
        self._verdicts(SERVICE_NODEPORTS, NO_ENDPOINT_NODEPORTS, key, accepted, refused)

    def _verdicts(self, services: str, refusals: str, key: str, accepted: str, refused: str) -> None:
        if accepted:
            self._items[Element(services, key)] = accepted
        if refused:
            self._items[Element(refusals, key)] = refused

    def _internal(self) -> tuple[str, str]:
        """Return (verdict, refusal) for traffic to the cluster IP; either may be empty."""
        if not self._endpoints.cluster:
            return "", f"goto {REJECT}"
        if not self._port.internal_local:
            return f"goto {self._service_chain()}", ""
        return (f"goto {self._local_chain()}", "") if self._endpoints.local else ("", "drop")

    def _external(self) -> tuple[str, str]:
        """Return (verdict, refusal) for traffic that comes in through a node.

        With policy Local and no local endpoint there are both: the node itself and its pods are let through.
        """
        if not self._endpoints.cluster:
            return "", f"goto {REJECT}"
        chain = Chain(self._name("external"))
        service = self._service_chain()
        if not self._port.external_local:
            self._items[chain] = (f"jump {MARK_FOR_MASQUERADE}", f"goto {service}")
            return f"goto {chain.name}", ""
        rules = [
            f"ip saddr {self._locality.pod_cidr} goto {service}",
            f"fib saddr type local jump {MARK_FOR_MASQUERADE}",
            f"fib saddr type local goto {service}",
        ]
        if self._endpoints.local:
            rules.append(f"goto {self._local_chain()}")
        self._items[chain] = tuple(rules)
        return f"goto {chain.name}", "" if self._endpoints.local else "drop"

    def _service_chain(self) -> str:
        return self._balancing_chain("service", self._endpoints.cluster)

    def _local_chain(self) -> str:
        return self._balancing_chain("local", self._endpoints.local)

    def _balancing_chain(self, kind: str, endpoints: tuple[Endpoint, ...]) -> str:
        chain = Chain(self._name(kind))
        if chain not in self._items:
            with_affinity = self._port.affinity_timeout_s > 0
            self._items[chain] = self._affinity_rules(endpoints) if with_affinity else self._random_rules(endpoints)
        return chain.name

    def _random_rules(self, endpoints: tuple[Endpoint, ...]) -> tuple[str, ...]:
        picks = ", ".join(f"{number} : {e.ip} . {e.port}" for number, e in enumerate(endpoints))
        choice = f"numgen random mod {len(endpoints)} map {{ {picks} }}"
        return (f"meta l4proto {self._port.protocol} dnat ip to {choice}",)

    def _affinity_rules(self, endpoints: tuple[Endpoint, ...]) -> tuple[str, ...]:
        """A client that an endpoint remembers goes there again; the others are spread."""
        known, picks = [], []
        for number, endpoint in enumerate(endpoints):
            chain, clients = self._remembering_endpoint(endpoint)
            known.append(f"ip saddr @{clients} goto {chain}")
            picks.append(f"{number} : goto {chain}")
        return (*known, f"numgen random mod {len(endpoints)} vmap {{ {', '.join(picks)} }}")

    def _remembering_endpoint(self, endpoint: Endpoint) -> tuple[str, str]:
        timeout_s = self._port.affinity_timeout_s
        about = f"{endpoint.ip}/{endpoint.port}"
        chain = self._name("endpoint", about)
        clients = self._name("affinity", f"{about}/{timeout_s}s")  # a set's timeout is fixed: another one, another set
        self._items[AffinitySet(clients)] = timeout_s
        self._items[Chain(chain)] = (
            f"update @{clients} {{ ip saddr }}",
            f"meta l4proto {self._port.protocol} dnat ip to {endpoint.ip}:{endpoint.port}",
        )
        return chain, clients

    def _firewall(self) -> None:
        chain = Chain(self._name("firewall"))
        self._items[chain] = (f"ip saddr != {{ {', '.join(sorted(set(self._port.source_ranges)))} }} drop",)
        for ip in self._port.load_balancer_ips:
            key = f"{ip} . {self._port.protocol} . {self._port.port}"
            self._items[Element(FIREWALL_IPS, key)] = f"goto {chain.name}"

    def _name(self, kind: str, about: str = "") -> str:
        """Return a name that is unique by its digest and readable by the rest."""
        identity = f"{self._port.identity}/{about}" if about else self._port.identity
        digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
        return f"{kind}-{digest}-{identity[:READABLE]}"

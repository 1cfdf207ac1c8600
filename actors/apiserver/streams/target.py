"""Where a proxied request goes: names such as `https:web:http` taken apart, and what they stand for found in the cache.

    pods/[SCHEME:]NAME[:PORT]      the port's number or name; without one the first that the pod declares
    services/[SCHEME:]NAME[:PORT]  the service's port by number or name; one of its ready endpoints, at random
    nodes/[SCHEME:]NAME[:PORT]     the kubelet itself, or a port at the node's address

Source: the ResourceLocation functions of Kubernetes' registry. Neighbours: `proxy` opens a pipe to what is found here.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from actors.api import errors
from actors.apiserver.integers import port_of
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.server import Server

SERVICE_NAME = "kubernetes.io/service-name"  # the label by which a slice belongs to a service
KUBELET_PORT = 10250  # of other kubelets' HTTPS server; ours answers on the bus
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A name of a path, taken apart."""

    scheme: str
    name: str
    port: str


@dataclass(frozen=True, slots=True)
class Target:
    """A server. With `pod` it is reached through the kubelet of `node`, else at `address`."""

    scheme: str
    address: str
    port: int
    namespace: str = ""
    pod: str = ""
    uid: str = ""
    node: str = ""


def take_apart(text: str) -> Wanted:
    """Read NAME, NAME:PORT or SCHEME:NAME:PORT. Raises ApiError."""
    parts = text.split(":")
    if len(parts) == 1:
        return Wanted("http", text, "")
    if len(parts) == 2:
        return Wanted("http", *parts)
    scheme, name, port = parts if len(parts) == 3 else ("", "", "")
    if not name or scheme not in ("", "http", "https"):
        raise errors.bad_request(f'invalid proxy request "{text}": it must be [SCHEME:]NAME[:PORT]')
    return Wanted(scheme or "http", name, port)


def of_pod(server: Server, pods: Resource, namespace: str, wanted: Wanted) -> Target:
    pod = _object(server, pods, namespace, wanted.name)
    port = _pod_port(pod, wanted)
    return _pod_target(pod, wanted.scheme, port)


def _pod_port(pod: dict[str, Any], wanted: Wanted) -> int:
    declared = [
        port for container in pod["spec"].get("containers") or () for port in container.get("ports") or ()
    ]  # fmt: skip
    if not wanted.port:
        return declared[0]["containerPort"] if declared else DEFAULT_PORTS[wanted.scheme]
    by_name = {port.get("name"): port["containerPort"] for port in declared if port.get("name")}
    return by_name.get(wanted.port) or _number(wanted.port)


def _pod_target(pod: dict[str, Any], scheme: str, port: int) -> Target:
    metadata, node = pod["metadata"], pod["spec"].get("nodeName", "")
    address = (pod.get("status") or {}).get("podIP", "")
    if not node or not address:
        raise errors.bad_request(f"address not allowed: pod {metadata['name']} has none yet")
    return Target(scheme, address, port, metadata["namespace"], metadata["name"], metadata["uid"], node)


def of_service(server: Server, services: Resource, namespace: str, wanted: Wanted, random: Random) -> Target:
    service = _object(server, services, namespace, wanted.name)
    name = _service_port_name(service, wanted)
    candidates = list(_endpoints(server, namespace, wanted.name, name))
    if not candidates:
        raise errors.unavailable(f'no endpoints available for service "{wanted.name}"')
    endpoint, port = random.choice(candidates)
    reference = endpoint.get("targetRef") or {}
    address = random.choice(endpoint["addresses"])
    if reference.get("kind") == "Pod" and endpoint.get("nodeName"):
        return Target(
            wanted.scheme, address, port, reference.get("namespace") or namespace, reference["name"],
            reference.get("uid", ""), endpoint["nodeName"],
        )  # fmt: skip
    return Target(wanted.scheme, _proxyable(address), port)


def _service_port_name(service: dict[str, Any], wanted: Wanted) -> str:
    """Return the name of the wanted port: endpoints know ports by their names."""
    number = port_of(wanted.port)
    if number is None:
        return wanted.port
    for port in service["spec"].get("ports") or ():
        if port["port"] == number:
            return port.get("name", "")
    raise errors.unavailable(f'no service port {wanted.port} found for service "{wanted.name}"')


def _endpoints(server: Server, namespace: str, service: str, port_name: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each ready endpoint of a service with the number of the named port."""
    slices = server.registry.lookup("discovery.k8s.io", "v1", "endpointslices")
    assert slices is not None, "endpoint slices are built in"
    cache = server.cache.of(slices)
    for entry in cache.within(slices.key(namespace, "")):
        if entry.traits(cache.fields)[0].get(SERVICE_NAME) != service:
            continue
        found = entry.decode()
        numbers = [port["port"] for port in found.get("ports") or () if (port.get("name") or "") == port_name]
        for endpoint in found.get("endpoints") or () if numbers else ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                yield endpoint, numbers[0]


def of_node(server: Server, nodes: Resource, wanted: Wanted) -> Target:
    """Return where a node is: with `node` and no address it is its kubelet."""
    node = _object(server, nodes, "", wanted.name)
    if not wanted.port or wanted.port == str(KUBELET_PORT):
        return Target(wanted.scheme, "", KUBELET_PORT, node=wanted.name)
    addresses = {item["type"]: item["address"] for item in (node.get("status") or {}).get("addresses") or ()}
    address = addresses.get("InternalIP") or addresses.get("ExternalIP")
    if not address:
        raise errors.unavailable(f"node {wanted.name} has no address")
    return Target(wanted.scheme, _proxyable(address), _number(wanted.port))


def _object(server: Server, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
    entry = server.cache.of(resource).entries.get(resource.key(namespace, name))
    if entry is None:
        raise errors.not_found(resource.group_resource, name)
    return entry.decode()


def _number(text: str) -> int:
    number = port_of(text)
    if number is None:
        raise errors.bad_request(f'"{text[:64]}" is not a port')
    return number


def _proxyable(address: str) -> str:
    """Refuse addresses of the API server's own machine that nobody but it should reach."""
    ip = ipaddress.ip_address(address)
    if ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise errors.bad_request(f"address not allowed: {address}")
    return address

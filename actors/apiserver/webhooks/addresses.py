"""Where a webhook's Service can be reached: one of its ready endpoints, found in the watch cache.

An API server need not be where a Service's virtual address means anything, so that the endpoints come first. Without a
selector and without endpoints, the cluster address is all there is. Pure.

Neighbours: `client` connects. Source: Kubernetes' aggregator, which resolves in the same two ways.
"""

from collections.abc import Iterable
from random import Random
from typing import Any

from actors.apiserver.storage.watch_cache import WatchCache
from actors.apiserver.webhooks.configuration import ServiceReference

SERVICES = b"/registry/services/"
SLICES = b"/registry/discovery.k8s.io/endpointslices/"
SERVICE_NAME = "kubernetes.io/service-name"

Object = dict[str, Any]


class NoAddress(Exception):
    """The Service is not there, has no such port, or nobody serves it; the text says which."""


def find_address(cache: WatchCache, reference: ServiceReference, choose: Random) -> tuple[str, int]:
    """Return (host, port). Raises NoAddress."""
    entry = cache.at(SERVICES).entries.get(SERVICES + f"{reference.namespace}/{reference.name}".encode())
    if entry is None:
        raise NoAddress(f'service "{reference.name}" not found')
    spec = entry.decode().get("spec") or {}
    if spec.get("type") == "ExternalName":
        return spec["externalName"], reference.port
    port = next((one for one in spec.get("ports") or () if one.get("port") == reference.port), None)
    if port is None:
        raise NoAddress(f'no service port {reference.port} found for service "{reference.name}"')
    found = list(_endpoints(cache, reference, port.get("name") or ""))
    if found:
        return choose.choice(found)
    address = spec.get("clusterIP")
    if spec.get("selector") or address in (None, "", "None"):
        raise NoAddress(f'no endpoints available for service "{reference.name}"')
    return address, reference.port


def _endpoints(cache: WatchCache, reference: ServiceReference, port_name: str) -> Iterable[tuple[str, int]]:
    slices = cache.at(SLICES)
    for entry in slices.within(SLICES + reference.namespace.encode() + b"/"):
        if entry.traits(slices.fields)[0].get(SERVICE_NAME) != reference.name:
            continue
        found = entry.decode()
        port = next((one.get("port") for one in found.get("ports") or () if (one.get("name") or "") == port_name), None)
        for endpoint in found.get("endpoints") or ():
            if port and (endpoint.get("conditions") or {}).get("ready") is not False:
                yield from ((address, port) for address in endpoint.get("addresses") or ())

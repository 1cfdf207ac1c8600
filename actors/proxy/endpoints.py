"""What stands behind a service port: the endpoints of its EndpointSlices, and which of them take traffic.

Ready endpoints do. Where none is ready, those that still serve while they terminate do, so that a rollout of a single
replica loses nothing. For a Local traffic policy the same choice is made among the endpoints of this node alone.
Source: KEP-1672 (tracking terminating endpoints), KEP-1669 (proxy terminating endpoints).

Neighbours: `service` names the ports, `render` turns endpoints into rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

SERVICE_NAME = "kubernetes.io/service-name"

Object = dict[str, Any]


class Endpoint(NamedTuple):
    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    endpoint: Endpoint
    ready: bool
    serving: bool
    terminating: bool
    local: bool


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Sorted, so that the same endpoints always give the same rules."""

    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()


def endpoints_of(slices: Iterable[Object], port_name: str, protocol: str, node: str) -> Endpoints:
    """Return the endpoints that take traffic for a port, wherever they are and on `node`."""
    candidates: dict[Endpoint, _Candidate] = {}
    for endpoint_slice in slices:
        for candidate in _candidates(endpoint_slice, port_name, protocol, node):
            known = candidates.get(candidate.endpoint)
            if known is None or (candidate.ready and not known.ready):
                candidates[candidate.endpoint] = candidate  # in two slices for a moment, while it moves between them
    found = sorted(candidates.values(), key=lambda candidate: candidate.endpoint)
    return Endpoints(_usable(found), _usable([candidate for candidate in found if candidate.local]))


def _usable(candidates: list[_Candidate]) -> tuple[Endpoint, ...]:
    ready = tuple(c.endpoint for c in candidates if c.ready)
    return ready or tuple(c.endpoint for c in candidates if c.serving and c.terminating)


def _candidates(endpoint_slice: Object, port_name: str, protocol: str, node: str) -> Iterable[_Candidate]:
    if endpoint_slice.get("addressType") != "IPv4":
        return
    numbers = [
        port["port"]
        for port in endpoint_slice.get("ports") or ()
        if (port.get("name") or "") == port_name and (port.get("protocol") or "TCP").lower() == protocol
        if port.get("port")
    ]
    for endpoint in endpoint_slice.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        ready = conditions.get("ready") is not False
        serving = conditions.get("serving")
        for number in numbers:
            for address in (endpoint.get("addresses") or ())[:1]:  # the others mean the same endpoint
                yield _Candidate(
                    endpoint=Endpoint(address, number),
                    ready=ready,
                    serving=ready if serving is None else serving,
                    terminating=bool(conditions.get("terminating")),
                    local=endpoint.get("nodeName") == node,
                )

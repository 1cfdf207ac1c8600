"""Forgetting UDP flows that lead nowhere any more.

The kernel decides the way of a flow with its first packet and remembers it. TCP notices a dead endpoint and connects
again; a UDP client may keep its port and send to a gone pod for ever. So when an endpoint goes, or the first one comes
for an address that was refused until then, the flows in question are deleted from connection tracking.

Neighbours: `render`'s objects go in, `command` runs the tool. Without the tool flows end by their timeout.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from actors.proxy.endpoints import endpoints_of
from actors.proxy.service import service_ports
from runtime.command import CommandFailed, run

MAX_COMMANDS = 256  # after one change; beyond it flows of whole addresses are deleted instead of those to one endpoint


class Frontend(NamedTuple):
    """Where clients send to: an address and port, or a port of the node (ip is empty)."""

    ip: str
    port: int


Flows = Mapping[Frontend, frozenset[str]]  # the endpoints' addresses that each frontend may lead to


def udp_flows(service: dict[str, Any] | None, slices: Iterable[dict[str, Any]], node: str) -> Flows:
    flows: dict[Frontend, frozenset[str]] = {}
    found = list(slices)
    for port in service_ports(service) if service else ():
        if port.protocol != "udp":
            continue
        endpoints = endpoints_of(found, port.port_name, port.protocol, node)
        addresses = frozenset(e.ip for e in (*endpoints.cluster, *endpoints.local))
        for ip in port.cluster_ips + port.external_ips + port.load_balancer_ips:
            flows[Frontend(ip, port.port)] = addresses
        if port.node_port:
            flows[Frontend("", port.node_port)] = addresses
    return flows


def stale(before: Flows, after: Flows) -> list[tuple[str, ...]]:
    """Return the arguments of the deletions that a change calls for."""
    deletions: list[tuple[str, ...]] = []
    for frontend, old in before.items():
        new = after.get(frontend, frozenset())
        deletions += [(*_filter(frontend), "--reply-src", address) for address in sorted(old - new)]
        if not old and new:
            deletions.append(_filter(frontend))
    if len(deletions) > MAX_COMMANDS:
        return list(dict.fromkeys(_filter(frontend) for frontend, old in before.items() if old != after.get(frontend)))
    return deletions


def _filter(frontend: Frontend) -> tuple[str, ...]:
    at = ("--orig-dst", frontend.ip) if frontend.ip else ()
    return ("-D", "-p", "udp", *at, "--orig-port-dst", str(frontend.port))


async def forget(deletion: tuple[str, ...]) -> None:
    """Delete flows; that there are none is no error. CommandFailed when the tool cannot do it."""
    try:
        await run("conntrack", *deletion)
    except CommandFailed as error:
        if "0 flow entries" not in str(error):
            raise

"""What a cluster would collide with on this machine: routes to networks that overlap its own.

Pods of two clusters whose pod networks overlap would both be reachable over one route, that is: one of them not at all,
and probes would fail with "no route to host" long after the start. So it is said before anything starts.

Neighbours: `bringup` asks; `actors.api.network` names the bridge whose routes are the cluster's own.
"""

import ipaddress
import struct
from pathlib import Path

from actors.api.config import ClusterConfig

ROUTES = Path("/proc/net/route")  # the main table, IPv4; its numbers are in the machine's byte order


def network_collisions(config: ClusterConfig, bridge: str) -> list[str]:
    """Return a line for each network of the cluster that something else on this machine uses."""
    return overlaps(config, bridge, ROUTES.read_text()) if ROUTES.exists() else []


def overlaps(config: ClusterConfig, bridge: str, routes: str) -> list[str]:
    """The same, of the kernel's routes as text."""
    found = []
    for key, cidr in (("pod_cidr", config.network.pod_cidr), ("service_cidr", config.network.service_cidr)):
        own = ipaddress.IPv4Network(cidr)
        for device, taken in _routed(routes):
            if not device.startswith(bridge) and taken.overlaps(own):
                found.append(f"network.{key} {own} overlaps {taken} of {device}; choose another in the config")
    return found


def _routed(routes: str) -> list[tuple[str, ipaddress.IPv4Network]]:
    """Return (device, network) of each route but the default ones."""
    found = []
    for line in routes.splitlines()[1:]:
        device, destination, _, _, _, _, _, mask = line.split()[:8]
        if int(mask, 16):
            found.append((device, ipaddress.IPv4Network(f"{_address(destination)}/{_address(mask)}", strict=False)))
    return found


def _address(word: str) -> str:
    return str(ipaddress.IPv4Address(struct.pack("=I", int(word, 16))))

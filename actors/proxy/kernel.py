"""What the proxy needs of the kernel besides nftables: forwarding, bridged packets in the hooks, a route.

Forwarding lets packets of pods pass between interfaces. Bridged packets must pass the IP hooks too: a pod that reaches
another one of its own node through a Service gets its answer over the bridge, and only the hooks can turn the address
of the answer back. The route makes a packet to any service address, known or not, look at the bridge, so that a host
without a default route reaches services as well.

All of it is per network namespace: the files under /proc/sys/net show the caller's own.

Neighbours: `actor` calls it at start and now and then; `command` runs the tools.
"""

import socket
from ipaddress import IPv4Network
from pathlib import Path

from runtime.command import CommandFailed, run

SYSCTLS = Path("/proc/sys")
IP_FORWARD = "net/ipv4/ip_forward"
BRIDGE_CALLS_HOOKS = "net/bridge/bridge-nf-call-iptables"  # for nftables too, in spite of its name
ROUTES = Path("/proc/self/net/route")


def write_sysctl(name: str, value: str) -> None:
    """Set a sysctl that has another value; CommandFailed says which and why not."""
    path = SYSCTLS / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        raise CommandFailed(f"sysctl {name.replace('/', '.')} could not be set to {value}: {error.strerror}") from error


async def prepare() -> list[str]:
    """Set what packets need to pass; return what could not be done and what follows from it."""
    problems = []
    try:
        write_sysctl(IP_FORWARD, "1")
    except CommandFailed as error:
        problems.append(f"{error}; traffic between pods and services is not forwarded")
    try:
        if not (SYSCTLS / BRIDGE_CALLS_HOOKS).exists():
            await run("modprobe", "br_netfilter")
        write_sysctl(BRIDGE_CALLS_HOOKS, "1")
    except CommandFailed as error:
        problems.append(f"{error}; pods may not reach pods of their own node through a service")
    return problems


def has_interface(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def has_route(cidr: str, device: str, table: str | None = None) -> bool:
    """Say whether the main routing table sends exactly this network to the device."""
    network = IPv4Network(cidr)
    wanted = (device, _little_endian(network.network_address.packed), _little_endian(network.netmask.packed))
    lines = (ROUTES.read_text() if table is None else table).splitlines()[1:]
    return any((f[0], f[1], f[7]) == wanted for f in (line.split() for line in lines) if len(f) > 7)


async def ensure_route(cidr: str, device: str) -> bool:
    """Route a network to a device if the device is there and the route is not; say whether it is there now."""
    if not has_interface(device):
        return False
    if not has_route(cidr, device):
        await run("ip", "route", "replace", cidr, "dev", device)
    return True


def _little_endian(packed: bytes) -> str:
    return packed[::-1].hex().upper()

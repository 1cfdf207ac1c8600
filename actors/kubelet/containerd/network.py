"""The pod network of a node: writes what `podnetwork` says, and sees to it that the kernel forwards.

Done once at the kubelet's start and idempotent. The network belongs to the node, not to the kubelet: pods keep it while
the kubelet is away, `actors.cluster.purge` takes it down.

What can go wrong: a kernel without br_netfilter (Services are then unreachable between pods of one node), a FORWARD
policy of DROP without iptables to open it. Both are raised as `NetworkFailed`, in words for the node's condition.
"""

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from actors.kubelet.containerd.podnetwork import (
    CONFLIST_NAME,
    HostPort,
    PodNetwork,
    conflist,
    default_route_device,
    forward_rules,
    gateway,
    node_tables,
)
from actors.kubelet.runtime import RuntimeRefused
from runtime import command
from runtime.command import find_program

PROGRAM_TIMEOUT_S = 20.0  # for nft, iptables and modprobe: the kernel's rule lock may be held by others for seconds
ETHERNET_MTU = 1500
SIOCGIFMTU = 0x8921  # linux/sockios.h
BRIDGE_NF = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


class NetworkFailed(RuntimeRefused):
    """The pod network can't be made."""


async def run(program: str, *words: str, text: str = "") -> str:
    """Run a program to its end and return what it printed; NetworkFailed when it is missing or fails."""
    try:
        return await command.run(program, *words, text=text, deadline_s=PROGRAM_TIMEOUT_S)
    except command.CommandFailed as error:
        raise NetworkFailed(str(error)) from error


async def ensure(
    instance: str, network: PodNetwork, host_ports: Sequence[HostPort], conf_dir: Path, *, tables: str
) -> None:
    """Make the node's pod network what `network` says. Its nftables tables are named after `tables`."""
    await _bridge(network)
    await _forward(instance, network)
    await run("nft", "-f", "-", text=node_tables(tables, network, host_ports))
    _write(conf_dir / CONFLIST_NAME, conflist(network))


async def _bridge(network: PodNetwork) -> None:
    """Make the bridge, so that the first pod need not: with its address, up, and routed for the node's own loopback."""
    if network.bridge not in (name for _, name in socket.if_nameindex()):
        await run("ip", "link", "add", "name", network.bridge, "type", "bridge")
    for subnet in network.subnets:
        await run("ip", "address", "replace", gateway(subnet), "dev", network.bridge)
    await run("ip", "link", "set", network.bridge, "up")
    _switch_on(Path("/proc/sys/net/ipv4/conf") / network.bridge / "route_localnet")


async def _forward(instance: str, network: PodNetwork) -> None:
    versions = {ipaddress.ip_network(subnet).version for subnet in network.subnets}
    if 4 in versions:
        _switch_on(Path("/proc/sys/net/ipv4/ip_forward"))
    if 6 in versions:
        _switch_on(Path("/proc/sys/net/ipv6/conf/all/forwarding"))
    if not BRIDGE_NF.exists():
        await run("modprobe", "br_netfilter")
    _switch_on(BRIDGE_NF)
    if find_program("iptables") is not None:
        await _open_forward_chain(instance, network.bridge)


async def _open_forward_chain(instance: str, bridge: str) -> None:
    """Put our two rules in front of a FORWARD chain that drops; an open one is left alone."""
    rules = await run("iptables", "-w", "-S", "FORWARD")
    if "-P FORWARD DROP" not in rules and "REJECT" not in rules:
        return
    for rule in forward_rules(instance, bridge):
        try:
            await run("iptables", "-w", "-C", *rule)
        except NetworkFailed:
            await run("iptables", "-w", "-I", *rule)


def _switch_on(path: Path) -> None:
    if path.read_text().strip() == "0":
        path.write_text("1")


def _write(path: Path, text: str) -> None:
    """Replace a file, unless it says so already: containerd reloads the network whenever the folder changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() == text:
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _mtu_of(device: str) -> int:
    """Ask by ioctl: a node in a network namespace of its own may still see another one's /sys."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, SIOCGIFMTU, struct.pack("16si12x", device.encode()[:15], 0))
    return int(struct.unpack("16si12x", answer)[1])


def uplink_mtu() -> int:
    """Return the MTU for pods: the default route's where that is less than Ethernet's, else 0 (the default)."""
    routes = Path("/proc/net/route")
    device = default_route_device(routes.read_text()) if routes.exists() else None
    if device is None:
        return 0
    mtu = _mtu_of(device)
    return mtu if mtu < ETHERNET_MTU else 0

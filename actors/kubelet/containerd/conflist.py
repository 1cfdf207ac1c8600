"""The pod network of a node, as CNI configuration and as nftables: what to write. Pure; `network` writes it.

A bridge, addresses by host-local out of the node's podCIDR, host ports by portmap. Masquerading is not left to the CNI
plugins (they use iptables, and a rule set for each pod): one nftables rule does it for the node.
"""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CNI_VERSION = "0.4.0"  # the newest that Ubuntu 22.04's plugins (0.9.1) speak; newer plugins speak it, too
CONFLIST_NAME = "10-kubus.conflist"
MULTICAST = {4: "224.0.0.0/4", 6: "ff00::/8"}
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """One node's pod network."""

    name: str  # of the CNI network: part of file names that plugins share among all containerds of a machine
    bridge: str
    subnets: Sequence[str]  # the node's podCIDRs
    cluster_cidrs: Sequence[str]  # where pods are reached without masquerading
    addresses: str  # host-local's folder
    mtu: int = 0  # 0: the kernel's default
    host_ports: bool = True
    masquerade: bool = True


def conflist(network: PodNetwork) -> str:
    """Return the CNI configuration."""
    families = [ipaddress.ip_network(subnet).version for subnet in network.subnets]
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": network.bridge,
        "isGateway": True,
        "isDefaultGateway": False,
        "forceAddress": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": network.addresses,
            "ranges": [[{"subnet": subnet}] for subnet in network.subnets],
            "routes": [{"dst": ANYWHERE[family]} for family in sorted(set(families))],
        },
    }
    if network.mtu:
        bridge["mtu"] = network.mtu
    plugins = [bridge]
    if network.host_ports:
        plugins.append({"type": "portmap", "capabilities": {"portMappings": True}, "snat": True})
    return json.dumps({"cniVersion": CNI_VERSION, "name": network.name, "plugins": plugins}, indent=2) + "\n"


def table_name(instance: str) -> str:
    return f"kubus-{instance}-cni"


def masquerade_rules(instance: str, network: PodNetwork) -> str:
    """Return an nft transaction that makes this node's table anew: pods take the node's address beyond the cluster."""
    text = []
    for version, family in ((4, "ip"), (6, "ip6")):
        subnets = _of_version(network.subnets, version)
        table = f"{family} {table_name(instance)}"
        if not subnets:
            continue
        text.append(f"table {table}\ndelete table {table}\n")
        if not network.masquerade:
            continue
        inside = ", ".join([*_of_version(network.cluster_cidrs, version), MULTICAST[version]])
        text.append(
            f"table {table} {{\n"
            "  chain postrouting {\n"
            "    type nat hook postrouting priority srcnat; policy accept;\n"
            f"    {family} saddr {{ {', '.join(subnets)} }} {family} daddr != {{ {inside} }} masquerade fully-random\n"
            "  }\n"
            "}\n"
        )
    return "".join(text)


def _of_version(cidrs: Sequence[str], version: int) -> list[str]:
    return [cidr for cidr in cidrs if ipaddress.ip_network(cidr).version == version]


def forward_rules(instance: str, bridge: str) -> list[list[str]]:
    """Return iptables rules that let pods' packets through a FORWARD chain whose policy is DROP, as Docker sets it."""
    comment = ["-m", "comment", "--comment", f"kubus-{instance}", "-j", "ACCEPT"]
    return [["FORWARD", "-i", bridge, *comment], ["FORWARD", "-o", bridge, *comment]]


def default_route_device(routes: str) -> str | None:
    """Return the device of the default route in /proc/net/route."""
    for line in routes.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == "00000000" and fields[7] == "00000000":
            return fields[0]
    return None

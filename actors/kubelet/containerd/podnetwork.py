"""The pod network of a node, as CNI configuration and as nftables: what to write. Pure; `network` writes it.

A bridge, and addresses by host-local out of the node's podCIDR. Masquerading and host ports are not left to CNI
plugins: those use iptables, with chains for each pod that outlive a killed node. One nftables table, the node's own,
does both: a rule for all pods, a map element for each host port; removing the table removes everything.
"""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actors.kubelet.runtime import PortMapping

CNI_VERSION = "0.4.0"  # the newest that Ubuntu 22.04's plugins (0.9.1) speak; newer plugins speak it, too
HOST_PORT_MARK = 0x6B7573  # "kus": on connections by host port whose source the pod could not answer directly
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
    return json.dumps({"cniVersion": CNI_VERSION, "name": network.name, "plugins": [bridge]}, indent=2) + "\n"


def table_name(instance: str) -> str:
    return f"kubus-{instance}-cni"


def gateway(subnet: str) -> str:
    """Return the bridge's address in a subnet, with its prefix length: the first one, as host-local's default is."""
    network = ipaddress.ip_network(subnet)
    return f"{network.network_address + 1}/{network.prefixlen}"


def node_tables(instance: str, network: PodNetwork, host_ports: Sequence["HostPort"]) -> str:
    """Return an nft transaction that makes this node's tables anew, with the host ports that are in use."""
    text = []
    for version, family in ((4, "ip"), (6, "ip6")):
        subnets = _of_version(network.subnets, version)
        if not subnets:
            continue
        table = f"{family} {table_name(instance)}"
        chains = _postrouting(family, subnets, network, version)
        if version == 4:
            chains = _host_port_chains(subnets, network.bridge) + chains
        text.append(f"table {table}\ndelete table {table}\ntable {table} {{\n{chains}}}\n")
    return "".join(text) + add_host_ports(instance, host_ports)


def _postrouting(family: str, subnets: Sequence[str], network: PodNetwork, version: int) -> str:
    """Pods take the node's address beyond the cluster; so do those that reach a pod on this node by a host port."""
    rules = [f"ct mark {HOST_PORT_MARK:#x} masquerade"] if version == 4 else []
    if network.masquerade:
        inside = ", ".join([*_of_version(network.cluster_cidrs, version), MULTICAST[version]])
        source = ", ".join(subnets)
        rules.append(f"{family} saddr {{ {source} }} {family} daddr != {{ {inside} }} masquerade fully-random")
    return _chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", *rules)


def _host_port_chains(subnets: Sequence[str], bridge: str) -> str:
    """Return maps and chains of host ports. A pod must not reach the node's loopback, though it is routed for them."""
    sources = ", ".join([*subnets, "127.0.0.0/8"])
    here = "fib daddr type local jump host_ports"
    return (
        "  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
        "  map address_ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
        + _chain(
            "guard",
            "type filter hook prerouting priority raw; policy accept;",
            f'iifname "{bridge}" ip daddr 127.0.0.0/8 drop',
        )
        + _chain("prerouting", "type nat hook prerouting priority dstnat; policy accept;", here)
        + _chain("output", "type nat hook output priority -100; policy accept;", here)
        + _chain(
            "host_ports",
            f"ip saddr {{ {sources} }} meta l4proto . th dport @ports ct mark set {HOST_PORT_MARK:#x}",
            f"ip saddr {{ {sources} }} ip daddr . meta l4proto . th dport @address_ports "
            f"ct mark set {HOST_PORT_MARK:#x}",
            "dnat ip to ip daddr . meta l4proto . th dport map @address_ports",
            "dnat ip to meta l4proto . th dport map @ports",
        )
    )


def _chain(name: str, *lines: str) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of the node that leads to a pod."""

    protocol: str  # tcp | udp | sctp
    port: int
    pod_ip: str
    pod_port: int
    host_ip: str = ""  # empty: every address of the node

    @property
    def _map(self) -> str:
        return "address_ports" if self.host_ip else "ports"

    @property
    def _key(self) -> str:
        return (f"{self.host_ip} . " if self.host_ip else "") + f"{self.protocol} . {self.port}"


def host_ports_of(mappings: Sequence[PortMapping], pod_ip: str) -> list[HostPort]:
    """Return the host ports of a pod; IPv4 only."""
    found = []
    for mapping in mappings:
        host_ip = "" if mapping.host_ip in ("", "0.0.0.0") else mapping.host_ip
        if mapping.host_port and (not host_ip or ipaddress.ip_address(host_ip).version == 4):
            protocol = mapping.protocol.lower()
            found.append(HostPort(protocol, mapping.host_port, pod_ip, mapping.container_port, host_ip))
    return found


def add_host_ports(instance: str, ports: Sequence[HostPort]) -> str:
    """Return nft commands that add host ports; nft refuses them all when one is taken by another pod."""
    table = table_name(instance)
    return "".join(
        f"create element ip {table} {port._map} {{ {port._key} : {port.pod_ip} . {port.pod_port} }}\n" for port in ports
    )


def delete_host_ports(instance: str, ports: Sequence[HostPort]) -> str:
    table = table_name(instance)
    return "".join(f"delete element ip {table} {port._map} {{ {port._key} }}\n" for port in ports)


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

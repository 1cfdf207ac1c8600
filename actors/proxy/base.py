"""The fixed part of the table: hooks, maps and sets, and where they are looked up.

    prerouting, output (nat)    address -> chain of the service -> dnat to an endpoint
    postrouting (nat)           masquerade what was marked, and a pod that was sent to itself
    prerouting, output (filter) before the dnat: source ranges of load balancers
    prerouting, output (filter) after it, what no dnat took: refuse services without endpoints, unknown ports of cluster
                                IPs, and the rest of the service network, so that none of it leaves the machine

The refusals stand in prerouting and not in forward (it takes Linux 5.9): with a route of the service network to the
pods' bridge, a pod's packet would go out where it came in, the kernel would first send an ICMP redirect, and that
takes from the same budget as the ICMP error of the refusal, which then is not sent.

Node ports answer on every local address of the node except 127.0.0.0/8: serving that one would need route_localnet,
which exposes loopback services to neighbours; Kubernetes' nftables mode leaves it out as well.

Neighbours: `render` fills the maps, `transaction` writes this when the table is made.
"""

SERVICE_IPS = "service-ips"
SERVICE_NODEPORTS = "service-nodeports"
NO_ENDPOINT_SERVICES = "no-endpoint-services"
NO_ENDPOINT_NODEPORTS = "no-endpoint-nodeports"
FIREWALL_IPS = "firewall-ips"
CLUSTER_IPS = "cluster-ips"
HAIRPIN = "hairpin"
REJECT = "reject-it"
MARK_FOR_MASQUERADE = "mark-for-masquerade"
MARK = 0x4000  # the bit of the packet mark that Kubernetes uses for the same

_ADDRESS = "ipv4_addr . inet_proto . inet_service"
_NODEPORT = "inet_proto . inet_service"

CONTAINERS = {
    SERVICE_IPS: f"map {{ type {_ADDRESS} : verdict ; }}",
    SERVICE_NODEPORTS: f"map {{ type {_NODEPORT} : verdict ; }}",
    NO_ENDPOINT_SERVICES: f"map {{ type {_ADDRESS} : verdict ; }}",
    NO_ENDPOINT_NODEPORTS: f"map {{ type {_NODEPORT} : verdict ; }}",
    FIREWALL_IPS: f"map {{ type {_ADDRESS} : verdict ; }}",
    CLUSTER_IPS: "set { type ipv4_addr ; }",
    HAIRPIN: "set { type ipv4_addr . ipv4_addr ; }",
}

_ON_NODE = "fib daddr type local ip daddr != 127.0.0.0/8"
_TO_ADDRESS = "ip daddr . meta l4proto . th dport vmap"
_TO_NODEPORT = f"{_ON_NODE} meta l4proto . th dport vmap"


def hooks(pod_cidr: str, service_cidr: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the fixed chains: name -> (hook or "", rules), in an order in which each only goes to earlier ones."""
    return {
        REJECT: ("", ("reject",)),
        MARK_FOR_MASQUERADE: ("", (f"meta mark set meta mark or {MARK:#x}",)),
        "services": (
            "",
            (
                f"ip daddr @{CLUSTER_IPS} ip saddr != {pod_cidr} jump {MARK_FOR_MASQUERADE}",
                f"{_TO_ADDRESS} @{SERVICE_IPS}",
                f"{_TO_NODEPORT} @{SERVICE_NODEPORTS}",
            ),
        ),
        "firewall-check": ("", (f"{_TO_ADDRESS} @{FIREWALL_IPS}",)),
        "endpoints-check": (
            "",
            (f"{_TO_ADDRESS} @{NO_ENDPOINT_SERVICES}", f"{_TO_NODEPORT} @{NO_ENDPOINT_NODEPORTS}"),
        ),
        "cluster-ips-check": ("", (f"ip daddr @{CLUSTER_IPS} reject", f"ip daddr {service_cidr} drop")),
        "nat-prerouting": ("type nat hook prerouting priority dstnat", ("jump services",)),
        "nat-output": ("type nat hook output priority -100", ("jump services",)),
        "nat-postrouting": (
            "type nat hook postrouting priority srcnat",
            (
                f"ip saddr . ip daddr @{HAIRPIN} masquerade",
                f"meta mark and {MARK:#x} != 0 meta mark set meta mark and {0xFFFFFFFF ^ MARK:#x} masquerade",
            ),
        ),
        "firewall-prerouting": ("type filter hook prerouting priority -110", ("ct state new jump firewall-check",)),
        "firewall-output": ("type filter hook output priority -110", ("ct state new jump firewall-check",)),
        "filter-prerouting": (
            "type filter hook prerouting priority filter",
            ("ct state new jump endpoints-check", "jump cluster-ips-check"),
        ),
        "filter-output": (
            "type filter hook output priority filter",
            ("ct state new jump endpoints-check", "jump cluster-ips-check"),
        ),
    }

"""Leases, endpoint slices, ingress, network policy, and the networks of Services."""

from actors.apiserver.machinery.columns import cluster as cluster_columns
from actors.apiserver.machinery.columns import network
from actors.apiserver.machinery.kinds import cluster, endpoints, networking, service_networks
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.rows import row

COORDINATION = (
    row("coordination.k8s.io/v1", "Lease", "leases", strategy=cluster.LeaseStrategy(), columns=cluster_columns.LEASE),
)  # fmt: skip

DISCOVERY = (
    row("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", strategy=endpoints.EndpointSliceStrategy(),
        columns=network.ENDPOINT_SLICE),
)  # fmt: skip

_NETWORKING = "networking.k8s.io/v1"
NETWORKING: tuple[Resource, ...] = (
    row(_NETWORKING, "IngressClass", "ingressclasses", namespaced=False, strategy=networking.IngressClassStrategy(),
        columns=network.INGRESS_CLASS),
    row(_NETWORKING, "Ingress", "ingresses", short_names=("ing",), status=True, strategy=networking.IngressStrategy(),
        columns=network.INGRESS),
    row(_NETWORKING, "NetworkPolicy", "networkpolicies", short_names=("netpol",),
        strategy=networking.NetworkPolicyStrategy(), columns=network.NETWORK_POLICY),
    row(_NETWORKING, "IPAddress", "ipaddresses", namespaced=False, short_names=("ip",),
        strategy=service_networks.IPAddressStrategy(), columns=network.IP_ADDRESS),
    row(_NETWORKING, "ServiceCIDR", "servicecidrs", namespaced=False, status=True,
        strategy=service_networks.ServiceCIDRStrategy(), columns=network.SERVICE_CIDR),
)  # fmt: skip

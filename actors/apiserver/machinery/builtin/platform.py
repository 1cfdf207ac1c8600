"""Leases, endpoint slices, ingress and network policy."""

from actors.apiserver.machinery.columns import cluster as cluster_columns
from actors.apiserver.machinery.columns import network
from actors.apiserver.machinery.kinds import cluster, endpoints, networking
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
)  # fmt: skip

"""default/kubernetes: the API server as a Service, at the first address of the service network.

Pods can only reach an API server that listens beyond the loopback; when it does not, the Service is there without
endpoints. Neighbours: `ensure` makes it, `endpoints_upkeep` keeps to those of several API servers that live.
"""

import ipaddress
from typing import Any

from actors.api.config import ClusterConfig

NAME = "kubernetes"
PORT = 443
LABELS = {"component": "apiserver", "provider": "kubernetes"}


def objects(config: ClusterConfig, address: tuple[str, int]) -> list[dict[str, Any]]:
    """The Service, and its endpoints when `address`, where this server listens, can be reached from elsewhere."""
    host, port = address
    first = str(next(ipaddress.ip_network(config.network.service_cidr).hosts()))
    made = [_service(first, port)]
    if is_reachable(host):
        made += endpoints([host], port)
    return made


def is_reachable(host: str) -> bool:
    """Whether pods may find an API server at an address where it listens."""
    listening = ipaddress.ip_address(host)
    return not listening.is_loopback and not listening.is_unspecified


def endpoints(hosts: list[str], port: int) -> list[dict[str, Any]]:
    """The Service's endpoints, in both of their kinds."""
    return [_endpoints(hosts, port), _endpoint_slice(hosts, port)]


def _service(ip: str, port: int) -> dict[str, Any]:
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": NAME, "namespace": "default", "labels": LABELS},
        "spec": {
            "clusterIP": ip,
            "clusterIPs": [ip],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": PORT, "protocol": "TCP", "targetPort": port}],
        },
    }


def _endpoints(hosts: list[str], port: int) -> dict[str, Any]:
    return {
        "kind": "Endpoints",
        "apiVersion": "v1",
        "metadata": {
            "name": NAME,
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [
            {
                "addresses": [{"ip": host} for host in hosts],
                "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            }
        ],
    }


def _endpoint_slice(hosts: list[str], port: int) -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"name": NAME, "namespace": "default", "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv6" if ":" in hosts[0] else "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}} for host in hosts],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }

"""Services as the proxy sees them: one `ServicePort` for each port that it has to answer for.

Headless Services and ExternalName ones have none. Addresses are IPv4; a Service's IPv6 addresses are left to whoever
can serve them.

Neighbours: `endpoints` finds what stands behind a port, `render` turns both into rules.
"""

from dataclasses import dataclass
from typing import Any

DEFAULT_AFFINITY_TIMEOUT_S = 10_800

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServicePort:
    namespace: str
    name: str
    port_name: str
    protocol: str  # tcp | udp | sctp
    port: int
    node_port: int  # 0: none
    cluster_ips: tuple[str, ...]
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]  # that may use the load balancer's addresses; empty: all
    affinity_timeout_s: int  # 0: no affinity
    internal_local: bool
    external_local: bool

    @property
    def identity(self) -> str:
        return f"{self.namespace}/{self.name}/{self.protocol}/{self.port_name}"


def service_ports(service: Object) -> tuple[ServicePort, ...]:
    """Return the ports of a Service that the proxy answers for."""
    spec, metadata = service["spec"], service["metadata"]
    cluster_ips = tuple(filter(_is_ipv4, spec.get("clusterIPs") or [spec.get("clusterIP") or ""]))
    if spec.get("type") == "ExternalName" or not cluster_ips:
        return ()
    exposed = spec.get("type") in ("NodePort", "LoadBalancer")
    return tuple(
        ServicePort(
            namespace=metadata["namespace"],
            name=metadata["name"],
            port_name=port.get("name") or "",
            protocol=(port.get("protocol") or "TCP").lower(),
            port=port["port"],
            node_port=(port.get("nodePort") or 0) if exposed else 0,
            cluster_ips=cluster_ips,
            external_ips=tuple(filter(_is_ipv4, spec.get("externalIPs") or ())),
            load_balancer_ips=_load_balancer_ips(service),
            source_ranges=tuple(r.strip() for r in spec.get("loadBalancerSourceRanges") or () if _is_ipv4(r)),
            affinity_timeout_s=_affinity_timeout_s(spec),
            internal_local=spec.get("internalTrafficPolicy") == "Local",
            external_local=spec.get("externalTrafficPolicy") == "Local",
        )
        for port in spec.get("ports") or ()
    )


def _is_ipv4(address: str) -> bool:
    return address.count(".") == 3


def _load_balancer_ips(service: Object) -> tuple[str, ...]:
    if service["spec"].get("type") != "LoadBalancer":
        return ()
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return tuple(i["ip"] for i in ingress if _is_ipv4(i.get("ip") or "") and i.get("ipMode", "VIP") == "VIP")


def _affinity_timeout_s(spec: Object) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return config.get("timeoutSeconds") or DEFAULT_AFFINITY_TIMEOUT_S

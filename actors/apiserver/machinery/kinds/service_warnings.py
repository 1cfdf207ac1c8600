"""What the writer of a Service is warned of: what is ignored, deprecated, or written in an unusual form.

Source: Kubernetes' `pkg/api/service`. Neighbour: `service`.
"""

import ipaddress
from typing import Any

_HINTS = "service.kubernetes.io/topology-aware-hints"
_MODE = "service.kubernetes.io/topology-mode"


def service_warnings(obj: dict[str, Any]) -> list[str]:
    spec, annotations = obj["spec"], obj["metadata"].get("annotations") or {}
    kind, external = spec.get("type"), spec.get("externalIPs") or ()
    found = [f"annotation {_HINTS} is deprecated, please use {_MODE} instead"] if _HINTS in annotations else []
    if kind == "ClusterIP" and spec.get("clusterIP") == "None":
        found += _ignored_without_address(spec)
    else:
        for i, address in enumerate(spec.get("clusterIPs") or ()):
            found += _address_warnings(address, f"spec.clusterIPs[{i}]")
    for i, address in enumerate(external):
        found += _address_warnings(address, f"spec.externalIPs[{i}]")
    if spec.get("loadBalancerIP"):
        found += _address_warnings(spec["loadBalancerIP"], "spec.loadBalancerIP")
    if kind == "ExternalName" and external:
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if kind != "ExternalName" and spec.get("externalName"):
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found


def _ignored_without_address(spec: dict[str, Any]) -> list[str]:
    wrong = (
        ("loadBalancerIP", spec.get("loadBalancerIP")),
        ("externalIPs", spec.get("externalIPs")),
        ("SessionAffinity", spec.get("sessionAffinity", "None") != "None"),
    )
    return [f"spec.{name} is ignored for headless services" for name, holds in wrong if holds]


def _address_warnings(text: str, path: str) -> list[str]:
    """Return the warning of an IPv6 address that is not written as RFC 5952 says."""
    if ":" not in text:
        return []
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return []
    if address.ipv4_mapped is not None:
        detail = f'will be considered invalid in a future Kubernetes release: use "{address.ipv4_mapped}"'
        return [f'{path}: non-standard IP address "{text}" {detail}']
    if str(address) == text:
        return []
    return [f'{path}: IPv6 address "{text}" should be in RFC 5952 canonical format ("{address}")']

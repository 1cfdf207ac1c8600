"""The status of what a load balancer stands before: addresses and names by which a Service or an Ingress is reached.

Neighbours: `service` and `networking` ask.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field

DEFAULT_MODE = "VIP"
_MODES = (DEFAULT_MODE, "Proxy")
_AT = "status.loadBalancer.ingress"


def _points(obj: dict[str, Any]) -> list[dict[str, Any]]:
    return ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def default_modes(service: dict[str, Any]) -> None:
    for point in _points(service):
        if point.get("ip"):
            point.setdefault("ipMode", DEFAULT_MODE)


def ingress_causes(obj: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with where an Ingress is reached."""
    return [cause for i, point in enumerate(_points(obj)) for cause in _point_causes(point, f"{_AT}[{i}]")]


def service_causes(obj: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with where a Service is reached."""
    points = _points(obj)
    if points and obj["spec"].get("type") != "LoadBalancer":
        return [field.forbidden(_AT, 'may only be used when `spec.type` is "LoadBalancer"')]
    causes = ingress_causes(obj)
    for i, point in enumerate(points):
        mode, at = point.get("ipMode"), f"{_AT}[{i}].ipMode"
        if point.get("ip") and mode is None:
            causes.append(field.required(at, "must be specified when `ip` is set"))
        elif mode is not None and not point.get("ip"):
            causes.append(field.forbidden(at, "may not be specified when `ip` is not set"))
        elif mode is not None:
            causes += field.one_of(at, mode, _MODES)
    return causes


def _point_causes(point: dict[str, Any], at: str) -> list[Cause]:
    address, host = point.get("ip", ""), point.get("hostname", "")
    causes = field.messages(f"{at}.ip", address, names.ip_address(address)) if address else []
    if not host:
        return causes
    causes += field.messages(f"{at}.hostname", host, names.dns_subdomain(host))
    if not names.ip_address(host):
        causes.append(field.invalid(f"{at}.hostname", host, "must be a DNS name, not an IP address"))
    return causes

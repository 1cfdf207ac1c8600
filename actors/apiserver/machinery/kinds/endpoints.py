"""Endpoints and EndpointSlice: where a Service's packets go."""

import ipaddress
from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.resource import Strategy

MAX_ENDPOINTS = 1000  # of one slice; Kubernetes' limit
MAX_ADDRESSES = 100  # of one endpoint
MAX_PORTS = 20_000

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")


def address_causes(address: str, path: str) -> list[Cause]:
    """An endpoint's address may not be one that means something else on every machine."""
    if wrong := names.ip_address(address):
        return field.messages(path, address, wrong)
    ip = ipaddress.ip_address(address)
    for is_so, what in (
        (ip.is_unspecified, "may not be unspecified"),
        (ip.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (ip.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (ip.is_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ):
        if is_so:
            return [field.invalid(path, address, what)]
    return []


def _port_causes(port: dict[str, Any], at: str, number_needed: bool) -> list[Cause]:
    causes = []
    if number_needed or port.get("port") is not None:
        causes += field.messages(f"{at}.port", port.get("port", 0), names.port_number(port.get("port", 0)))
    if name := port.get("name"):
        causes += field.messages(f"{at}.name", name, names.dns_label(name))
    return causes + field.needed_one_of(f"{at}.protocol", port.get("protocol", ""), _PROTOCOLS)


class EndpointsStrategy(Strategy):
    allow_create_on_update = True

    def default(self, obj: dict[str, Any]) -> None:
        for subset in obj.get("subsets") or ():
            for port in subset.get("ports") or ():
                port.setdefault("protocol", "TCP")

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        causes = []
        for i, subset in enumerate(obj.get("subsets") or ()):
            at = f"subsets[{i}]"
            if not subset.get("addresses") and not subset.get("notReadyAddresses"):
                causes.append(field.required(at, "must specify `addresses` or `notReadyAddresses`"))
            for kind in ("addresses", "notReadyAddresses"):
                for j, address in enumerate(subset.get(kind) or ()):
                    causes += address_causes(address.get("ip", ""), f"{at}.{kind}[{j}].ip")
            for j, port in enumerate(subset.get("ports") or ()):
                causes += _port_causes(port, f"{at}.ports[{j}]", True)
                if len(subset["ports"]) > 1 and not port.get("name"):
                    causes.append(field.required(f"{at}.ports[{j}].name"))
        return causes


class EndpointSliceStrategy(Strategy):
    allow_create_on_update = True

    def default(self, obj: dict[str, Any]) -> None:
        obj.setdefault("endpoints", [])
        for port in obj.get("ports") or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        obj["metadata"]["generation"] = 1

    def prepare_for_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        if any(obj.get(name) != old.get(name) for name in ("endpoints", "ports", "addressType")):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        kind, endpoints, ports = obj.get("addressType", ""), obj.get("endpoints") or [], obj.get("ports") or []
        causes = field.needed_one_of("addressType", kind, _ADDRESS_TYPES)
        if len(endpoints) > MAX_ENDPOINTS:
            causes.append(field.too_many("endpoints", len(endpoints), MAX_ENDPOINTS))
        for i, endpoint in enumerate(endpoints[:MAX_ENDPOINTS]):
            causes += self._endpoint_causes(endpoint, kind, f"endpoints[{i}]")
        if len(ports) > MAX_PORTS:
            causes.append(field.too_many("ports", len(ports), MAX_PORTS))
        seen: set[str] = set()
        for i, port in enumerate(ports[:MAX_PORTS]):
            causes += _port_causes(port, f"ports[{i}]", False)
            if port.get("name", "") in seen:
                causes.append(field.duplicate(f"ports[{i}].name", port.get("name", "")))
            seen.add(port.get("name", ""))
        return causes

    def _endpoint_causes(self, endpoint: dict[str, Any], kind: str, at: str) -> list[Cause]:
        addresses, causes = endpoint.get("addresses") or [], []
        if not addresses:
            causes.append(field.required(f"{at}.addresses", "must contain at least 1 address"))
        if len(addresses) > MAX_ADDRESSES:
            causes.append(field.too_many(f"{at}.addresses", len(addresses), MAX_ADDRESSES))
        for i, address in enumerate(addresses[:MAX_ADDRESSES]):
            path = f"{at}.addresses[{i}]"
            if kind == "FQDN":
                causes += field.messages(path, address, names.dns_subdomain(address))
                continue
            wrong = address_causes(address, path)
            if not wrong and (":" in address) != (kind == "IPv6"):
                wrong = [field.invalid(path, address, f"must be an {kind} address")]
            causes += wrong
        if hostname := endpoint.get("hostname"):
            causes += field.messages(f"{at}.hostname", hostname, names.dns_label(hostname))
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        if obj.get("addressType") != old.get("addressType"):
            return [field.immutable("addressType", obj.get("addressType"))]
        return []

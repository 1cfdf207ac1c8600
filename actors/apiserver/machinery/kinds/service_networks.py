"""ServiceCIDR and IPAddress: the networks that Services get their addresses from, and who has which address.

An IPAddress is named by its address, in the one way to write it, and says for whom it is taken; that never changes. A
ServiceCIDR has a network of each address family at most; a second family may be added later, nothing else changes.

Source: networking.k8s.io/v1's documentation.
"""

import ipaddress
from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Strategy

MAX_CIDRS = 2  # one of each address family


class IPAddressStrategy(Strategy):
    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        wrong = names.ip_address(name)
        if wrong:
            return wrong
        canonical = str(ipaddress.ip_address(name))
        return [] if name == canonical else [f'must be in canonical form ("{canonical}")']

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        parent, at = (obj.get("spec") or {}).get("parentRef"), "spec.parentRef"
        if parent is None:
            return [field.required(at)]
        causes = []
        for name, may_be_empty in (("group", True), ("resource", False), ("namespace", True), ("name", False)):
            value = parent.get(name, "")
            if not value:
                causes += [] if may_be_empty else [field.required(f"{at}.{name}")]
            elif name == "group":
                causes += field.messages(f"{at}.group", value, names.dns_subdomain(value))
            else:
                causes += field.messages(f"{at}.{name}", value, names.path_segment(value))
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        parent = (obj.get("spec") or {}).get("parentRef")
        return [] if parent == (old.get("spec") or {}).get("parentRef") else [field.immutable("spec.parentRef", parent)]


class ServiceCIDRStrategy(WithStatus):
    tracks_generation = False

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        cidrs, at = (obj.get("spec") or {}).get("cidrs") or [], "spec.cidrs"
        if not cidrs:
            return [field.required(at, "at least one CIDR required")]
        if len(cidrs) > MAX_CIDRS:
            return [field.too_many(at, len(cidrs), MAX_CIDRS)]
        causes = [cause for i, text in enumerate(cidrs) for cause in _cidr_causes(text, f"{at}[{i}]")]
        if not causes and len({":" in text for text in cidrs}) < len(cidrs):
            causes.append(
                field.invalid(at, cidrs, "may specify no more than one IP for each IP family, i.e IPv4 and IPv6")
            )
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        cidrs, before = obj["spec"].get("cidrs") or [], old["spec"].get("cidrs") or []
        return [] if cidrs[: len(before)] == before else [field.immutable("spec.cidrs", cidrs)]


def _cidr_causes(text: str, at: str) -> list[Cause]:
    wrong = names.cidr(text)
    if wrong:
        return field.messages(at, text, wrong)
    canonical = str(ipaddress.ip_network(text, strict=False))
    return [] if text == canonical else [field.invalid(at, text, f'must be in canonical form ("{canonical}")')]

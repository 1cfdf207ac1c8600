"""Address families of a Service: what is inferred when it says less, and what this cluster, of one family, refuses.

A Service without selector and address may say what it likes, for nobody here gives it an address. Any other has the
cluster's family; one that prefers two gets that one.

Source: Kubernetes' registry/core/service/storage, and its documentation of dual-stack. Neighbours: `service`.
"""

import ipaddress
from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field

OWN = "IPv4"  # the cluster's family
FAMILIES = ("IPv4", "IPv6")
SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
MAX_VALUES = 2
_NONE = "None"


def settle(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """Fill in the policy and the families. `before` is the spec that is replaced; {} of a new Service."""
    if spec.get("type") == "ExternalName":
        return
    is_open = _is_open(spec)
    if not spec.get("ipFamilyPolicy"):
        spec["ipFamilyPolicy"] = before.get("ipFamilyPolicy") or (REQUIRE if is_open else SINGLE)
    families = list(spec.get("ipFamilies") or ())
    if spec["ipFamilyPolicy"] == SINGLE and len(families) > 1 and families == before.get("ipFamilies"):
        families = families[:1]
    for address in (spec.get("clusterIPs") or ())[len(families) :]:
        if address and address != _NONE and _family_of(address) == OWN:
            families.append(OWN)
    given = [address for address in spec.get("clusterIPs") or () if address not in ("", _NONE)]
    families = families or ([] if given else [OWN])  # an address of another family is refused for what it is
    if is_open and len(families) < MAX_VALUES and spec["ipFamilyPolicy"] != SINGLE:
        families += [other for other in FAMILIES if other not in families]
    spec["ipFamilies"] = families


def causes_of(spec: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the addresses, their families and the policy of a Service that may have them."""
    causes = _policy_causes(spec) + _family_causes(spec) + _address_causes(spec)
    if causes:
        return causes
    policy, families, addresses = spec["ipFamilyPolicy"], spec["ipFamilies"], spec.get("clusterIPs") or []
    at = "spec.ipFamilyPolicy"
    if policy == SINGLE:
        for values, what in ((addresses, "cluster IPs"), (families, "IP families")):
            if len(values) > 1:
                detail = f"must be '{REQUIRE}' or '{PREFER}' when multiple {what} are specified"
                causes.append(field.invalid(at, policy, detail))
    if _is_open(spec):
        return causes
    if policy == REQUIRE:
        causes.append(field.invalid(at, policy, "this cluster is not configured for dual-stack services"))
    for i, address in enumerate(addresses[len(families) :], len(families)):
        detail = f"{_family_of(address)} is not configured on this cluster"
        causes.append(field.invalid(f"spec.clusterIPs[{i}]", addresses, detail))
    for i, family in enumerate(families):
        if family != OWN:
            causes.append(field.invalid(f"spec.ipFamilies[{i}]", family, "not configured on this cluster"))
    return causes


def _policy_causes(spec: dict[str, Any]) -> list[Cause]:
    return field.one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy", SINGLE), (PREFER, REQUIRE, SINGLE))


def _family_causes(spec: dict[str, Any]) -> list[Cause]:
    families, at = spec.get("ipFamilies") or [], "spec.ipFamilies"
    causes = [field.invalid(at, families, "may only hold up to 2 values")] if len(families) > MAX_VALUES else []
    for i, family in enumerate(families):
        causes += field.one_of(f"{at}[{i}]", family, FAMILIES)
        if family in families[:i]:
            causes.append(field.duplicate(f"{at}[{i}]", family))
    return causes


def _address_causes(spec: dict[str, Any]) -> list[Cause]:
    addresses, families, at = spec.get("clusterIPs") or [], spec.get("ipFamilies") or [], "spec.clusterIPs"
    if _NONE in addresses and len(addresses) > 1:
        return [field.invalid(at, addresses, "'None' must be the first and only value")]
    causes = [field.invalid(at, addresses, "may only hold up to 2 values")] if len(addresses) > MAX_VALUES else []
    for i, address in enumerate(addresses):
        if address in ("", _NONE):
            continue
        wrong = names.ip_address(address)
        causes += field.messages(f"{at}[{i}]", address, wrong)
        if not wrong and i < len(families) and families[i] in FAMILIES and families[i] != _family_of(address):
            detail = f"expected an {families[i]} value as indicated by `ipFamilies[{i}]`"
            causes.append(field.invalid(f"{at}[{i}]", address, detail))
    if not causes and len(addresses) == MAX_VALUES and len({_family_of(address) for address in addresses}) == 1:
        causes.append(field.invalid(at, addresses, "may specify no more than one IP for each IP family"))
    return causes


def _is_open(spec: dict[str, Any]) -> bool:
    """Without selector and address: nothing here depends on its families."""
    return spec.get("clusterIP") == _NONE and not spec.get("selector")


def _family_of(address: str) -> str:
    try:
        return "IPv6" if ipaddress.ip_address(address).version == 6 else "IPv4"
    except ValueError:
        return ""

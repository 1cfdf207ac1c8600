"""IPAddress objects: who has which address of the networks of Services. Pure.

Source: networking.k8s.io/v1's documentation, and Kubernetes' allocator. Neighbours: `services` claims them together
with the Service; `bootstrap.address_upkeep` repairs them.
"""

import ipaddress
from typing import Any

from actors.apiserver.machinery.uids import new_uid

PREFIX = b"/registry/networking.k8s.io/ipaddresses/"
FAMILY_LABEL = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY_LABEL = "ipaddress.kubernetes.io/managed-by"
ALLOCATOR = "ipallocator.k8s.io"
SERVICES = "services"

Object = dict[str, Any]


def family_of(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def key_of(address: str) -> bytes:
    """The key of an address's object, which is named by the one way to write it."""
    return PREFIX + str(ipaddress.ip_address(address)).encode()


def ip_address(address: str, service: Object) -> Object:
    """Return the object that says that a Service has an address, as it is sent."""
    metadata = service["metadata"]
    parent = {"resource": SERVICES, "namespace": metadata["namespace"], "name": metadata["name"]}
    return {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": str(ipaddress.ip_address(address)),
            "labels": {FAMILY_LABEL: family_of(address), MANAGED_BY_LABEL: ALLOCATOR},
        },
        "spec": {"parentRef": parent},
    }


def claimed(address: str, service: Object, now: str) -> Object:
    """Return the object as it is stored together with its Service."""
    made = ip_address(address, service)
    made["metadata"] |= {"uid": new_uid(), "creationTimestamp": now, "generation": 1}
    return made


def is_managed(obj: Object) -> bool:
    """Was it made by the allocator? Others are none of its business."""
    return (obj["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == ALLOCATOR


def service_of(obj: Object) -> tuple[str, str] | None:
    """Return (namespace, name) of the Service that an object names; None when it names something else."""
    parent = (obj.get("spec") or {}).get("parentRef") or {}
    if parent.get("group") or parent.get("resource") != SERVICES:
        return None
    return parent.get("namespace", ""), parent.get("name", "")

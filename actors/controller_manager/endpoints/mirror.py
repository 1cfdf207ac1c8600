"""EndpointSlices that mirror Endpoints which somebody keeps by hand, for a Service that selects no Pods.

What reads Services reads slices only; so Endpoints without slices would be as good as none. Each subset becomes slices,
one or more for each address family; those that say the same already stay.

Source: Kubernetes' EndpointSliceMirroring controller. Neighbours: `controller` watches; `legacy` and `slices` are for
the Services that do select Pods.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any

from actors.api.meta import owner_reference
from actors.controller_manager.actions import Action, Create, Delete, Emit, Update
from actors.controller_manager.endpoints.addresses import IPV4, IPV6, Ports, port_objects
from actors.controller_manager.endpoints.slices import (
    ENDPOINT_SLICES,
    MANAGED_BY_LABEL,
    MAX_ENDPOINTS_PER_SLICE,
    SERVICE_NAME_LABEL,
    TRIGGER_TIME,
)

Object = dict[str, Any]

MANAGED_BY = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"  # old elections kept their lead in Endpoints
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NOT_MIRRORED = (TRIGGER_TIME, LAST_APPLIED)
MAX_ENDPOINTS_PER_SUBSET = 1000  # Kubernetes' default; what is beyond is left out, as of Endpoints themselves

Key = tuple[str, Ports]  # the address family and ports that the endpoints of a slice share


def is_mirrored(endpoints: Object | None, service: Object | None) -> bool:
    """Does a Service need slices made after its Endpoints?"""
    if endpoints is None or service is None or service["spec"].get("selector"):
        return False
    metadata = endpoints["metadata"]
    skips = (metadata.get("labels") or {}).get(SKIP_LABEL) == "true"
    return not skips and LEADER_ANNOTATION not in (metadata.get("annotations") or {})


def reconcile(endpoints: Object, slices: Sequence[Object]) -> list[Action]:
    """Return the writes that make `slices` (those of this controller) say what the Endpoints do."""
    by_key: dict[Key, list[Object]] = {}
    for found in sorted(slices, key=lambda one: one["metadata"]["name"]):
        by_key.setdefault((found["addressType"], _ports(found)), []).append(found)
    creations: list[Action] = []
    updates: list[Action] = []
    for key, entries in _wanted(endpoints).items():
        existing = by_key.pop(key, [])
        for start in range(0, len(entries), MAX_ENDPOINTS_PER_SLICE):
            made = _slice(endpoints, key, entries[start : start + MAX_ENDPOINTS_PER_SLICE])
            if not existing:
                creations.append(Create(ENDPOINT_SLICES, made, failed=_failed(endpoints)))
            elif not _says(found := existing.pop(0), made):
                updates.append(Update(ENDPOINT_SLICES, _changed(found, made), failed=_failed(endpoints)))
        by_key[key] = existing
    return [*creations, *updates, *(remove(found) for left in by_key.values() for found in left)]


def remove(found: Object) -> Delete:
    metadata = found["metadata"]
    return Delete(ENDPOINT_SLICES, metadata["namespace"], metadata["name"], metadata["uid"])


def _wanted(endpoints: Object) -> dict[Key, list[Object]]:
    found: dict[Key, list[Object]] = {}
    for subset in endpoints.get("subsets") or ():
        ports = _ports(subset)
        addresses = [(one, True) for one in subset.get("addresses") or ()]
        addresses += [(one, False) for one in subset.get("notReadyAddresses") or ()]
        for address, is_ready in addresses[:MAX_ENDPOINTS_PER_SUBSET]:
            family = IPV6 if ipaddress.ip_address(address["ip"]).version == 6 else IPV4
            found.setdefault((family, ports), []).append(_endpoint(address, is_ready))
    return found


def _ports(of: Object) -> Ports:
    """Return the ports of a subset or a slice."""
    return tuple(
        (port.get("name") or "", port.get("protocol", "TCP"), port.get("port") or 0, port.get("appProtocol") or "")
        for port in of.get("ports") or ()
    )


def _endpoint(address: Object, is_ready: bool) -> Object:
    entry: Object = {"addresses": [address["ip"]], "conditions": {"ready": is_ready}}
    return entry | {name: address[name] for name in ("hostname", "nodeName", "targetRef") if address.get(name)}


def _slice(endpoints: Object, key: Key, entries: list[Object]) -> Object:
    metadata = endpoints["metadata"]
    labels = {**(metadata.get("labels") or {}), SERVICE_NAME_LABEL: metadata["name"], MANAGED_BY_LABEL: MANAGED_BY}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _NOT_MIRRORED}
    owner = owner_reference({"apiVersion": "v1", "kind": "Endpoints", **endpoints})
    made: Object = {
        "generateName": f"{metadata['name']}-",
        "namespace": metadata["namespace"],
        "labels": labels,
        "ownerReferences": [owner],
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": made | ({"annotations": annotations} if annotations else {}),
        "addressType": key[0],
        "endpoints": entries,
        "ports": port_objects(key[1]),
    }


def _says(found: Object, made: Object) -> bool:
    """Equal, as far as readers can tell: the API server may have added empty fields."""
    for name in ("labels", "annotations"):
        if (found["metadata"].get(name) or {}) != (made["metadata"].get(name) or {}):
            return False
    stored = [{name: value for name, value in entry.items() if value} for entry in found.get("endpoints") or ()]
    return stored == made["endpoints"]


def _changed(found: Object, made: Object) -> Object:
    own = {name: made["metadata"].get(name) or {} for name in ("labels", "annotations")}
    return {**found, "metadata": {**found["metadata"], **own}, "endpoints": made["endpoints"]}


def _failed(endpoints: Object) -> Emit:
    name = f"{endpoints['metadata']['namespace']}/{endpoints['metadata']['name']}"
    said = f"Error updating mirrored Endpoint Slices for Endpoints {name}: {{error}}"
    return Emit(endpoints, "Warning", "FailedToUpdateEndpointSlices", said)

"""Endpoints: one object a Service, as it was before EndpointSlices.

Addresses with the same ports share a subset. Terminating Pods are left out here, and beyond a thousand addresses the
rest is cut off, with an annotation that says so.
"""

from collections.abc import Iterable
from typing import Any

from actors.controller_manager.actions import Action, Create, Delete, Emit, Update
from actors.controller_manager.endpoints.addresses import (
    HEADLESS_LABEL,
    IPV4,
    Ports,
    address_families,
    address_of,
    host_name_of,
    is_headless,
    may_serve,
    port_objects,
    ports_of,
    target_ref,
)
from actors.controller_manager.pods import Pod, is_ready, is_terminating

Object = dict[str, Any]

ENDPOINTS = "endpoints"
MAX_ADDRESSES = 1000  # Kubernetes' bound on an Endpoints object; the annotation OVER_CAPACITY says what happened
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
TRUNCATED = "truncated"
MANAGED_BY_LABEL = "endpoints.kubernetes.io/managed-by"
MANAGED_BY = "endpoint-controller"


def reconcile(service: Object, pods: Iterable[Pod], current: Object | None) -> list[Action]:
    """Return the write that makes the Endpoints object say what `pods` (those that the Service selects) are."""
    subsets, truncated = _subsets(service, pods)
    labels = {**(service["metadata"].get("labels") or {}), MANAGED_BY_LABEL: MANAGED_BY}
    labels.pop(HEADLESS_LABEL, None)
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    annotations = dict((current or {"metadata": {}})["metadata"].get("annotations") or {})
    annotations.pop(OVER_CAPACITY, None)
    if truncated:
        annotations[OVER_CAPACITY] = TRUNCATED
    if current is None:
        return [_create(service, subsets, labels, annotations)]
    metadata = current["metadata"]
    unchanged = (
        _canonical(current.get("subsets") or []) == _canonical(subsets)
        and (metadata.get("labels") or {}) == labels
        and (metadata.get("annotations") or {}) == annotations
    )
    if unchanged:
        return []
    wanted = {**current, "metadata": {**metadata, "labels": labels, "annotations": annotations}, "subsets": subsets}
    return [Update(ENDPOINTS, wanted, failed=_failed(service, "FailedToUpdateEndpoint"))]


def remove(current: Object) -> Delete:
    """Return the deletion of the Endpoints of a Service that is gone."""
    metadata = current["metadata"]
    return Delete(ENDPOINTS, metadata["namespace"], metadata["name"], metadata["uid"])


def _subsets(service: Object, pods: Iterable[Pod]) -> tuple[list[Object], bool]:
    family = (address_families(service) or [IPV4])[0]
    publish_all = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: dict[Ports, tuple[list[Object], list[Object]]] = {}
    addresses = []
    for pod in pods:
        address = address_of(pod, family) if may_serve(pod) else None
        if address is None or (is_terminating(pod) and not publish_all):
            continue
        ready = publish_all or is_ready(pod)
        addresses.append((not ready, address, pod))
    addresses.sort(key=lambda found: (found[0], found[1], found[2]["metadata"]["uid"]))
    for unready, address, pod in addresses[:MAX_ADDRESSES]:
        group = groups.setdefault(ports_of(pod, service), ([], []))
        group[unready].append(_address(service, pod, address))
    subsets = [_subset(ports, *groups[ports]) for ports in sorted(groups) if ports or is_headless(service)]
    return subsets, len(addresses) > MAX_ADDRESSES


def _address(service: Object, pod: Pod, address: str) -> Object:
    entry: Object = {"ip": address, "targetRef": target_ref(pod)}
    if pod["spec"].get("nodeName"):
        entry["nodeName"] = pod["spec"]["nodeName"]
    host_name = host_name_of(pod, service)
    if host_name:
        entry["hostname"] = host_name
    return entry


def _subset(ports: Ports, ready: list[Object], not_ready: list[Object]) -> Object:
    subset: Object = {}
    if ready:
        subset["addresses"] = ready
    if not_ready:
        subset["notReadyAddresses"] = not_ready
    if ports:
        subset["ports"] = port_objects(ports)
    return subset


def _canonical(subsets: list[Object]) -> list[Object]:
    """Return subsets without the fields that the API server adds empty."""
    return [{name: value for name, value in subset.items() if value} for subset in subsets]


def _create(service: Object, subsets: list[Object], labels: dict[str, str], annotations: dict[str, str]) -> Create:
    metadata: Object = {
        "name": service["metadata"]["name"],
        "namespace": service["metadata"]["namespace"],
        "labels": labels,
    }
    if annotations:
        metadata["annotations"] = annotations
    obj = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}
    return Create(ENDPOINTS, obj, failed=_failed(service, "FailedToCreateEndpoint"))


def _failed(service: Object, reason: str) -> Emit:
    name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
    return Emit(service, "Warning", reason, f"Failed to update endpoint {name}: {{error}}")

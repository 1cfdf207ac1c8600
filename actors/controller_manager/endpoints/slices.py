"""EndpointSlices of a Service, kept with few writes.

Endpoints that changed are replaced where they are; gone ones leave their slice; new ones fill slices that are written
anyway, then the fullest that has room, then new slices. So a Pod that comes or goes costs one write of one slice,
however many Pods the Service has.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from actors.api.meta import owner_reference, rfc3339
from actors.controller_manager.actions import Action, Create, Delete, Emit, Update
from actors.controller_manager.endpoints.addresses import (
    HEADLESS_LABEL,
    ZONE_LABEL,
    Ports,
    address_families,
    address_of,
    conditions_of,
    host_name_of,
    is_headless,
    may_serve,
    port_objects,
    ports_of,
    target_ref,
)
from actors.controller_manager.pods import Pod, condition
from actors.controller_manager.timestamps import seconds_of

Object = dict[str, Any]

ENDPOINT_SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGED_BY = "endpointslice-controller.k8s.io"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"

MAX_ENDPOINTS_PER_SLICE = 100  # Kubernetes' default: a change is sent to every node, so that slices stay small
MAX_ENDPOINTS = 1000  # of one slice, as the API allows

NodeOf = Callable[[str], Object | None]
Identity = tuple[str, str]  # (uid of the Pod, address)


def reconcile(
    service: Object, pods: Iterable[Pod], slices: Sequence[Object], node_of: NodeOf, now: float
) -> list[Action]:
    """Return the writes that make `slices` (those of this controller) say what `pods` are.

    pods     those that the Service selects
    node_of  the Node of a name, for its zone
    """
    pods = list(pods)
    actions: list[Action] = []
    families = address_families(service)
    for family in families:
        wanted = _endpoints_by_ports(service, pods, family, node_of)
        existing = [found for found in slices if found["addressType"] == family]
        actions += _reconcile_family(service, family, wanted, existing, pods, now)
    actions += [_delete(found) for found in slices if found["addressType"] not in families]
    return actions


def _endpoints_by_ports(
    service: Object, pods: Iterable[Pod], family: str, node_of: NodeOf
) -> dict[Ports, dict[Identity, Object]]:
    found: dict[Ports, dict[Identity, Object]] = {}
    for pod in pods:
        address = address_of(pod, family) if may_serve(pod) else None
        if address is None:
            continue
        identity = (pod["metadata"]["uid"], address)
        found.setdefault(ports_of(pod, service), {})[identity] = endpoint(pod, service, address, node_of)
    return found


def endpoint(pod: Pod, service: Object, address: str, node_of: NodeOf) -> Object:
    """Return one entry of a slice."""
    entry: Object = {"addresses": [address], "conditions": conditions_of(pod, service), "targetRef": target_ref(pod)}
    node_name = pod["spec"].get("nodeName")
    if node_name:
        entry["nodeName"] = node_name
        node = node_of(node_name)
        zone = (node["metadata"].get("labels") or {}).get(ZONE_LABEL) if node is not None else None
        if zone:
            entry["zone"] = zone
    host_name = host_name_of(pod, service)
    if host_name:
        entry["hostname"] = host_name
    return entry


def _reconcile_family(
    service: Object,
    family: str,
    wanted: dict[Ports, dict[Identity, Object]],
    existing: Sequence[Object],
    pods: Sequence[Pod],
    now: float,
) -> list[Action]:
    by_ports: dict[Ports, list[Object]] = {}
    for found in existing:
        by_ports.setdefault(_ports_of_slice(found), []).append(found)
    plan = _Plan(service, family)
    for ports, endpoints in wanted.items():
        plan.place(ports, dict(endpoints), by_ports.pop(ports, []))
    leftover = [found for slices in by_ports.values() for found in slices]
    if not wanted:
        plan.keep_one_empty(leftover)
    plan.remove(leftover)
    return plan.actions(_trigger_time(service, plan.touched, pods, existing), now)


def _ports_of_slice(found: Object) -> Ports:
    return tuple(
        (port.get("name") or "", port.get("protocol", "TCP"), port.get("port") or 0, port.get("appProtocol") or "")
        for port in found.get("ports") or ()
    )


def _identity(entry: Object) -> Identity:
    return (entry.get("targetRef") or {}).get("uid", ""), entry["addresses"][0]


class _Plan:
    """The slices of one Service and family as they shall be."""

    def __init__(self, service: Object, family: str):
        self._service = service
        self._family = family
        self._labels = slice_labels(service)
        self._kept: list[tuple[Object, list[Object], Ports]] = []  # (slice, its endpoints from now on, ports)
        self._new: list[tuple[list[Object], Ports]] = []
        self._removed: list[Object] = []
        self.touched: set[str] = set()  # uids of Pods whose endpoint is new or another

    def place(self, ports: Ports, wanted: dict[Identity, Object], existing: list[Object]) -> None:
        """Put all `wanted` endpoints with these ports into the existing slices and new ones."""
        rests: list[tuple[Object, list[Object], bool]] = []
        for found in existing:
            entries, changed = self._still_wanted(found, wanted)
            rests.append((found, entries, changed))
        waiting = list(wanted.values())
        self.touched.update(entry["targetRef"]["uid"] for entry in waiting)
        # Slices that are written anyway come first, then the fullest.
        for found, entries, _ in sorted(
            rests, key=lambda rest: (not rest[2], -len(rest[1]), rest[0]["metadata"]["name"])
        ):
            room = MAX_ENDPOINTS_PER_SLICE - len(entries)
            if waiting and room > 0:
                entries += waiting[:room]
                waiting = waiting[room:]
            if entries:
                self._kept.append((found, entries, ports))
            else:
                self._removed.append(found)
        while waiting:
            self._new.append((waiting[:MAX_ENDPOINTS_PER_SLICE], ports))
            waiting = waiting[MAX_ENDPOINTS_PER_SLICE:]

    def _still_wanted(self, found: Object, wanted: dict[Identity, Object]) -> tuple[list[Object], bool]:
        """Take the endpoints of a slice out of `wanted`; return them as they shall be, and whether that is a change."""
        entries, changed = [], False
        for entry in found.get("endpoints") or ():
            new = wanted.pop(_identity(entry), None)
            if new is None:
                changed = True
                continue
            if not _same_endpoint(entry, new):
                changed = True
                self.touched.add(new["targetRef"]["uid"])
            entries.append(new)
        return entries, changed

    def keep_one_empty(self, leftover: list[Object]) -> None:
        """A Service without endpoints has one empty slice, so that its readers know it was looked at."""
        if leftover:
            keep = min(leftover, key=lambda found: (bool(found.get("endpoints")), found["metadata"]["name"]))
            leftover.remove(keep)
            self._kept.append((keep, [], ()))
        else:
            self._new.append(([], ()))

    def remove(self, slices: Iterable[Object]) -> None:
        self._removed += slices

    def actions(self, trigger_time: str | None, now: float) -> list[Action]:
        updates = [action for kept in self._kept if (action := self._update(*kept, trigger_time)) is not None]
        creations = [self._create(entries, ports, trigger_time) for entries, ports in self._new]
        return [*creations, *updates, *(_delete(found) for found in self._removed)]

    def _update(self, found: Object, entries: list[Object], ports: Ports, trigger_time: str | None) -> Update | None:
        current = found.get("endpoints") or []
        labels = found["metadata"].get("labels") or {}
        same_entries = len(current) == len(entries) and all(map(_same_endpoint, current, entries))
        if same_entries and _ports_of_slice(found) == ports and labels == self._labels:
            return None
        metadata = {**found["metadata"], "labels": self._labels}
        annotations = dict(metadata.get("annotations") or {})
        annotations.pop(TRIGGER_TIME, None)
        if trigger_time:
            annotations[TRIGGER_TIME] = trigger_time
        metadata["annotations"] = annotations
        return Update(
            ENDPOINT_SLICES,
            {**found, "metadata": metadata, "endpoints": entries, "ports": port_objects(ports)},
            failed=self._failed("FailedToUpdateEndpointSlices"),
        )

    def _create(self, entries: list[Object], ports: Ports, trigger_time: str | None) -> Create:
        metadata = self._service["metadata"]
        obj: Object = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": self._labels,
                "ownerReferences": [owner_reference(self._service)],
            },
            "addressType": self._family,
            "endpoints": entries,
            "ports": port_objects(ports),
        }
        if trigger_time:
            obj["metadata"]["annotations"] = {TRIGGER_TIME: trigger_time}
        return Create(ENDPOINT_SLICES, obj, failed=self._failed("FailedToUpdateEndpointSlices"))

    def _failed(self, reason: str) -> Emit:
        name = f"{self._service['metadata']['namespace']}/{self._service['metadata']['name']}"
        return Emit(self._service, "Warning", reason, f"Error updating Endpoint Slices for Service {name}: {{error}}")


def slice_labels(service: Object) -> dict[str, str]:
    """Return a slice's labels: the Service's own, and those by which slices are found."""
    labels = dict(service["metadata"].get("labels") or {})
    labels.pop(HEADLESS_LABEL, None)
    labels[SERVICE_NAME_LABEL] = service["metadata"]["name"]
    labels[MANAGED_BY_LABEL] = MANAGED_BY
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    return labels


def _same_endpoint(left: Object, right: Object) -> bool:
    """Equal, as far as readers can tell: the API server may have added empty fields."""
    fields = ("addresses", "conditions", "targetRef", "nodeName", "zone", "hostname")
    return all((left.get(name) or None) == (right.get(name) or None) for name in fields)


def _delete(found: Object) -> Delete:
    metadata = found["metadata"]
    return Delete(ENDPOINT_SLICES, metadata["namespace"], metadata["name"], metadata["uid"])


def _trigger_time(service: Object, touched: set[str], pods: Sequence[Pod], existing: Sequence[Object]) -> str | None:
    """Return since when the change was due: the earliest change of a Pod that made it, or the Service's creation."""
    if not existing:
        return service["metadata"].get("creationTimestamp")
    times = [_changed_at(pod) for pod in pods if pod["metadata"]["uid"] in touched]
    known = [time for time in times if time]
    return rfc3339(min(known)) if known else None


def _changed_at(pod: Pod) -> float:
    ready = condition(pod, "Ready") or {}
    return seconds_of(ready.get("lastTransitionTime")) or seconds_of(pod["metadata"].get("creationTimestamp"))

"""Keeps the networks and addresses of Services as they should be: ServiceCIDRs ready or blocked, IPAddresses repaired.

A ServiceCIDR gets a finalizer and the condition Ready. One that is deleted stays while addresses would be left in no
network. Each cluster IP has its IPAddress: one that is lost is made again, and one whose Service is gone, or never was,
goes. What nobody can repair, two Services with one address, is told by an Event.

Every API server does this; who is late finds it done. What is to be done is decided by pure functions of what is there.

Source: Kubernetes' servicecidrs controller and its repair of addresses. Neighbours: `allocate` makes IPAddresses and
chooses among ServiceCIDRs; the actor runs `AddressUpkeep.run`.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from actors.api.meta import get_condition, now_rfc3339, parse_time
from actors.apiserver.allocate import ip_addresses, networks
from actors.apiserver.bootstrap.service_events import Send, ServiceEvents, Trouble
from actors.apiserver.bootstrap.service_network import FINALIZER
from actors.apiserver.storage.watch_cache import WatchCache
from runtime.clock import Clock

SERVICES_PREFIX = b"/registry/services/"
CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"
ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"

PERIOD_S = 60.0  # between looks when nothing is heard of
GLANCE_S = 0.5  # between looks whether anything has changed
# A deleted ServiceCIDR stays so long that every API server has heard of it, and takes no address from it any more.
# Kubernetes waits for 10 s; here each one's cache is as old as its watch of the state.
DELETION_GRACE_S = 2.0
LEAKED_AFTER_S = 60.0  # an address may be claimed for a Service that is still being made by somebody else

READY_MESSAGE = "Kubernetes Service CIDR is ready"
BLOCKED_MESSAGE = (
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
)

Object = dict[str, Any]
Write = tuple[str, str, Object]


def cidr_writes(cidrs: list[Object], addresses: Iterable[Object], now_s: float, now: str) -> Iterator[Write]:
    """Yield what is to be written of ServiceCIDRs."""
    managed = [obj["metadata"]["name"] for obj in addresses if ip_addresses.is_managed(obj)]
    for obj in cidrs:
        metadata = obj["metadata"]
        path, finalizers = f"{CIDRS}/{metadata['name']}", metadata.get("finalizers") or []
        deleted = metadata.get("deletionTimestamp")
        if deleted is None:
            if FINALIZER not in finalizers:
                yield "PUT", path, {**obj, "metadata": {**metadata, "finalizers": [*finalizers, FINALIZER]}}
            elif (ready := _with_ready(obj, "True", "", READY_MESSAGE, now)) is not None:
                yield "PUT", f"{path}/status", ready
        elif FINALIZER in finalizers:
            if _leaves_addresses(obj, cidrs, managed):
                if (blocked := _with_ready(obj, "False", "Terminating", BLOCKED_MESSAGE, now)) is not None:
                    yield "PUT", f"{path}/status", blocked
            elif now_s - parse_time(deleted) >= DELETION_GRACE_S:
                rest = [one for one in finalizers if one != FINALIZER]
                yield "PUT", path, {**obj, "metadata": {**metadata, "finalizers": rest}}


def _with_ready(obj: Object, status: str, reason: str, message: str, now: str) -> Object | None:
    """Return the object with the condition; None when it says so already."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    known = get_condition(conditions, networks.READY)
    if known is not None and known.get("status") == status:
        return None
    ready = {
        "type": networks.READY, "status": status, "reason": reason, "message": message, "lastTransitionTime": now
    }  # fmt: skip
    others = [one for one in conditions if one.get("type") != networks.READY]
    return {**obj, "status": {"conditions": [*others, ready]}}


def _leaves_addresses(obj: Object, cidrs: list[Object], managed: list[str]) -> bool:
    """Would an address be in no network without this one?"""
    return any(networks.holding(cidrs, address) == [obj] for address in managed)


def address_writes(
    services: list[Object], addresses: dict[str, Object], cidrs: list[Object], now_s: float
) -> tuple[list[Write], list[Trouble]]:
    """Return what is to be written of IPAddresses, and what only people can put right."""
    by_name = {_name(service): service for service in services}
    writes: list[Write] = []
    troubles: list[Trouble] = []
    for service in services:
        for address in _addresses_of(service):
            family = ip_addresses.family_of(address)
            found = addresses.get(address)
            wanted = ip_addresses.ip_address(address, service)
            if not networks.holding(cidrs, address):
                what = f"Cluster IP [{family}]: {address} is not within any configured Service CIDR"
                troubles.append((service, "ClusterIPOutOfRange", f"{what}; please recreate service"))
            elif found is None:
                writes.append(("POST", ADDRESSES, wanted))
                what = f"Cluster IP [{family}]: {address} is not allocated; repairing"
                troubles.append((service, "ClusterIPNotAllocated", what))
            elif _is_of_another(found, service, address, by_name):
                what = f"Cluster IP [{family}]: {address} was assigned to multiple services; please recreate service"
                troubles.append((service, "ClusterIPAlreadyAllocated", what))
            elif ip_addresses.service_of(found) != _name(service) or not _has_labels(found, wanted):
                writes += [_deletion(found), ("POST", ADDRESSES, wanted)]
    writes += [_deletion(obj) for obj in addresses.values() if _is_leaked(obj, by_name, now_s)]
    return writes, troubles


def _is_of_another(found: Object, service: Object, address: str, by_name: dict[tuple[str, str], Object]) -> bool:
    """Does an address belong to another Service that has it too?"""
    owner = ip_addresses.service_of(found)
    if owner is None or owner == _name(service):
        return False
    return owner in by_name and address in _addresses_of(by_name[owner])


def _has_labels(found: Object, wanted: Object) -> bool:
    return wanted["metadata"]["labels"].items() <= (found["metadata"].get("labels") or {}).items()


def _is_leaked(obj: Object, by_name: dict[tuple[str, str], Object], now_s: float) -> bool:
    """Was it made for a Service that does not have it?"""
    if not ip_addresses.is_managed(obj):
        return False
    owner, name = ip_addresses.service_of(obj), obj["metadata"]["name"]
    if owner is not None and owner in by_name:
        return name not in _addresses_of(by_name[owner])
    return owner is None or now_s - parse_time(obj["metadata"]["creationTimestamp"]) > LEAKED_AFTER_S


def _deletion(obj: Object) -> Write:
    """Delete this very object, not one that has its name by now."""
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": obj["metadata"]["uid"]}}
    return "DELETE", f"{ADDRESSES}/{obj['metadata']['name']}", options


def _name(service: Object) -> tuple[str, str]:
    return service["metadata"]["namespace"], service["metadata"]["name"]


def _addresses_of(service: Object) -> list[str]:
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return []
    return [address for address in spec.get("clusterIPs") or () if address and address != "None"]


class AddressUpkeep:
    def __init__(self, cache: WatchCache, clock: Clock, send: Send) -> None:
        self._cidrs = cache.at(networks.PREFIX)
        self._addresses = cache.at(ip_addresses.PREFIX)
        self._services = cache.at(SERVICES_PREFIX)
        self._cache = cache
        self._clock = clock
        self._send = send
        self._events = ServiceEvents(clock, send, "ipallocator-repair-controller")

    async def run(self) -> None:
        """Look whenever something has changed, and now and then; for ever."""
        seen: tuple[int, ...] = ()
        due = 0.0
        while True:
            now = self._clock.monotonic()
            revisions = tuple(one.changed_revision for one in (self._cidrs, self._addresses, self._services))
            if revisions != seen or now >= due:
                seen, due = revisions, now + PERIOD_S
                if not await self.put_right():
                    due = now + DELETION_GRACE_S
            await asyncio.sleep(GLANCE_S)

    async def put_right(self) -> bool:
        """Write what is missing or wrong; return whether that was all. What fails is tried again at the next look."""
        wall, now = self._clock.wall(), now_rfc3339(self._clock)
        cidrs = networks.service_cidrs(self._cache)
        addresses = {obj["metadata"]["name"]: obj for obj in map(_decoded, self._addresses.entries.values())}
        services = [_decoded(entry) for entry in self._services.entries.values()]
        writes, troubles = address_writes(services, addresses, cidrs, wall)
        writes += cidr_writes(cidrs, addresses.values(), wall, now)
        for method, path, body in writes:
            await self._send(method, path, body)
        for trouble in troubles:
            await self._events.tell(trouble)
        return not writes and not any(obj["metadata"].get("deletionTimestamp") for obj in cidrs)


def _decoded(entry: Any) -> Object:
    return entry.decode()

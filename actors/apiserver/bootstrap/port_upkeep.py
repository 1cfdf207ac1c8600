"""Keeps the claims of node ports as they should be: one for each node port of a Service, and none besides.

A port that has no claim, as after a restore or when somebody has deleted keys, gets one; a claim whose Service has not
that port goes when it has been so for a while. What nobody can repair, two Services with one port or a port that is not
in the range, is told by an Event. Each write names the Service's own revision, so that it is done only to what was
seen. Keys that earlier versions claimed addresses by, under /registry/ranges/clusterips/, are removed.

Every API server does this; who is late finds it done. What is to be done is decided by pure functions of what is there.

Source: Kubernetes' repair of node ports. Neighbours: `allocate.claims` makes claims; `address_upkeep` looks after
addresses; `service_events` tells; the actor runs `PortUpkeep.run`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.apiserver.allocate.ranges import NODE_PORTS, RANGES, TAKEN_PAGE, Places
from actors.apiserver.bootstrap.service_events import Send, ServiceEvents, Trouble
from actors.apiserver.storage.client import StateClient
from actors.apiserver.storage.watch_cache import WatchCache
from actors.state.messages import Compare, DeleteRange, KeyValue, Put, Range, Txn
from bus import BusError
from runtime.clock import Clock

SERVICES_PREFIX = b"/registry/services/"
ADDRESS_CLAIMS = RANGES + b"clusterips/"  # of versions whose addresses had no objects

PERIOD_S = 180.0  # between looks, as in Kubernetes: nothing goes wrong here while API servers do the writing
RETRY_S = 5.0  # after a look that the state did not answer
LEAKED_LOOKS = 3  # at which a claim must have been without its Service, as in Kubernetes

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """A Service with node ports, as it is stored."""

    key: bytes
    revision: int
    service: Object
    ports: tuple[int, ...]


def ports_of(service: Object) -> tuple[int, ...]:
    """Return a Service's node ports, each once, in order."""
    spec = service.get("spec") or {}
    found = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        found.add(spec["healthCheckNodePort"])
    return tuple(sorted(found))


def repairs(services: Sequence[Held], claims: Mapping[bytes, KeyValue], places: Places) -> Iterator[Txn | Trouble]:
    """Yield what makes the claims that are missing, and what only people can put right."""
    owners: dict[int, Held] = {}
    for held in services:
        for port in held.ports:
            claim, first = claims.get(places.key(port)), owners.setdefault(port, held)
            if not places.holds(port):
                what = (
                    f"Port {port} is not within the port range {places.name(places.first)}-{places.name(places.last)}"
                )
                yield held.service, "PortOutOfRange", f"{what}; please choose a new port"
            elif first is not held or (claim is not None and claim.value != held.key and _has(services, claim, port)):
                what = f"Port {port} was assigned to multiple services"
                yield held.service, "PortAlreadyAllocated", f"{what}; please recreate service"
            elif claim is None:
                yield held.service, "PortNotAllocated", f"Port {port} is not allocated; repairing now"
                yield _claimed(held, places.key(port), 0)
            elif claim.value != held.key:
                yield _claimed(held, places.key(port), claim.mod_revision)


def _has(services: Sequence[Held], claim: KeyValue, port: int) -> bool:
    """Does the Service that a claim names have the port?"""
    return any(one.key == claim.value and port in one.ports for one in services)


def _claimed(held: Held, key: bytes, revision: int) -> Txn:
    """Claim a port for a Service that is still as it was seen, if the claim is still at a revision; 0: not there."""
    seen = [Compare(held.key, "mod", "=", held.revision), Compare(key, "mod", "=", revision)]
    return Txn(seen, [Put(key, held.key)])


def leaked(services: Sequence[Held], claims: Mapping[bytes, KeyValue], places: Places) -> dict[bytes, KeyValue]:
    """Return the claims of ports that no Service has."""
    used = {places.key(port) for held in services for port in held.ports}
    return {key: claim for key, claim in claims.items() if key not in used}


def release(claim: KeyValue, owner_revision: int) -> Txn:
    """Remove a claim whose owner is still at a revision; 0: not there."""
    seen = [Compare(claim.key, "mod", "=", claim.mod_revision)]
    if claim.value:
        seen.append(Compare(claim.value, "mod", "=", owner_revision))
    return Txn(seen, [DeleteRange(claim.key)])


class PortUpkeep:
    def __init__(
        self, state: StateClient, cache: WatchCache, clock: Clock, places: Places, send: Send, log: Any
    ) -> None:
        self._log = log
        self._state = state
        self._services = cache.at(SERVICES_PREFIX)
        self._places = places
        self._events = ServiceEvents(clock, send, "portallocator-repair-controller")
        self._missing: dict[bytes, tuple[int, int]] = {}  # claims without a Service: their revision, at how many looks
        self._is_clean = False

    async def run(self) -> None:
        """Look at once, and now and then; for ever."""
        while True:
            pause = PERIOD_S
            try:
                await self.put_right()
            except BusError as error:
                self._log.warning("node ports were not looked after", error=str(error), retry_s=RETRY_S)
                pause = RETRY_S
            await asyncio.sleep(pause)

    async def put_right(self) -> None:
        """Write what is missing or wrong. Raises BusError."""
        if not self._is_clean:
            await self._state.txn(Txn([], [DeleteRange(ADDRESS_CLAIMS, ADDRESS_CLAIMS[:-1] + b"0")]))
            self._is_clean = True
        claims = {kv.key: kv async for kv in self._claims()}
        services = self._held()
        for found in repairs(services, claims, self._places):
            if isinstance(found, Txn):
                await self._state.txn(found)
            else:
                await self._events.tell(found)
        await self._release(leaked(services, claims, self._places))

    def _held(self) -> list[Held]:
        """The Services that have node ports."""
        entries = ((key, entry, entry.decode()) for key, entry in sorted(self._services.entries.items()))
        return [Held(key, entry.revision, obj, ports) for key, entry, obj in entries if (ports := ports_of(obj))]

    async def _claims(self) -> AsyncIterator[KeyValue]:
        key = NODE_PORTS
        while True:
            reply = await self._state.range(Range(key, NODE_PORTS[:-1] + b"0", limit=TAKEN_PAGE))
            for kv in reply.result.kvs:
                yield kv
            if not reply.result.more:
                return
            key = reply.result.kvs[-1].key + b"\0"

    async def _release(self, found: dict[bytes, KeyValue]) -> None:
        """Remove claims that have been without a Service at several looks: its write may be under way."""
        missing: dict[bytes, tuple[int, int]] = {}
        for key, claim in found.items():
            revision, looks = self._missing.get(key, (claim.mod_revision, 0))
            looks = looks + 1 if revision == claim.mod_revision else 1
            if looks < LEAKED_LOOKS:
                missing[key] = (claim.mod_revision, looks)
                continue
            owner = self._services.entries.get(claim.value)
            await self._state.txn(release(claim, owner.revision if owner is not None else 0))
        self._missing = missing

"""Which keys an object claims besides its own, by kind: a Service its cluster IPs and node ports, others none.

A claim is put and deleted in the same txn as its owner, so it can neither leak nor be held twice. That of an address is
its IPAddress object, that of a node port a key under /registry/ranges/ whose value is the key of its owner.

Neighbours: `verbs` pass claims on to `storage.store`; `services` knows the rules.
"""

from typing import Any, Protocol

from actors.apiserver.allocate.services import ServiceAllocation, service_claims
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.server import Server
from actors.apiserver.storage.charge import Claim

SERVICES = "services"


class Allocation(Protocol):
    """Addresses for one write; it remembers which it was refused."""

    async def fill_in(self, obj: dict[str, Any], old: dict[str, Any] | None) -> list[Claim]:
        """Give the object what it needs and return what to claim. Raises ApiError Invalid."""

    def released(self, obj: dict[str, Any], old: dict[str, Any]) -> list[bytes]:
        """Return the keys that the object no longer needs."""

    def refuse(self, keys: list[bytes]) -> None:
        """Learn that keys are taken."""


def allocation_for(server: Server, resource: Resource) -> Allocation | None:
    """An allocation for one write of a kind that claims anything."""
    return ServiceAllocation(server) if resource.group_resource == SERVICES else None


def claims_of(resource: Resource, obj: dict[str, Any]) -> list[bytes]:
    """The keys that a stored object holds."""
    return service_claims(obj) if resource.group_resource == SERVICES else []

"""ResourceQuota: what a write uses is charged in the very transaction that does the write.

So two creations at the same time can never both have the last place, and one that fails leaves no charge behind. The
writes of a namespace with quotas go one after the other in this process, each from the newest usage that it knows: a
lost race (against another API server, or the controller that counts) is repeated with what the state then showed.

A quota whose usage nobody has counted yet is counted here, from the watch cache, rather than refused: the controller
may come a moment later.

Neighbours: `quota_rules` decides; `storage.store` puts charges into its transactions; the resource quota controller
gives back what ended. Source: Kubernetes' ResourceQuota plugin, which charges before it writes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from actors.api import errors
from actors.api.quota.amounts import written
from actors.api.quota.usage import group_resource_of, total
from actors.apiserver.admission import quota_rules
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.machinery.stored import encode_stored
from actors.apiserver.parts import Parts
from actors.apiserver.storage.charge import Charge, ChargeMoved
from actors.apiserver.storage.entry import Entry

PREFIX = b"/registry/resourcequotas/"
ATTEMPTS = 16  # of one charge; who loses so many races meets a quota that somebody else rewrites without pause
MAX_NAMESPACES = 4096  # whose lock and newest entries are kept; beyond it the unused ones are forgotten

Object = dict[str, Any]
ChargedWrite = Callable[[list[Charge]], Awaitable[Entry]]


class Ledger:
    """The quotas of each namespace as this process knows them: the watch cache, and what its own charges made newer."""

    def __init__(self) -> None:
        self._newer: dict[bytes, Entry] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def concerns(self, asked: Admission) -> bool:
        """Is there a quota in the namespace, and can this write change what is used? Nearly free when there is none."""
        cache = asked.parts.cache.at(PREFIX)
        if not cache.entries or not asked.namespace:
            return False
        if not quota_rules.concerns(asked.resource.group_resource, asked.subresource, asked.operation):
            return False
        return next(iter(cache.within(_prefix(asked.namespace))), None) is not None

    def lock(self, namespace: str) -> asyncio.Lock:
        if len(self._locks) > MAX_NAMESPACES:
            self._locks = {name: lock for name, lock in self._locks.items() if lock.locked()}
        return self._locks.setdefault(namespace, asyncio.Lock())

    def quotas(self, parts: Parts, namespace: str) -> list[Entry]:
        """Return the quotas of a namespace, each as new as it is known."""
        found = []
        for entry in parts.cache.at(PREFIX).within(_prefix(namespace)):
            newer = self._newer.get(entry.key)
            if newer is not None and newer.revision <= entry.revision:
                del self._newer[entry.key]
                newer = None
            found.append(newer or entry)
        return found

    def learn(self, entries: Iterable[Entry]) -> None:
        if len(self._newer) > MAX_NAMESPACES:
            self._newer.clear()
        for entry in entries:
            self._newer[entry.key] = entry


async def charged(ledger: Ledger, asked: Admission, obj: Object, old: Object | None, write: ChargedWrite) -> Entry:
    """Do a write, with its charges to the namespace's quotas. Raises ApiError Forbidden when one has no room."""
    if not ledger.concerns(asked):
        return await write([])
    async with ledger.lock(asked.namespace):
        for _ in range(ATTEMPTS):
            charges = await charges_for(ledger, asked, obj, old)
            try:
                entry = await write(charges)
            except ChargeMoved as moved:
                ledger.learn(moved.entries)
                if moved.gone:
                    await asked.parts.barrier.fresh()
            else:
                settle(ledger, charges, entry.revision)
                return entry
    raise errors.conflict("resourcequotas", asked.namespace, "the quota is being changed too often; try again")


def settle(ledger: Ledger, charges: Iterable[Charge], revision: int) -> None:
    """Remember charges that were written."""
    ledger.learn(Entry.of_stored(charge.key, charge.value, revision) for charge in charges)


async def charges_for(ledger: Ledger, asked: Admission, obj: Object, old: Object | None) -> list[Charge]:
    """Return what a write changes in quotas. Raises ApiError Forbidden."""
    parts, group_resource = asked.parts, asked.resource.group_resource
    charges = []
    for entry in ledger.quotas(parts, asked.namespace):
        quota = entry.decode()
        names = quota_rules.needed_names(quota, group_resource, obj)
        if not names:
            continue
        status = quota.setdefault("status", {})
        if any(name not in (status.get("used") or {}) for name in names):
            status["used"] = await count(parts, quota)
        now = parts.clock.wall()
        try:
            used = quota_rules.charge(quota, names, group_resource, obj, old, now)
        except quota_rules.Exceeded as exceeded:
            raise asked.forbidden(str(exceeded)) from None
        if used is not None:
            quota["status"] = status | {"hard": quota["spec"]["hard"], "used": used}
            quota["metadata"]["resourceVersion"] = ""
            charges.append(Charge(entry.key, entry.revision, encode_stored(quota)))
    return charges


async def count(parts: Parts, quota: Object) -> dict[str, str]:
    """Return what the objects of a namespace use of a quota, from a cache that is as new as the state."""
    await parts.barrier.fresh()
    namespace = quota["metadata"]["namespace"]
    plurals = {group_resource_of(name) for name in quota["spec"].get("hard") or {}} - {""}
    used: dict[str, str] = {}
    for resource in parts.registry:
        if resource.group_resource in plurals and resource.namespaced and not resource.is_virtual:
            entries = parts.cache.of(resource).within(resource.key(namespace, ""))
            objs = (entry.decode() for entry in entries)
            used |= written(total(quota, resource.group_resource, objs, parts.clock.wall()))
    return used


def _prefix(namespace: str) -> bytes:
    return PREFIX + namespace.encode() + b"/"

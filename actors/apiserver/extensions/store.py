"""Writes of custom objects: what a verb works with is of the request's version, what is stored of the storage version.

A write always stores the storage version, whatever was stored before: that is how objects migrate.

Neighbours: `versions` converts; `storage.store` writes, for built-in resources without any of this.
"""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from actors.apiserver.extensions.definition import GROUP
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.storage.charge import Charge, Claim
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.store import Change, Store, Write


class VersionedStore(Store):
    def create(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: dict[str, Any],
        claims: Iterable[Claim] = (),
        charges: Sequence[Charge] = (),
    ) -> Awaitable[Entry]:
        if resource.custom is None and resource.group != GROUP:
            return super().create(resource, namespace, name, obj, claims, charges)
        return self._create(resource, namespace, name, obj, claims, charges)

    async def _create(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: dict[str, Any],
        claims: Iterable[Claim],
        charges: Sequence[Charge],
    ) -> Entry:
        custom = resource.custom
        if custom is None:
            return await self._followed(resource, await super().create(resource, namespace, name, obj, claims, charges))
        stored = await custom.to_stored(obj)
        return await custom.view(await super().create(resource, namespace, name, stored, claims, charges))

    async def update(
        self, resource: Resource, namespace: str, name: str, change: Change, *, dry_run: bool = False
    ) -> tuple[Entry, bool]:
        custom = resource.custom
        if custom is None:
            entry, stays = await super().update(resource, namespace, name, change, dry_run=dry_run)
            return await self._followed(resource, entry), stays

        async def converted(_: dict[str, Any], entry: Entry) -> Write:
            view = await custom.view(entry)
            write = await change(view.decode(), view)
            if write.obj is None:
                return write
            return replace(write, obj=await custom.to_stored(write.obj))

        entry, stays = await super().update(resource, namespace, name, converted, dry_run=dry_run)
        return await custom.view(entry), stays

    async def _followed(self, resource: Resource, entry: Entry) -> Entry:
        """Return a written object; a definition only once this server serves by it, so that its writer may."""
        if resource.group == GROUP:
            await self._cache.wait_for(entry.revision)
        return entry

"""The ResourceQuota control loop: reads the quota, then what it counts, then writes if the quota is still that one.

In this order the count holds everything that the quota was charged for when it was read: a charge since then changes
the quota, and the write is refused and tried again. So no count ever undoes a charge.

Neighbours: `replenish` says what is worth a count, `reconcile` counts; admission in the API server charges.
"""

import asyncio
from typing import Any

from actors.api.errors import ApiError
from actors.controller_manager.actions import Action, Failure, RequeueAfter
from actors.controller_manager.controller import Controller
from actors.controller_manager.discovery import discover
from actors.controller_manager.relations import namespace_of
from actors.controller_manager.resource_quota.reconcile import counted_resources, reconcile
from actors.controller_manager.resource_quota.replenish import frees

Object = dict[str, Any]

QUOTAS = "resourcequotas"
RESYNC_S = 300.0  # Kubernetes' period: what no event told of is found then
# A namespace that is emptied frees many things in a row: they are counted together.
GATHER_S = 0.2
# Resources whose change, and not only whose end, may free something; they are cached whole for other loops anyway.
_WHOLE = ("pods", "services", "persistentvolumeclaims")


class ResourceQuotaController(Controller):
    name = "resourcequota"
    workers = 4

    def set_up(self) -> None:
        self._followed: set[str] = set()
        self.quotas = self.watch(QUOTAS, self._keys_of_quota)
        for resource in _WHOLE:
            self._follow(resource, self.cache(resource))

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        cached = self.quotas.get(key)
        if cached is None:
            return []
        metadata = cached["metadata"]
        quota = await self._live(metadata["namespace"], metadata["name"])
        if quota is None:
            return []
        wanted = counted_resources(quota)
        served = {resource: resource for resource in wanted if resource in _WHOLE}
        if len(served) < len(wanted):
            discovered = await discover(self.around.api)
            served |= {type_.name: type_.resource for type_ in discovered.types if type_.name in wanted}
        for name, resource in served.items():
            if name not in self._followed:
                self._follow(name, self.caches.informer(resource, metadata_only=True))
        lists = await asyncio.gather(*(self._list(resource, metadata["namespace"]) for resource in served.values()))
        content = {name: objs for name, objs in zip(served, lists, strict=True) if objs is not None}
        return [*reconcile(quota, content, self.clock.wall()), RequeueAfter(RESYNC_S)]

    async def _live(self, namespace: str, name: str) -> Object | None:
        try:
            return await self.around.api.get(QUOTAS, name, namespace)
        except ApiError as error:
            if error.reason == "NotFound":
                return None
            raise

    async def _list(self, resource: str, namespace: str) -> list[Object] | None:
        try:
            found = await self.around.api.list(resource, namespace)
        except ApiError as error:
            if error.reason == "NotFound":
                return None  # no longer served
            raise
        return found.get("items") or []

    def _follow(self, name: str, informer: Any) -> None:
        self._followed.add(name)

        def changed(key: str, old: Object | None, new: Object | None) -> None:
            if frees(name, old, new):
                self._count_soon(namespace_of(new or old or {}))

        informer.on_change(changed)

    def _count_soon(self, namespace: str) -> None:
        for quota in self.quotas.list():
            if quota["metadata"]["namespace"] == namespace:
                self.queue.add_after(f"{namespace}/{quota['metadata']['name']}", GATHER_S)

    def _keys_of_quota(self, key: str, old: Object | None, new: Object | None) -> tuple[str, ...]:
        """A new quota, another spec, or a status that somebody spoilt; not what admission charges all the time."""
        if new is None:
            return ()
        spec, status = new.get("spec") or {}, new.get("status") or {}
        is_counted = status.get("hard") == spec.get("hard") and status.get("used") is not None
        same = old is not None and (old.get("spec") or {}) == spec
        return () if same and is_counted else (key,)

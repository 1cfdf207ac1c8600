"""The namespace control loop: lists what is left in a Namespace that is being deleted."""

import asyncio
from collections.abc import Iterable
from typing import Any

from actors.api.errors import ApiError
from actors.controller_manager.actions import Action, Failure
from actors.controller_manager.controller import Controller
from actors.controller_manager.discovery import ResourceType, discover
from actors.controller_manager.namespace.reconcile import NAMESPACES, is_due, reconcile
from actors.controller_manager.relations import namespace_of

Object = dict[str, Any]

# Objects of one resource that are looked at in one reconcile. More are counted in the next ones.
PAGE = 500
# Lists on their way at the same time: an empty namespace should not take one round trip a resource, one by one.
CONCURRENT_LISTS = 8


class NamespaceController(Controller):
    name = "namespace"
    workers = 4

    def set_up(self) -> None:
        self.namespaces = self.watch(NAMESPACES, lambda key, old, new: (key,))
        self.pods = self.cache("pods")
        self.pods.on_change(self._on_pod)
        self._lists = asyncio.Semaphore(CONCURRENT_LISTS)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        cached = self.namespaces.get(key)
        if cached is None or not is_due(cached):
            return []
        namespace = await self._live(key)
        # A namesake that was created since must keep what is in it.
        if namespace is None or namespace["metadata"]["uid"] != cached["metadata"]["uid"] or not is_due(namespace):
            return []
        discovered = await discover(self.around.api)
        content = await self._content(key, discovered.types)
        return reconcile(namespace, content, discovered.failures, failure, self.clock.wall())

    async def _live(self, name: str) -> Object | None:
        try:
            return await self.around.api.get(NAMESPACES, name)
        except ApiError as error:
            if error.reason == "NotFound":
                return None
            raise

    async def _content(self, namespace: str, types: Iterable[ResourceType]) -> dict[ResourceType, list[Object]]:
        emptied = [type_ for type_ in types if type_.namespaced and {"list", "delete"} <= type_.verbs]
        lists = await asyncio.gather(*(self._list(namespace, type_) for type_ in emptied))
        return dict(zip(emptied, lists, strict=True))

    async def _list(self, namespace: str, type_: ResourceType) -> list[Object]:
        async with self._lists:
            try:
                found = await self.around.api.list(type_.resource, namespace, limit=PAGE)
            except ApiError as error:
                if error.reason == "NotFound":
                    return []  # the resource is no longer served
                raise
        return found.get("items") or []

    def _on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        """The last Pod of a dying Namespace is what its deletion waits for."""
        if new is None and old is not None:
            namespace = self.namespaces.get(namespace_of(old))
            if namespace is not None and is_due(namespace):
                self.queue.add(namespace["metadata"]["name"])

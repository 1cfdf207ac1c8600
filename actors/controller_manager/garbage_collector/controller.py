"""The garbage collector's loop: a cache of metadata for every resource, a graph over them, a key for each uid.

Nothing is deleted on the word of a cache alone. An owner that the graph does not know is asked for past all caches, and
counts as absent only when the API has no object of that name, or another one under it.
"""

import asyncio
import contextlib
from collections import OrderedDict
from typing import Any

from actors.api.errors import ApiError
from actors.controller_manager.actions import Action, Emit, Failure, RequeueAfter
from actors.controller_manager.controller import Controller, Surroundings
from actors.controller_manager.discovery import ResourceType, discover
from actors.controller_manager.garbage_collector.collect import OwnerState, collect
from actors.controller_manager.garbage_collector.graph import Graph, Item, item_of
from bus import BusError
from runtime.informer import Informer

Object = dict[str, Any]

# Nobody owns through an Event, and nothing owns Events: watching them would cost more than all else together.
IGNORED = frozenset({"events", "events.events.k8s.io"})
NEEDED_VERBS = frozenset({"list", "watch", "delete", "patch"})

DISCOVER_AGAIN_S = 1.0  # after an API server that did not answer
FILL_TIMEOUT_S = 30.0  # for the first lists of all resources; one that can't be listed must not stop the others
REDISCOVERY_S = 30.0  # Kubernetes' period for noticing new kinds of resources
DEFINITIONS = frozenset({"customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io"})
DEFINITIONS_SETTLE_S = 1.0  # after a change of one of these: they often come in numbers, and are served a moment later
# An object often shows up in its cache before its owner does in another: give that a moment before asking the API.
OWNER_MAY_COME_S = 1.0
# An owner that exists but is not in the graph is of a kind that is not watched: nobody will tell us when it goes.
UNWATCHED_OWNER_S = 60.0
ABSENT_REMEMBERED = 5_000  # uids of owners known to be gone, the oldest forgotten; uids are never used again


class GarbageCollector(Controller):
    name = "garbage-collector"

    def __init__(self, around: Surroundings):
        self.graph = Graph()
        self._types: dict[str, ResourceType] = {}
        self._kinds: dict[tuple[str, str], ResourceType] = {}
        self._absent: OrderedDict[str, None] = OrderedDict()
        self._filled = False
        self._definitions_changed = asyncio.Event()
        super().__init__(around)

    def set_up(self) -> None:
        """What there is to watch is only known after discovery, in `begin`."""

    async def begin(self) -> None:
        while True:
            if await self._discover():
                break
            await asyncio.sleep(DISCOVER_AGAIN_S)
        self._filled = True
        for uid in self.graph.unsettled():
            self.queue.add(uid)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run(), name="garbage collection")
            group.create_task(self._rediscover(), name="rediscovery")

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        item = self.graph.get(key)
        if item is None:
            return []
        dependents = self.graph.dependents(key)
        if item.is_deleting:
            return collect(item, {}, dependents)
        owners: dict[str, OwnerState] = {}
        unsure = False
        for reference in item.owners:
            state, is_sure = await self._owner_state(item, reference)
            owners[reference["uid"]] = state
            unsure = unsure or not is_sure
        item = self.graph.get(key)  # time has passed
        if item is None or {reference["uid"] for reference in item.owners} != owners.keys():
            return [RequeueAfter(OWNER_MAY_COME_S)] if item is not None else []
        actions = collect(item, owners, self.graph.dependents(key))
        return [*actions, RequeueAfter(UNWATCHED_OWNER_S)] if unsure else actions

    async def _owner_state(self, item: Item, reference: Object) -> tuple[OwnerState, bool]:
        """Return the state of an owner, and whether we would hear of a change of it."""
        uid = reference["uid"]
        owner = self.graph.get(uid)
        if owner is not None and owner.is_owner_of(item, reference):
            return (OwnerState.WAITS if owner.deletes_dependents else OwnerState.KEEPS), True
        if uid in self._absent:
            return OwnerState.ABSENT, True
        type_ = self._kinds.get((reference["apiVersion"].rpartition("/")[0], reference["kind"]))
        if type_ is None:
            self.log.info("an owner is of no kind that is served", owner=reference["kind"], of=item.name)
            return OwnerState.KEEPS, False
        if type_.namespaced and not item.namespace:
            self._complain(item, reference)
            return OwnerState.KEEPS, True
        if await self._is_absent(type_, item, reference):
            return OwnerState.ABSENT, True
        return OwnerState.KEEPS, False

    async def _is_absent(self, type_: ResourceType, item: Item, reference: Object) -> bool:
        namespace = item.namespace if type_.namespaced else None
        try:
            found = await self.around.api.get(type_.resource, reference["name"], namespace)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
        else:
            if found["metadata"]["uid"] == reference["uid"]:
                return False
        if self.graph.get(reference["uid"]) is None:  # the uid may live elsewhere: then only this reference is wrong
            self._remember_absent(reference["uid"])
        return True

    def _complain(self, item: Item, reference: Object) -> None:
        about = {
            "apiVersion": item.api_version,
            "kind": item.kind,
            "metadata": {"name": item.name, "uid": item.uid},
        }
        what = f"ownerRef {reference['kind']}/{reference['name']} is invalid: a cluster-scoped object has no such owner"
        self._emit(Emit(about, "Warning", "OwnerRefInvalidNamespace", what))

    def _emit(self, emit: Emit) -> None:
        self.recorder.event(emit.about, emit.type, emit.reason, emit.message)

    def _remember_absent(self, uid: str) -> None:
        self._absent[uid] = None
        if len(self._absent) > ABSENT_REMEMBERED:
            self._absent.popitem(last=False)

    async def _rediscover(self) -> None:
        while True:
            await self._time_to_discover()
            if self._filled and await self._discover():
                for uid in self.graph.unsettled():
                    self.queue.add_after(uid, OWNER_MAY_COME_S)

    async def _time_to_discover(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REDISCOVERY_S):
                await self._definitions_changed.wait()
                await asyncio.sleep(DEFINITIONS_SETTLE_S)
        self._definitions_changed.clear()

    async def _discover(self) -> bool:
        """Watch what is served now; return whether the graph holds resources that it did not before."""
        try:
            discovered = await discover(self.around.api)
        except (ApiError, BusError) as error:
            self.log.info("discovery failed", error=str(error))
            return False
        self._kinds |= {(type_.api_version.rpartition("/")[0], type_.kind): type_ for type_ in discovered.types}
        wanted = {type_.resource: type_ for type_ in discovered.types if _is_collected(type_)}
        if not discovered.failures:  # a group that did not answer is not gone
            for resource in self._types.keys() - wanted.keys():
                self._forget(resource)
        added = [type_ for resource, type_ in wanted.items() if resource not in self._types]
        informers = [self._watch_metadata(type_) for type_ in added]
        await self._fill(informers)
        return bool(added)

    async def _fill(self, informers: list[Informer]) -> None:
        """Wait for the first lists, but not for ever: an owner that is missing then is asked for anyway."""
        try:
            async with asyncio.timeout(FILL_TIMEOUT_S):
                for informer in informers:
                    await informer.synced()
        except TimeoutError:
            missing = [informer.name for informer in informers if not informer.has_synced]
            self.log.warning("goes on without some caches", resources=missing)

    def _watch_metadata(self, type_: ResourceType) -> Informer:
        self._types[type_.resource] = type_
        informer = self.caches.informer(type_.resource, metadata_only=True)

        def changed(name: str, old: Object | None, new: Object | None) -> None:
            self._changed(type_, old, new)
            for key in self.expectations.observe(type_.resource, name, new):
                self.queue.add(key)

        for found in informer.list():  # a shared cache may be filled already
            self._changed(type_, None, found)
        informer.on_change(changed)
        self._shown[type_.resource] = informer
        return informer

    def _changed(self, type_: ResourceType, old: Object | None, new: Object | None) -> None:
        worth: set[str] = set()
        if type_.resource in DEFINITIONS and (old is None or new is None):
            self._definitions_changed.set()
        if old is not None and (new is None or old["metadata"]["uid"] != new["metadata"]["uid"]):
            self._remember_absent(old["metadata"]["uid"])
            worth |= self.graph.remove(old["metadata"]["uid"])
        if new is not None:
            uid = new["metadata"]["uid"]
            worth |= self.graph.put(item_of(type_.resource, type_.api_version, type_.kind, new))
            if self._filled and uid in worth and "deletionTimestamp" not in new["metadata"]:
                worth.discard(uid)
                self.queue.add_after(uid, OWNER_MAY_COME_S)
        if self._filled:
            for uid in worth:
                self.queue.add(uid)

    def _forget(self, resource: str) -> None:
        """A kind of resource is no longer served."""
        del self._types[resource]
        self._shown.pop(resource, None)
        self.caches.drop(resource)
        for uid in self.graph.of_resource(resource):
            for dependent in self.graph.remove(uid):
                self.queue.add(dependent)

    def inspect(self) -> dict[str, Any]:
        return {**super().inspect(), "objects": len(self.graph), "resources": len(self._types)}


def _is_collected(type_: ResourceType) -> bool:
    return type_.name not in IGNORED and type_.verbs >= NEEDED_VERBS

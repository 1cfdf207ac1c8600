"""Keeps the status of definitions, and removes the objects of a definition that is being deleted.

Every API server runs this, and none leads: a status follows from the definitions alone (`conditions`), so whoever comes
second finds it written. Removing objects twice is removing them once.

Sends     writes of definitions; deletions of custom objects, through the same verbs and admission as a client's
Crashes   never: what fails is tried again, ever less often
Neighbours: `served` tells which definitions have changed; `conditions` decides.
"""

from typing import Any

from actors.api.errors import ApiError
from actors.api.meta import now_rfc3339
from actors.apiserver.bootstrap.ensure import SELF
from actors.apiserver.call import ApiCall
from actors.apiserver.extensions import conditions
from actors.apiserver.extensions.definition import CLEANUP_FINALIZER, definition_resource
from actors.apiserver.extensions.resources import resources_of, storage_prefix
from actors.apiserver.extensions.served import Served
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.store import Write
from actors.apiserver.verbs.delete import delete_collection
from actors.apiserver.verbs.deletion import may_go
from bus import BusError
from runtime.workqueue import WorkQueue

STILL_THERE_S = 1.0  # between looks at objects whose finalizers keep them, and with them their definition

Object = dict[str, Any]


class DefinitionController:
    def __init__(self, server: Server, served: Served) -> None:
        self._server = server
        self._served = served
        self._queue = WorkQueue(server.clock)
        self._resource = definition_resource()
        served.on_change = self._changed

    async def run(self) -> None:
        """Reconcile for ever; begin with what is there now, not with the past that a restart replays."""
        while True:
            name = await self._queue.get()
            try:
                await self._server.barrier.fresh()
                await self.reconcile(name)
            except (ApiError, BusError) as error:
                self._server.log.info("a definition waits", definition=name, why=str(error))
                self._queue.add_rate_limited(name)
            else:
                self._queue.forget(name)
            finally:
                self._queue.done(name)

    async def reconcile(self, name: str) -> None:
        """Bring one definition a step further. Raises ApiError, BusError."""
        definition = self._served.definition(name)
        if definition is None:
            return
        if conditions.is_deleting(definition):
            if CLEANUP_FINALIZER in (definition["metadata"].get("finalizers") or ()):
                await self._remove_objects(definition)
            return
        now = now_rfc3339(self._server.clock)
        if conditions.status_of(definition, self._served.definitions(), now) != definition.get("status"):
            await self._write_status(name, now)

    def _changed(self, name: str) -> None:
        """Look at a definition, and at those whose names it may have freed."""
        self._queue.add(name)
        group = name.partition(".")[2]
        for other in self._served.definitions():
            if other["spec"]["group"] == group and not _has_names(other):
                self._queue.add(other["metadata"]["name"])

    async def _write_status(self, name: str, now: str) -> None:
        async def change(current: Object, entry: Entry) -> Write:
            if conditions.is_deleting(current):
                return Write(current)
            status = conditions.status_of(current, self._served.definitions(), now)
            return Write({**current, "status": status})

        await self._update(name, change)

    async def _remove_objects(self, definition: Object) -> None:
        """Delete all objects; when none is left, let the definition go."""
        name = definition["metadata"]["name"]
        now = now_rfc3339(self._server.clock)
        if conditions.is_established(definition):

            async def begin(current: Object, entry: Entry) -> Write:
                found = conditions.deleting_objects(current["status"].get("conditions") or [], now)
                return Write({**current, "status": {**current["status"], "conditions": found}})

            await self._update(name, begin)
            if not await self._are_gone(definition):
                self._queue.add_after(name, STILL_THERE_S)
                return

        async def end(current: Object, entry: Entry) -> Write:
            metadata, status = current["metadata"], current.setdefault("status", {})
            metadata["finalizers"] = [one for one in metadata.get("finalizers") or () if one != CLEANUP_FINALIZER]
            if not metadata["finalizers"]:
                del metadata["finalizers"]
            status["conditions"] = conditions.objects_deleted(status.get("conditions") or [], now)
            return Write(None if may_go(self._resource, current) else current)

        await self._update(name, end)

    async def _are_gone(self, definition: Object) -> bool:
        """Delete what is not being deleted yet; True when nothing is left."""
        cache = self._server.cache.add(storage_prefix(definition))
        if any(not entry.decode()["metadata"].get("deletionTimestamp") for entry in cache.entries.values()):
            resource = self._resource_of(definition)
            info = RequestInfo(f"/apis/{resource.api_version}/{resource.plural}", "deletecollection", {}, True)
            info.group, info.version, info.resource = resource.group, resource.version, resource.plural
            await delete_collection(self._server, ApiCall(SELF, "DELETE", info.path), info, resource)
            await self._server.barrier.fresh()
        return not cache.entries

    def _resource_of(self, definition: Object) -> Resource:
        """A row to delete by: one that is served, else one as if it were."""
        spec = definition["spec"]
        for version in spec["versions"]:
            found = self._served.lookup(spec["group"], version["name"], spec["names"]["plural"])
            if found is not None:
                return found
        versions = [{**version, "served": True} for version in spec["versions"]]
        stored = self._server.cache.add(storage_prefix(definition))
        convert = self._served.converter_of(definition)
        return resources_of({**definition, "spec": {**spec, "versions": versions}}, stored, convert)[0]

    async def _update(self, name: str, change: Any) -> None:
        """Write a definition as the API server itself. One that is gone meanwhile is no failure."""
        try:
            await self._server.store.update(self._resource, "", name, change)
        except ApiError as error:
            if error.reason != "NotFound":
                raise


def _has_names(definition: Object) -> bool:
    for condition in (definition.get("status") or {}).get("conditions") or ():
        if condition["type"] == conditions.NAMES_ACCEPTED:
            return condition["status"] == "True"
    return False

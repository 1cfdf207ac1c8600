"""Keeps the APIServices: makes those of what is served here, and says of the others whether they are available.

Every API server does this, and none leads: each writes only what differs from what is there.

Sends     writes of APIServices; GET /apis/GROUP/VERSION to the servers behind us, as an aggregator does
Crashes   never: what fails is tried again at the next round
Neighbours: `aggregator` knows them all; `served` tells when our own versions change.
"""

import asyncio
import uuid
from typing import Any

from actors.api.errors import ApiError
from actors.api.meta import now_rfc3339, set_condition
from actors.apiserver.bootstrap.ensure import SELF
from actors.apiserver.extensions.aggregator import Aggregator, Known
from actors.apiserver.extensions.api_service import AUTOMANAGED, AVAILABLE, GROUP_VERSION, api_service_resource
from actors.apiserver.extensions.served import Served
from actors.apiserver.machinery.prepare import prepare_for_create
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.store import Write
from actors.apiserver.webhooks.addresses import SLICES, NoAddress, find_address
from bus import BusError

ROUND_S = 1.0  # between looks at what changed: an APIService, our own versions, the endpoints of one that is down
CHECK_AGAIN_S = 30.0  # between questions to a server that is well
CHECK_TIMEOUT_S = 5.0  # Kubernetes' time for an answer

ON_START, WHILE_SERVED = "onstart", "true"  # kinds of automatic management, in the words of the label
CORE_PRIORITY, BUILTIN_PRIORITY, CUSTOM_PRIORITY = 18_000, 17_000, 1_000
VERSION_PRIORITY = {True: 15, False: 100}  # of a built-in version, of a custom one

Object = dict[str, Any]


class Availability:
    def __init__(self, server: Server, served: Served, aggregator: Aggregator) -> None:
        self._server = server
        self._served = served
        self._aggregator = aggregator
        self._resource = api_service_resource()
        self._seen: tuple[int, int] | None = None
        self._slices = 0

    async def run(self) -> None:
        """Look after them for ever."""
        await self._server.barrier.fresh()
        while True:
            try:
                await self.round()
            except (ApiError, BusError) as error:
                self._server.log.info("API services wait", why=str(error))
                self._seen = None
            await asyncio.sleep(ROUND_S)

    async def round(self) -> None:
        """Do what is due. Raises ApiError, BusError."""
        cache = self._server.cache.of(self._resource)
        seen = (self._served.generation, cache.changed_revision)
        if seen != self._seen:
            await self._keep_own()
            self._seen = (self._served.generation, cache.changed_revision)
        slices = self._server.cache.at(SLICES).changed_revision
        moved, self._slices = slices != self._slices, slices
        now = self._server.clock.monotonic()
        for known in self._aggregator.known():
            if now >= known.check_at or (moved and known.resources is None):
                known.check_at = now + CHECK_AGAIN_S
                await self._check(known)

    async def _keep_own(self) -> None:
        """Make the APIServices of what is served here, and remove those of custom versions that are no longer."""
        there = self._aggregator.api_services()
        wanted: dict[str, Object] = {}
        for group, versions in self._served.groups().items():
            for version in versions:
                made = self._own(group, version)
                wanted[made["metadata"]["name"]] = made
        for name, made in wanted.items():
            if name not in there:
                await self._create(made)
        for name, obj in there.items():
            labels = obj["metadata"].get("labels") or {}
            if labels.get(AUTOMANAGED) == WHILE_SERVED and name not in wanted:
                await self._remove(name)

    def _own(self, group: str, version: str) -> Object:
        is_builtin = self._served.is_builtin(group)
        most = CORE_PRIORITY if not group else BUILTIN_PRIORITY if is_builtin else CUSTOM_PRIORITY
        label = ON_START if is_builtin else WHILE_SERVED
        spec: Object = {"version": version, "groupPriorityMinimum": most}
        if group:
            spec["group"] = group
        spec["versionPriority"] = VERSION_PRIORITY[is_builtin]
        metadata = {"name": f"{version}.{group}", "labels": {AUTOMANAGED: label}}
        return {"kind": "APIService", "apiVersion": GROUP_VERSION, "metadata": metadata, "spec": spec}

    async def _create(self, obj: Object) -> None:
        server = self._server
        prepare_for_create(self._resource, obj, str(uuid.uuid4()), now_rfc3339(server.clock))
        try:
            await server.store.create(self._resource, "", obj["metadata"]["name"], obj)
        except ApiError as error:
            if error.reason != "AlreadyExists":  # another API server was faster
                raise

    async def _remove(self, name: str) -> None:
        async def change(current: Object, entry: Entry) -> Write:
            return Write(None)

        await self._update(name, change)

    async def _check(self, known: Known) -> None:
        """Ask a server, and write down whether it is available."""
        status, reason, message = await self._asked(known)
        if status != "True":
            known.resources = None
        now = now_rfc3339(self._server.clock)

        async def change(current: Object, entry: Entry) -> Write:
            found = (current.get("status") or {}).get("conditions") or []
            made = set_condition(found, AVAILABLE, status, reason, message, now)
            return Write({**current, "status": {**(current.get("status") or {}), "conditions": made}})

        await self._update(known.name, change)

    async def _asked(self, known: Known) -> tuple[str, str, str]:
        """Return the status, reason and message of a server's condition."""
        server, remote = self._server, known.remote
        try:
            find_address(server.cache, remote.reference, server.random)
        except NoAddress as error:
            name, namespace = remote.reference.name, remote.reference.namespace
            if str(error).endswith("not found"):
                return "False", "ServiceNotFound", f'service/{name} in "{namespace}" is not present'
            return (
                "False",
                "MissingEndpoints",
                f'endpoints for service/{name} in "{namespace}" have no addresses: {error}',
            )
        path = f"/apis/{remote.group}/{remote.version}"
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                known.resources = await remote.fetch(server, path, "application/json", SELF)
        except (ApiError, TimeoutError) as error:
            where = f"https://{remote.reference.host}:{remote.reference.port}{path}"
            why = str(error) or "timed out"
            return "False", "FailedDiscoveryCheck", f"failing or missing response from {where}: {why}"
        return "True", "Passed", "all checks passed"

    async def _update(self, name: str, change: Any) -> None:
        try:
            await self._server.store.update(self._resource, "", name, change)
        except ApiError as error:
            if error.reason != "NotFound":
                raise

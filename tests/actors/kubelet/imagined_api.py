"""An API server in a dict, and a node's runtime that outlives its kubelet: for simulations of the kubelet.

It speaks the part of `ApiClient` that the kubelet uses, with resource versions, uid preconditions and watches, and can
be away: then every call raises `Unavailable`, and watches break.
"""

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator
from typing import Any

from actors.api import errors
from actors.api.meta import key_of
from actors.kubelet.simulated.driver import SimulatedDriver
from bus import Unavailable
from runtime.informer import Expired, SourceFailed

Object = dict[str, Any]


class ImaginedApi:
    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Object]] = {}
        self.is_away = False
        self.events: list[Object] = []
        self.writes: list[tuple[str, str]] = []  # (verb, resource)
        self._revision = itertools.count(1)
        self._watches: list[tuple[str, asyncio.Queue[tuple[str, Object | None, str]]]] = []

    def away(self, is_away: bool) -> None:
        self.is_away = is_away
        if is_away:
            for _, queue in self._watches:
                queue.put_nowait(("", None, "broken"))

    def pod(self, name: str, namespace: str = "default") -> Object | None:
        return self.objects.get("pods", {}).get(f"{namespace}/{name}")

    def put(self, resource: str, obj: Object) -> Object:
        """Write an object as somebody else would."""
        made = copy.deepcopy(obj)
        made["metadata"].setdefault("uid", f"uid-{next(self._revision)}")
        made["metadata"]["resourceVersion"] = str(next(self._revision))
        self.objects.setdefault(resource, {})[key_of(made)] = made
        self._tell(resource, key_of(made), made)
        return made

    def drop(self, resource: str, key: str) -> None:
        """Remove an object as a forced deletion does."""
        if self.objects.get(resource, {}).pop(key, None) is not None:
            self._tell(resource, key, None)

    def request_deletion(self, name: str, grace_s: int) -> None:
        pod = copy.deepcopy(self.objects["pods"][f"default/{name}"])
        pod["metadata"] |= {"deletionTimestamp": "2024-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace_s}
        self.put("pods", pod)

    # -- what the kubelet calls

    async def create(self, resource: str, obj: Object, namespace: str | None = None, **how: Any) -> Object:
        await self._pass("create", resource)
        if resource == "events":
            self.events.append(obj)
            return obj
        if key_of(obj) in self.objects.get(resource, {}):
            raise errors.already_exists(resource, obj["metadata"]["name"])
        return self.put(resource, obj)

    async def get(self, resource: str, name: str, namespace: str | None = None) -> Object:
        await self._pass("get", resource)
        return copy.deepcopy(self._find(resource, name, namespace))

    async def update(self, resource: str, obj: Object, subresource: str | None = None) -> Object:
        await self._pass("update", resource)
        self._find(resource, obj["metadata"]["name"], obj["metadata"].get("namespace"))
        return self.put(resource, obj)

    async def patch(self, resource: str, name: str, patch: Any, namespace: str | None = None, **how: Any) -> Object:
        await self._pass("patch", resource)
        if resource == "events":
            return next(event for event in self.events if event["metadata"]["name"] == name) | patch
        found = self._find(resource, name, namespace)
        guards = patch.get("metadata") or {}
        for field in ("uid", "resourceVersion"):
            if guards.get(field, found["metadata"][field]) != found["metadata"][field]:
                raise errors.conflict(resource, name, "changed")
        return self.put(resource, _merged(found, copy.deepcopy(patch)))

    async def delete(self, resource: str, name: str, namespace: str | None = None, **how: Any) -> Object:
        await self._pass("delete", resource)
        found = self._find(resource, name, namespace)
        if how.get("uid") not in (None, found["metadata"]["uid"]):
            raise errors.conflict(resource, name, "another uid")
        self.drop(resource, key_of(found))
        return found

    def source(self, resource: str, namespace: str | None = None, **selectors: str) -> "ImaginedSource":
        return ImaginedSource(self, resource)

    # -- parts

    async def _pass(self, verb: str, resource: str) -> None:
        await asyncio.sleep(0.001)
        if self.is_away:
            raise Unavailable("the imagined API is away")
        self.writes.append((verb, resource))

    def _find(self, resource: str, name: str, namespace: str | None) -> Object:
        found = self.objects.get(resource, {}).get(f"{namespace}/{name}" if namespace else name)
        if found is None:
            raise errors.not_found(resource, name)
        return found

    def _tell(self, resource: str, key: str, obj: Object | None) -> None:
        for watched, queue in self._watches:
            if watched == resource:
                queue.put_nowait((key, copy.deepcopy(obj), str(next(self._revision))))

    def subscribe(self, resource: str) -> "asyncio.Queue[tuple[str, Object | None, str]]":
        queue: asyncio.Queue[tuple[str, Object | None, str]] = asyncio.Queue()
        self._watches.append((resource, queue))
        return queue

    def unsubscribe(self, queue: "asyncio.Queue[tuple[str, Object | None, str]]") -> None:
        self._watches = [item for item in self._watches if item[1] is not queue]


class ImaginedSource:
    """List and watch; a watch that begins anew lists again, so that nothing is missed."""

    def __init__(self, api: ImaginedApi, resource: str):
        self._api, self._resource = api, resource
        self._queue: Any = None

    async def list(self) -> tuple[dict[str, Object], str]:
        if self._api.is_away:
            raise SourceFailed("away")
        self._queue = self._api.subscribe(self._resource)
        return copy.deepcopy(self._api.objects.get(self._resource, {})), "1"

    async def watch(self, version: str) -> AsyncIterator[tuple[str, Object | None, str]]:
        if self._api.is_away:
            raise SourceFailed("away")
        if self._queue is None:
            raise Expired("list again")
        queue, self._queue = self._queue, None
        try:
            while True:
                key, obj, at = await queue.get()
                if at == "broken":
                    raise SourceFailed("the imagined API went away")
                yield key, obj, at
        finally:
            self._api.unsubscribe(queue)


class LastingDriver(SimulatedDriver):
    """A runtime that outlives its kubelet, as containerd does: nothing is to be restored."""

    def restore(self, pod: Object, owner: str) -> None:
        return None


def _merged(now: Object, patch: Object) -> Object:
    made = dict(now)
    for field, value in patch.items():
        if value is None:
            made.pop(field, None)
        elif isinstance(value, dict) and isinstance(made.get(field), dict):
            made[field] = _merged(made[field], value)
        else:
            made[field] = value
    return made

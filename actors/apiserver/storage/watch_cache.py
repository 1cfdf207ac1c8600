"""Every resource's cache, fed by one watch of the state actor, and the wait until it has caught up.

`revision` is the state's revision up to which the cache has seen everything. A reader that wants linearizable data asks
`Barrier` for a revision taken after its request came, and waits here until the cache has reached it; then cached bytes
are as good as the store's.

Neighbours: `feed` loads it and applies what the state actor streams; `verbs` read; `auth` and `admission` look things
up in it.
"""

import asyncio
import heapq
import itertools
from collections.abc import Iterable

import orjson

from actors.api import errors
from actors.apiserver.machinery.resource import Registry, Resource
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.event import BOOKMARK, ERROR, OVERFLOW_LINE, line
from actors.apiserver.storage.resource_cache import ResourceCache
from actors.state.messages import Event

ROOT = b"/registry/"

_COMMON_FIELDS = {
    "metadata.name": lambda obj: obj["metadata"]["name"],
    "metadata.namespace": lambda obj: obj["metadata"].get("namespace", ""),
}


def expired_line(message: str) -> bytes:
    """What a watcher reads whose revision is gone."""
    return line(ERROR, orjson.dumps(errors.gone(message).status()))


def bookmark_line(resource: Resource, revision: int, annotations: dict[str, str] | None = None) -> bytes:
    metadata: dict = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    return line(BOOKMARK, orjson.dumps(obj))


class WatchCache:
    """Caches by storage prefix. Not loaded until the first `replace`: until then nothing may be answered from it."""

    def __init__(self, registry: Registry) -> None:
        self._caches: dict[bytes, ResourceCache] = {}
        for resource in sorted(registry, key=lambda r: r.conversion is not None):
            if not resource.is_virtual:
                self._offer(resource)
        self.revision = 0
        self.loaded = False
        self._first_load = asyncio.Event()
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._overflow_line = OVERFLOW_LINE

    def _offer(self, resource: Resource) -> None:
        """Make room for a resource. One that shares its storage with another adds its selectable fields."""
        prefix = resource.storage_prefix
        cache = self._caches.get(prefix)
        if cache is None:
            self._caches[prefix] = ResourceCache(prefix, {**_COMMON_FIELDS, **resource.selectable_fields})
        else:
            cache.fields = {**resource.selectable_fields, **cache.fields}

    def of(self, resource: Resource) -> ResourceCache:
        return self._caches[resource.storage_prefix]

    def at(self, prefix: bytes) -> ResourceCache:
        return self._caches[prefix]

    def __iter__(self):
        return iter(self._caches.values())

    def find(self, key: bytes) -> ResourceCache | None:
        """The cache that a key belongs to; None for a resource that is not served."""
        end = key.find(b"/", len(ROOT)) + 1
        if not end or not key.startswith(ROOT):
            return None
        cache = self._caches.get(key[:end])
        if cache is None:
            end = key.find(b"/", end) + 1
            cache = self._caches.get(key[:end]) if end else None
        return cache

    def replace(self, entries: Iterable[Entry], revision: int) -> None:
        """Begin anew from a snapshot. Watches that ran are closed: they cannot know what they missed."""
        by_cache: dict[bytes, list[Entry]] = {prefix: [] for prefix in self._caches}
        for entry in entries:
            cache = self.find(entry.key)
            if cache is not None:
                by_cache[cache.prefix].append(entry)
        for prefix, cache in self._caches.items():
            cache.replace(by_cache[prefix], revision)
            for watcher in cache.watchers():
                watcher.close(expired_line("the watch cache was loaded anew"))
        self.loaded = True
        self._first_load.set()
        self.revision = 0
        self._advance(revision)

    def apply(self, events: Iterable[Event], revision: int) -> None:
        """Take over all changes up to `revision`; then watchers and waiting readers learn of them."""
        touched: dict[bytes, ResourceCache] = {}
        for event in events:
            kv = event.kv
            cache = self.find(kv.key)
            if cache is None:
                continue
            if event.deleted:
                cache.delete(kv.key, kv.mod_revision)
            else:
                cache.put(Entry.of_stored(kv.key, kv.value, kv.mod_revision))
            touched[cache.prefix] = cache
        for cache in touched.values():
            cache.publish(self._overflow_line)
        self._advance(revision)

    async def wait_for(self, revision: int) -> None:
        """Return once everything up to `revision` is in the cache."""
        if self.revision < revision:
            waiter = asyncio.get_running_loop().create_future()
            self.when(revision, waiter)
            await waiter

    async def wait_loaded(self) -> None:
        """Return once there is anything to be answered from."""
        await self._first_load.wait()

    def when(self, revision: int, waiter: "asyncio.Future[None]") -> None:
        """Resolve a future once everything up to `revision` is in the cache."""
        if self.revision >= revision:
            if not waiter.done():
                waiter.set_result(None)
        else:
            heapq.heappush(self._waiting, (revision, next(self._order), waiter))

    def send_bookmarks(self, now: float, period_s: float) -> None:
        """Tell every watcher that wants it, and is due, how far the cache has come."""
        for cache in self._caches.values():
            cache.flush(self._overflow_line)
            for watcher in cache.watchers():
                if watcher.bookmark is not None and now >= watcher.bookmark_due:
                    watcher.bookmark_due = now + period_s
                    watcher.push(watcher.bookmark(self.revision), self._overflow_line)

    def close_watches(self) -> None:
        """End every watch, at the end of the process; clients connect again elsewhere."""
        for cache in self._caches.values():
            cache.flush(self._overflow_line)
            for watcher in cache.watchers():
                watcher.close()

    def _advance(self, revision: int) -> None:
        self.revision = max(revision, self.revision)  # a progress batch may name a revision that was seen already
        waiting = self._waiting
        while waiting and waiting[0][0] <= revision:
            waiter = heapq.heappop(waiting)[2]
            if not waiter.done():
                waiter.set_result(None)

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
from collections.abc import Callable, Iterable, Iterator

import orjson

from actors.api import errors
from actors.apiserver.machinery.resource import Registry, Resource
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.event import BOOKMARK, ERROR, OVERFLOW_LINE, CacheEvent, line
from actors.apiserver.storage.resource_cache import ResourceCache
from actors.apiserver.storage.stored_cache import StoredCache
from actors.state.messages import Event

ROOT = b"/registry/"
MAX_EXPECTED = 1024  # entries that are answered and not in the cache yet: more than are under way, most for one turn

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
        self._own: dict[bytes, Entry] = {}  # what `expect` was told, and the state has not yet
        self._overflow_line = OVERFLOW_LINE
        self._on_replace: dict[bytes, Callable[[list[Entry]], None]] = {}
        self._on_change: dict[bytes, Callable[[CacheEvent], None]] = {}

    def observe(
        self, resource: Resource, on_replace: Callable[[list[Entry]], None], on_change: Callable[[CacheEvent], None]
    ) -> None:
        """Call back with all objects of a resource whenever the cache is loaded, and with each change, in order.

        What is called back may `add` and `discard`: it happens before the objects, or later changes, are taken over.
        """
        self._on_replace[resource.storage_prefix] = on_replace
        self._on_change[resource.storage_prefix] = on_change

    def add(self, prefix: bytes) -> StoredCache:
        """Make room for a custom resource, none of whose objects has been seen yet; return what is there already."""
        cache = self._caches.get(prefix)
        if cache is None:
            cache = self._caches[prefix] = StoredCache(prefix, _COMMON_FIELDS)
            cache.replace([], self.revision)
        assert isinstance(cache, StoredCache), f"{prefix!r} belongs to a built-in resource"
        return cache

    def discard(self, prefix: bytes) -> None:
        """Forget a custom resource."""
        self._caches.pop(prefix, None)

    def _offer(self, resource: Resource) -> None:
        """Make room for a resource. One that shares its storage with another adds its selectable fields."""
        prefix = resource.storage_prefix
        cache = self._caches.get(prefix)
        if cache is None:
            self._caches[prefix] = ResourceCache(prefix, {**_COMMON_FIELDS, **resource.selectable_fields})
        else:
            cache.fields = {**resource.selectable_fields, **cache.fields}

    def of(self, resource: Resource) -> ResourceCache:
        """The objects of a resource, as readers see them."""
        custom = resource.custom
        return self._caches[resource.storage_prefix] if custom is None else custom.cache

    def at(self, prefix: bytes) -> ResourceCache:
        """The objects under a prefix, as they are stored."""
        return self._caches[prefix]

    def __iter__(self) -> Iterator[ResourceCache]:
        """All caches that readers have: of a custom resource those of its versions."""
        for cache in list(self._caches.values()):
            if isinstance(cache, StoredCache):
                yield from cache.followers
            else:
                yield cache

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
        self._own.clear()
        entries = list(entries)
        for prefix, observer in self._on_replace.items():
            observer([entry for entry in entries if entry.key.startswith(prefix)])
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
        own = self._own
        for event in events:
            kv = event.kv
            cache = self.find(kv.key)
            if cache is None:
                continue
            change: CacheEvent | None
            if event.deleted:
                change = cache.delete(kv.key, kv.mod_revision)
            else:
                entry = own.pop(kv.key, None)
                if entry is None or entry.revision != kv.mod_revision:
                    entry = Entry.of_stored(kv.key, kv.value, kv.mod_revision)
                change = cache.put(entry)
            touched[cache.prefix] = cache
            observer = self._on_change.get(cache.prefix)
            if observer is not None and change is not None:
                observer(change)
        for cache in touched.values():
            cache.publish(self._overflow_line)
        self._advance(revision)

    def expect(self, entry: Entry) -> None:
        """Take what was stored, and answered, by this process: when its event comes, it need not be made once more."""
        if entry.revision > self.revision:
            if len(self._own) >= MAX_EXPECTED:
                self._own.clear()
            self._own[entry.key] = entry

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
        for cache in self:
            cache.flush(self._overflow_line)
            for watcher in cache.watchers():
                if watcher.bookmark is not None and now >= watcher.bookmark_due:
                    watcher.bookmark_due = now + period_s
                    watcher.push(watcher.bookmark(self.revision), self._overflow_line)

    def close_watches(self) -> None:
        """End every watch, at the end of the process; clients connect again elsewhere."""
        for cache in self:
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

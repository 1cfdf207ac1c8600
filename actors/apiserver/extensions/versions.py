"""The objects of a custom resource as one version of it shows them.

Stored objects are of whatever version was the storage version when they were written, and of whatever schema. A reader
of a version sees each of them converted to that version, pruned and with defaults by its present schema. Where that
changes nothing, which is usual, the stored bytes are what it sees, as for any other resource.

    VersionCache   a ResourceCache of one version: follows that of the stored objects, event by event, so that lists,
                   watches and selectors need not know; made when a version is first read
    Version        a version's schema and cache; what the verbs ask, as `Resource.custom`

Where a webhook converts, events wait in order until it has. A reader waits for them; it learns when the webhook fails,
and the next one tries again. Watchers just see nothing until then.

Neighbours: `webhook` converts; `storage.watch_cache` holds the stored objects; `store` writes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from actors.api.errors import ApiError
from actors.apiserver.extensions.scaling import CustomScale
from actors.apiserver.extensions.schema.shape import CustomShape
from actors.apiserver.machinery.selectable import FieldReader
from actors.apiserver.machinery.stored import encode_stored
from actors.apiserver.storage.entry import Entry, stamp_bytes
from actors.apiserver.storage.event import ADDED, DELETED, OVERFLOW_LINE, CacheEvent
from actors.apiserver.storage.stored_cache import Follower, StoredCache
from bus import BusError
from runtime.background import spawn

RETRY_FIRST_S, RETRY_MAX_S = 0.5, 30.0  # between attempts at what a webhook refused, while somebody watches
MAX_CONVERTED = 500  # objects in one review: a few MB of usual ones

Object = dict[str, Any]
ConvertMany = Callable[[Sequence[Object], str], Awaitable[list[Object]]]  # (objects, apiVersion) -> the same, converted


class Conversion:
    """How the objects of one definition become those of another version. `convert` None: only apiVersion differs."""

    def __init__(self, storage_version: str, convert: ConvertMany | None) -> None:
        self.storage_version = storage_version
        self.convert = convert


class Version:
    """One served version. Only its schema's source is held until somebody reads or writes an object of it."""

    def __init__(
        self,
        api_version: str,
        shape: CustomShape,
        conversion: Conversion,
        stored: StoredCache,
        fields: Mapping[str, FieldReader],
        scale: CustomScale | None,
    ) -> None:
        self.api_version = api_version
        self.shape = shape
        self.scale = scale
        self._conversion = conversion
        self._stored = stored
        self._fields = fields
        self._cache: VersionCache | None = None
        self._is_closed = False

    @property
    def stored_api_version(self) -> str:
        return self._conversion.storage_version

    @property
    def cache(self) -> "VersionCache":
        """The objects as this version shows them."""
        if self._cache is None:
            fields = {**self._stored.fields, **self._fields}
            self._cache = VersionCache(self._stored, fields, self)
            if not self._is_closed:
                self._stored.followers.append(self._cache)
        return self._cache

    def close(self) -> None:
        """The definition has changed, or is gone: watches end, and clients watch again from where they were.

        Requests that are still being answered see what is there now, and no change after it.
        """
        self._is_closed = True
        if self._cache is not None:
            self._stored.followers.remove(self._cache)
            self._cache.close()
            self._cache = None

    def shown(self, entry: Entry) -> Entry | None:
        """Return an entry as this version shows it; None when that takes the webhook."""
        obj = entry.decode()
        changed = obj["apiVersion"] != self.api_version
        if changed:
            if self._conversion.convert is not None:
                return None
            obj["apiVersion"] = self.api_version
        return self.formed(entry, obj, changed)

    def formed(self, entry: Entry, obj: Object, changed: bool) -> Entry:
        """Return the entry of an object of this version: pruned, with defaults."""
        node = self.shape.node
        if not node.fits(obj):
            before = encode_stored(obj)
            node.prune(obj, "", [])
            node.default(obj)
            changed = changed or encode_stored(obj) != before
        if not changed:
            # Where versions are selected by different fields, they do not share what selectors remember of an entry.
            return Entry(entry.key, entry.body, entry.revision) if self._fields else entry
        return Entry(entry.key, stamp_bytes(encode_stored(obj), entry.revision), entry.revision)

    async def view(self, entry: Entry) -> Entry:
        """Return an entry as this version shows it. Raises ApiError when the webhook fails."""
        return (await self.views([entry]))[0]

    async def views(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries as this version shows them, in order. Raises ApiError when the webhook fails."""
        shown = [self.shown(entry) for entry in entries]
        waiting = [i for i, one in enumerate(shown) if one is None]
        for first in range(0, len(waiting), MAX_CONVERTED):
            some = waiting[first : first + MAX_CONVERTED]
            assert self._conversion.convert is not None, "only a webhook leaves something to do"
            made = await self._conversion.convert([entries[i].decode() for i in some], self.api_version)
            for i, obj in zip(some, made, strict=True):
                shown[i] = self.formed(entries[i], obj, True)
        return [one for one in shown if one is not None]

    async def to_stored(self, obj: Object) -> Object:
        """Return an object of this version as it is stored. Raises ApiError when the webhook fails."""
        wanted = self._conversion.storage_version
        if wanted == self.api_version:
            return obj
        if self._conversion.convert is None:
            return {**obj, "apiVersion": wanted}
        return (await self._conversion.convert([obj], wanted))[0]


class VersionCache(Follower):
    """See the module. `_waiting` are the events that have not been taken over yet, oldest first."""

    def __init__(self, stored: StoredCache, fields: Mapping[str, FieldReader], version: Version) -> None:
        super().__init__(stored.prefix, fields)
        self._stored = stored
        self._version = version
        self._waiting: list[CacheEvent] = []
        self._busy: asyncio.Future[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._retry_s = RETRY_FIRST_S
        self._is_closed = False
        self._begin()

    def close(self) -> None:
        self._is_closed = True
        if self._retry is not None:
            self._retry.cancel()
        for watcher in self.watchers():
            watcher.close()

    def restart(self) -> None:
        """The stored objects were loaded anew: watches cannot know what they missed."""
        for watcher in self.watchers():
            watcher.close()
        self._waiting.clear()
        self._begin()

    def follow(self, events: Iterable[CacheEvent]) -> None:
        """Take over changes of the stored objects, now or, behind a webhook, later."""
        if self._waiting:
            self._waiting.extend(events)
            return
        events = list(events)
        for i, event in enumerate(events):
            if not self._take(event, None):
                self._waiting = events[i:]
                self._later(0)
                break
        self.publish(OVERFLOW_LINE)

    async def settled(self) -> None:
        """Return once all changes have been taken over. Raises ApiError when the webhook fails."""
        while self._waiting and not self._is_closed:
            if self._busy is None:
                self._busy = asyncio.ensure_future(self._drain())
                self._busy.add_done_callback(self._drained)
            await asyncio.shield(self._busy)

    async def shown(self, entry: Entry) -> Entry:
        return await self._version.view(entry)

    def _begin(self) -> None:
        """Take over what is there, and what changed of late, so that watches can resume."""
        version, memo = self._version, {}
        for entry in self._stored.entries.values():
            memo[id(entry)] = version.shown(entry)
        if any(view is None for view in memo.values()):
            self.replace([], self._stored.horizon)
            events = [CacheEvent(ADDED, entry, None) for entry in self._stored.entries.values()]
            self._waiting = sorted(events, key=lambda event: event.revision)
            self.horizon = max(self.horizon, self._stored.changed_revision)
            return
        self.replace([view for view in memo.values() if view is not None], self._stored.horizon)
        self._adopt(self._stored.window(), memo)
        self.changed_revision = self._stored.changed_revision

    def _adopt(self, events: list[CacheEvent], memo: dict[int, Entry | None]) -> None:
        """Have the window of the stored objects, as this version shows it; none where that would take the webhook."""

        def shown(entry: Entry | None) -> Entry | None:
            if entry is None:
                return None
            if id(entry) not in memo:
                memo[id(entry)] = self._version.shown(entry)
            return memo[id(entry)]

        made = []
        for event in events:
            entry, previous = shown(event.entry), shown(event.previous)
            if entry is None or (previous is None) != (event.previous is None):
                self.horizon = self._stored.changed_revision
                return
            made.append(CacheEvent(event.kind, entry, previous))
        self.adopt(made)

    def _take(self, event: CacheEvent, converted: Entry | None) -> bool:
        """Take over one change; False when it has to be converted first."""
        if event.kind == DELETED:
            self.delete(event.entry.key, event.revision)
            return True
        shown = converted or self._version.shown(event.entry)
        if shown is None:
            return False
        self.put(shown)
        return True

    async def _drain(self) -> None:
        """Convert what waits, and take it over."""
        while self._waiting and not self._is_closed:
            some = self._waiting[:MAX_CONVERTED]
            kept = [event for event in some if event.kind != DELETED]
            views = iter(await self._version.views([event.entry for event in kept]))
            for event in some:
                self._take(event, None if event.kind == DELETED else next(views))
            del self._waiting[: len(some)]
            self.publish(OVERFLOW_LINE)
        self._retry_s = RETRY_FIRST_S

    def _drained(self, done: "asyncio.Future[None]") -> None:
        """Whoever waits learns the outcome; who watches is served by another attempt."""
        self._busy = None
        if done.cancelled() or done.exception() is None:
            return
        if self.watcher_count and not self._is_closed:
            self._later(self._retry_s)
            self._retry_s = min(2 * self._retry_s, RETRY_MAX_S)

    def _later(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._retry is not None:
            self._retry.cancel()
        self._retry = loop.call_later(delay_s, lambda: spawn(self._quietly(), "conversion"))

    async def _quietly(self) -> None:
        """An attempt that nobody waits for: `_drained` sees to the next one."""
        try:
            await self.settled()
        except (ApiError, BusError):
            return

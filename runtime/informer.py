"""A local copy of a collection, kept true by list and watch, with handlers and indexes.

The source lists and watches; this keeps the copy. A watch that ends, breaks or is refused as expired is resumed, or the
collection is listed again and compared with the copy, so that handlers see every final state, deletions included. They
may not see every state in between. Objects in the copy are shared: nobody may change them.

Neighbours: `actors.api.client` makes sources; `workqueue` is where handlers put their keys.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Any, Protocol

import structlog

from bus import BusError
from runtime.clock import Clock

FIRST_PAUSE_S = 0.05  # before another try after a failure; doubles
LONGEST_PAUSE_S = 10.0
HEALTHY_AFTER_S = 5.0  # a watch that lasted so long starts the pauses from the first again

Object = dict[str, Any]
Handler = Callable[[str, Object | None, Object | None], None]


class Expired(Exception):
    """The version to resume from is gone; list again."""


class SourceFailed(Exception):
    """The source refused or could not be reached; try again later."""


class Source(Protocol):
    """A collection that can be listed and watched. Keys are strings, versions opaque."""

    async def list(self) -> tuple[dict[str, Object], str]:
        """Return all objects by key, and the version to watch from. Raises SourceFailed or BusError."""

    def watch(self, version: str) -> AsyncIterator[tuple[str, Object | None, str]]:
        """Yield (key, object or None when deleted, version). Raises Expired, SourceFailed or BusError.

        An empty key carries only a newer version.
        """


class Informer:
    def __init__(self, source: Source, *, name: str, log: Any = None, clock: Clock | None = None):
        self._source = source
        self._log = log or structlog.get_logger()
        self.name = name
        self._clock = clock
        self._objects: dict[str, Object] = {}
        self._version = ""
        self._handlers: list[Handler] = []
        self._indexes: dict[str, tuple[Callable[[Object], Iterable[str]], dict[str, set[str]]]] = {}
        self._synced = asyncio.Event()
        self.relists = 0

    def on_change(self, handler: Handler) -> None:
        """Call `handler(key, old, new)` after each change of the copy; new is None for a deletion."""
        self._handlers.append(handler)

    def add_index(self, name: str, values: Callable[[Object], Iterable[str]]) -> None:
        """Index objects by what `values` says of each; before the first list or after it."""
        self._indexes[name] = (values, {})
        for key, found in self._objects.items():
            self._put_in_index(name, key, found)

    def by_index(self, name: str, value: str) -> list[Object]:
        keys = self._indexes[name][1].get(value, ())
        return [self._objects[key] for key in keys]

    def get(self, key: str) -> Object | None:
        return self._objects.get(key)

    def list(self) -> Collection[Object]:
        return self._objects.values()

    def keys(self) -> Collection[str]:
        return self._objects.keys()

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def has_synced(self) -> bool:
        return self._synced.is_set()

    async def synced(self) -> None:
        """Return when the first list is in."""
        await self._synced.wait()

    async def run(self) -> None:
        """Keep the copy true, for ever."""
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            begin = loop.time()
            try:
                if not self._version:
                    await self._relist()
                await self._follow()
            except Expired:
                self._version = ""
                self._log.info("informer lists again", informer=self.name)
            except (SourceFailed, BusError) as error:
                self._log.debug("informer will try again", informer=self.name, error=str(error))
            if loop.time() - begin > HEALTHY_AFTER_S:
                pause_s = FIRST_PAUSE_S  # it worked for a while: an end is no sign of trouble
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _relist(self) -> None:
        objects, version = await self._source.list()
        self.relists += 1
        for key in [key for key in self._objects if key not in objects]:
            self._set(key, None)
        for key, found in objects.items():
            self._set(key, found)
        self._version = version
        self._synced.set()

    async def _follow(self) -> None:
        async for key, found, version in self._source.watch(self._version):
            self._version = version
            if key:
                self._set(key, found)

    def _set(self, key: str, new: Object | None) -> None:
        old = self._objects.get(key)
        if old is None and new is None:
            return
        if old is not None and new is not None and _version_of(old) == _version_of(new):
            return
        for name in self._indexes:
            if old is not None:
                self._drop_from_index(name, key, old)
            if new is not None:
                self._put_in_index(name, key, new)
        if new is None:
            del self._objects[key]
        else:
            self._objects[key] = new
        for handler in self._handlers:
            handler(key, old, new)

    def _put_in_index(self, name: str, key: str, found: Object) -> None:
        values, keys_by_value = self._indexes[name]
        for value in values(found):
            keys_by_value.setdefault(value, set()).add(key)

    def _drop_from_index(self, name: str, key: str, found: Object) -> None:
        values, keys_by_value = self._indexes[name]
        for value in values(found):
            keys = keys_by_value.get(value)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del keys_by_value[value]


def _version_of(found: Object) -> Any:
    """Return what tells two states of one object apart: its uid and resourceVersion, or the object itself."""
    metadata = found.get("metadata")
    if not isinstance(metadata, dict) or "resourceVersion" not in metadata:
        return found
    return metadata.get("uid"), metadata["resourceVersion"]

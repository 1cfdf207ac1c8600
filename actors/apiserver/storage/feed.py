"""Keeps the watch cache true to the state: one snapshot, then one watch of everything, for as long as the actor lives.

The first snapshot is of a revision a little ago, and the watch brings what happened since: so the cache remembers
changes from before its own start, and a client whose watch broke with the last API server goes on from where it was.

The watch covers the whole key space and not only /registry/, so that its progress reaches every revision that a read
barrier may name. A watch that breaks goes on from the revision after the last one applied; only when that was compacted
is the cache loaded anew, and then clients' watches end with 410.

Neighbours: `client` streams; `watch_cache` takes over.
"""

import asyncio
from typing import Any

from actors.apiserver.storage.client import StateClient
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.watch_cache import ROOT, WatchCache
from actors.state.messages import COMPACTED, FUTURE_REVISION, Range, WatchRequest
from bus import BusError, RemoteError

PAGE_KEYS = 500  # a page of the snapshot: a few MB at most of usual objects
PROGRESS_MS = 5_000  # an idle watch hears this often that it has missed nothing
HISTORY_REVISIONS = 2_000  # of changes fetched again at a start: some 30 ms of work, minutes of a quiet cluster
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 2.0
EVERYTHING = b"\0"
ROOT_END = b"/registry0"  # the first key after all that begin with /registry/


class Feed:
    def __init__(self, state: StateClient, cache: WatchCache, log: Any) -> None:
        self._state = state
        self._cache = cache
        self._log = log
        self.connected = False

    async def load(self) -> None:
        """Fill the cache from a snapshot. Raises BusError when the state cannot be read."""
        while True:
            try:
                entries, revision = await self._snapshot()
            except RemoteError as error:
                if error.kind != COMPACTED:
                    raise
                continue  # compacted between two pages: a newer snapshot is there to be read
            self._cache.replace(entries, revision)
            self._log.info("watch cache loaded", objects=len(entries), revision=revision)
            return

    async def run(self) -> None:
        """Follow the state for ever, whatever breaks."""
        delay_s = RETRY_FIRST_S
        while True:
            try:
                if not self._cache.loaded:
                    await self.load()
                await self._follow()
                delay_s = RETRY_FIRST_S
            except BusError as error:
                if isinstance(error, RemoteError) and error.kind in (COMPACTED, FUTURE_REVISION):
                    self._log.warning("the state does not have our revision; loading anew", error=error.message)
                    self._cache.loaded = False
                    continue
                if self.connected:
                    delay_s = RETRY_FIRST_S
                self._log.warning("watch of the state broke", error=str(error), retry_s=delay_s)
            self.connected = False
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RETRY_MAX_S)

    async def _follow(self) -> None:
        request = WatchRequest(
            key=EVERYTHING,
            range_end=EVERYTHING,
            start_revision=self._cache.revision + 1,
            progress_ms=PROGRESS_MS,
        )
        async with self._state.watch(request) as batches:
            async for batch in batches:
                self.connected = True
                self._cache.apply(batch.events, batch.revision)

    async def _start(self) -> int:
        """The revision to begin at: at first a little ago, later now, so that no reader goes back in time."""
        now = await self._state.revision()
        if self._cache.revision:
            return now.revision
        return max(now.revision - HISTORY_REVISIONS, now.compact_revision, 1)

    async def _snapshot(self) -> tuple[list[Entry], int]:
        entries: list[Entry] = []
        key, revision = ROOT, await self._start()
        while True:
            reply = await self._state.range(Range(key, ROOT_END, limit=PAGE_KEYS, revision=revision))
            objects = (kv for kv in reply.result.kvs if self._cache.find(kv.key) is not None)  # claims are none
            entries.extend(Entry.of_stored(kv.key, kv.value, kv.mod_revision) for kv in objects)
            if not reply.result.more:
                return entries, revision
            key = reply.result.kvs[-1].key + b"\0"

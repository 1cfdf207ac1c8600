"""The linearizable read: a revision asked of the state actor after the request came, shared by all who came before it.

Readers that arrive while a question is on its way wait for the next one: its answer alone is known to be newer than
they are. So any number of concurrent readers costs one small request at a time.

Neighbours: `client` asks; `watch_cache` says when it has caught up.
"""

import asyncio

from actors.apiserver.storage.client import StateClient
from actors.apiserver.storage.watch_cache import WatchCache
from bus import BusError
from runtime.background import spawn


class Barrier:
    def __init__(self, state: StateClient, cache: WatchCache) -> None:
        self._state = state
        self._cache = cache
        self._next: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    async def fresh(self) -> None:
        """Return once the cache holds everything that was acknowledged before this call. Raises BusError, ApiError."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._next.append(waiter)
        if self._task is None or self._task.done():
            self._task = spawn(self._ask(), "read barrier")
        await waiter

    async def _ask(self) -> None:
        while self._next:
            waiters, self._next = self._next, []
            try:
                revision = (await self._state.revision()).revision
            except BusError as error:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_exception(error)
                continue
            for waiter in waiters:
                self._cache.when(revision, waiter)

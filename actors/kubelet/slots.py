"""How many sandboxes and containers are made at a time, and which of those that wait comes next.

Making one is work of the processor: runc, shims and network plugins are programs that start and end. More of them at a
time than the cores carry only make each other slower. What is nearer to its end goes first, so that pods become ready
one after the other instead of all at the last moment.

Neighbours: `starter` takes a slot for each call to the runtime that starts processes; while any is taken, events wait
(`calm`).
"""

import asyncio
import heapq
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Two for each core: one waits for the kernel or the disk while the other computes. On two cores, 4 at a time took 3 to
# 14 % less CPU a pod than 8, and 7 to 9 % less time for 16 pods.
PER_CORE = 2
AT_LEAST, AT_MOST = 4, 32


def starts_at_once() -> int:
    """Return the number of slots for this machine."""
    return min(AT_MOST, max(AT_LEAST, PER_CORE * (os.cpu_count() or 1)))


class Slots:
    def __init__(self, count: int):
        self._free = self._count = count
        self.calm = asyncio.Event()  # none is taken
        self.calm.set()
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap: the least rank first, then the oldest

    @asynccontextmanager
    async def of(self, rank: int) -> AsyncIterator[None]:
        """Hold a slot. Among those that wait, the one of the least rank gets the next."""
        await self._take(rank)
        try:
            yield
        finally:
            self._give()

    async def _take(self, rank: int) -> None:
        self.calm.clear()
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give()  # it came at the same moment
            raise

    def _give(self) -> None:
        """Hand a slot to the next that still waits."""
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
        if self._free == self._count:
            self.calm.set()

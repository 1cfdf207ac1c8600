"""What the state actor does on its own: ends leases, forgets old history, frees what was forgotten.

All of it is done by the leader, goes through the log like any other write, and gives way to requests. Freeing memory is
every member's own.

Neighbours: `actor` spawns the loops; `lease` and `compactor` decide; `committer` writes.
"""

import asyncio
from typing import Any

from actors.state.commands import CompactCommand, RevokeCommand
from actors.state.compactor import Compactor
from actors.state.core import Applied
from actors.state.history import PRUNE_CHANGES
from actors.state.messages import LEASE_NOT_FOUND
from actors.state.service import Service
from bus.errors import BusError, RemoteError
from bus.record import Empty
from runtime.clock import Clock

LEASE_TICK_S = 0.5  # how late a lease may end, as in etcd
MAX_REVOKES = 500  # proposed at once when many leases end together, so that other writes get in between
COMPACTION_TICK_S = 1.0  # how often the compactor is asked


class Housekeeping:
    """Loops over one service; each runs for ever."""

    def __init__(self, service: Service, clock: Clock, log: Any):
        self._service = service
        self._store = service.store
        self._committer = service.committer
        self._clock = clock
        self._log = log
        self._compacted = asyncio.Event()
        self._compacted.set()  # a compaction before the restart may have left something to free

    def on_applied(self, applied: Applied) -> None:
        if isinstance(applied.command, CompactCommand):
            self._compacted.set()

    async def end_leases(self) -> None:
        """Revoke what has expired."""
        while True:
            await asyncio.sleep(LEASE_TICK_S)
            if not self._committer.core.is_leader:
                continue
            expired = self._service.lessor.expired(self._clock.monotonic())
            for position in range(0, len(expired), MAX_REVOKES):
                await asyncio.gather(*map(self._end_lease, expired[position : position + MAX_REVOKES]))

    async def _end_lease(self, lease: int) -> None:
        try:
            await self._committer.propose(RevokeCommand(lease), lambda outcome: Empty())
        except BusError as error:
            if isinstance(error, RemoteError) and error.kind == LEASE_NOT_FOUND:
                self._service.lessor.forget(lease)  # its owner revoked it meanwhile
            else:  # no space, or too much to do
                self._service.lessor.retry(lease, self._clock.monotonic())

    async def compact(self, every_s: float) -> None:
        """Compact history when it is old, or too large."""
        store = self._store
        compactor = Compactor(every_s, self._clock.monotonic(), store.revision)
        while True:
            await asyncio.sleep(COMPACTION_TICK_S)
            wanted = compactor.tick(
                self._clock.monotonic(), store.revision, store.compact_revision, store.history.superseded_bytes
            )
            if wanted is None or not self._committer.core.is_leader:
                continue  # every member keeps track, so that each can take over
            try:
                await self._committer.propose(CompactCommand(wanted), lambda outcome: Empty())
            except BusError as error:
                self._log.warning("history was not compacted", revision=wanted, reason=error.message)
            else:
                self._log.info("history compacted", revision=wanted)

    async def prune(self) -> None:
        """Free compacted history, in small steps."""
        while True:
            await self._compacted.wait()
            self._compacted.clear()
            if self._store.history.prune(PRUNE_CHANGES):
                self._compacted.set()
                await asyncio.sleep(0)

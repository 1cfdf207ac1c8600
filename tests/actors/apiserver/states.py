"""What an API server's tests store in: one interface to each driver, and faults that tests arm.

`opened` gives an empty store: in memory, or where the fixture `every_state` says.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from actors.apiserver.storage.client import BusStateClient, StateClient
from actors.apiserver.storage.etcd.client import EtcdStateClient
from actors.apiserver.storage.etcd.peers import Peers
from actors.state import messages as m
from actors.state import txn
from actors.state.commands import CompactCommand, GrantCommand, RevokeCommand, TxnCommand
from actors.state.machine import Machine
from actors.state.messages import Range, RangeReply, RevisionReply, Txn, TxnReply, WatchBatch, WatchRequest
from actors.state.watch import WatchHub
from bus import Client, DeadlineExceeded, StreamLost, Unavailable

REACH_S = 20.0  # for a connection to the store, on a machine that is busy
REGISTRY = m.DeleteRange(b"/registry/", b"/registry0")


class Driver(StateClient, Protocol):
    """What the API server asks, and what only tests do."""

    async def compact(self, revision: int) -> Any: ...

    async def revoke(self, lease: int) -> None: ...


class MemoryState:
    """The state actor's machine, without a process around it."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.hub = WatchHub(self.machine.store)

    async def range(self, range_: Range) -> RangeReply:
        txn.check_range(range_)
        return RangeReply(self.machine.store.revision, self.machine.store.range(range_))

    async def revision(self) -> RevisionReply:
        await asyncio.sleep(0)
        return RevisionReply(self.machine.store.revision, self.machine.store.compact_revision)

    async def answers(self) -> None:
        """At once."""

    async def lease_grant(self, ttl_s: int) -> int:
        lease = self.machine.applied + 1
        self.machine.apply(lease, GrantCommand(lease, ttl_s))
        return lease

    async def revoke(self, lease: int) -> None:
        outcome = self.machine.apply(self.machine.applied + 1, RevokeCommand(lease))
        self.hub.publish(outcome.revision, outcome.changes)

    async def txn(self, wanted: Txn) -> TxnReply:
        txn.check(wanted)
        outcome = self.machine.apply(self.machine.applied + 1, TxnCommand(wanted))
        if isinstance(outcome.result, Exception):
            raise outcome.result
        if outcome.changes:
            self.hub.publish(outcome.revision, outcome.changes)
        return TxnReply(outcome.revision, outcome.result)

    async def compact(self, revision: int) -> None:
        self.machine.apply(self.machine.applied + 1, CompactCommand(revision))
        while self.machine.store.history.prune(1000):
            pass

    @asynccontextmanager
    async def watch(self, request: WatchRequest) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        watcher = self.hub.watch(request.key, request.range_end, request.start_revision, request.prev_kv)
        try:
            newest = self.machine.store.revision  # what comes after this waits in the watcher
            seen = min(request.start_revision - 1, newest) if request.start_revision else newest
            yield self._batches(watcher, WatchBatch(seen, []))
        finally:
            self.hub.cancel(watcher)

    async def _batches(self, watcher: Any, first: WatchBatch) -> AsyncIterator[WatchBatch]:
        awake = asyncio.Event()
        watcher.wake = awake.set
        yield first
        while True:
            if (batch := watcher.take()) is not None:
                yield batch
                continue
            awake.clear()
            await awake.wait()


class ActorState(BusStateClient):
    """A state actor over the bus."""

    def __init__(self, endpoint: str):
        self._bus = Client("apiserver@test")
        self._endpoint = endpoint
        super().__init__(self._bus, {"state@m1": endpoint})

    async def compact(self, revision: int) -> None:
        await self._bus.request(self._endpoint, m.CompactRequest(revision))

    async def revoke(self, lease: int) -> None:
        await self._bus.request(self._endpoint, m.LeaseRevokeRequest(lease))

    async def close(self) -> None:
        self._bus.close()


class EtcdState(EtcdStateClient):
    """A real etcd over gRPC."""

    def __init__(self, endpoints: list[str]):
        super().__init__(Peers(endpoints, None, Path()))

    async def revoke(self, lease: int) -> None:
        from actors.api.etcd.proto import rpc_pb2

        await self._write("LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease))


class FaultyState:
    """A driver whose failures tests arm."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.granted: dict[int, int] = {}  # seconds by lease
        self.down = False
        self.lose_answers = 0  # of txns that are done all the same
        self.repeat_txns = False  # as the bus does after a lost answer, to a state actor that forgot the id
        self.asked_revision = 0
        self.hold: asyncio.Event | None = None  # while set to an unset event, watches deliver nothing
        self._watches: list[asyncio.Event] = []

    async def range(self, range_: Range) -> RangeReply:
        self._check()
        return await self._driver.range(range_)

    async def revision(self) -> RevisionReply:
        self._check()
        self.asked_revision += 1
        return await self._driver.revision()

    async def lease_grant(self, ttl_s: int) -> int:
        self._check()
        lease = await self._driver.lease_grant(ttl_s)
        self.granted[lease] = ttl_s
        return lease

    async def txn(self, wanted: Txn) -> TxnReply:
        self._check()
        reply = await self._driver.txn(wanted)
        if self.repeat_txns:
            reply = await self._driver.txn(wanted)
        if self.lose_answers:
            self.lose_answers -= 1
            raise DeadlineExceeded("no answer")
        return reply

    async def answers(self) -> None:
        self._check()
        await self._driver.answers()

    async def lease_of(self, key: bytes) -> int:
        """Return the lease that a key hangs on; 0 for none."""
        found = (await self._driver.range(Range(key))).result.kvs
        return found[0].lease if found else 0

    async def revoke(self, lease: int) -> None:
        """What happens when its time is over."""
        await self._driver.revoke(lease)

    async def compact(self) -> None:
        """Forget all that was superseded."""
        await self._driver.compact((await self._driver.revision()).revision)

    def break_watches(self) -> None:
        for broken in self._watches:
            broken.set()
        self._watches.clear()

    @asynccontextmanager
    async def watch(self, request: WatchRequest) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        self._check()
        broken = asyncio.Event()
        self._watches.append(broken)
        async with self._driver.watch(request) as batches:
            yield self._batches(batches, broken)

    async def _batches(self, batches: AsyncIterator[WatchBatch], broken: asyncio.Event) -> AsyncIterator[WatchBatch]:
        breaking = asyncio.ensure_future(broken.wait())
        coming: asyncio.Future[WatchBatch] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(_next(batches))
                await asyncio.wait((coming, breaking), return_when=asyncio.FIRST_COMPLETED)
                if self.hold is not None:
                    await self.hold.wait()
                if broken.is_set():
                    raise StreamLost("the watch broke")
                yield coming.result()
        finally:
            for each in filter(None, (coming, breaking)):
                each.cancel()
                await asyncio.wait((each,))

    def _check(self) -> None:
        if self.down:
            raise Unavailable("the state is down")


async def _next(batches: AsyncIterator[WatchBatch]) -> WatchBatch:
    try:
        return await anext(batches)
    except StopAsyncIteration:
        raise StreamLost("the watch has ended") from None


@asynccontextmanager
async def in_memory() -> AsyncIterator[FaultyState]:
    yield FaultyState(MemoryState())


async def _reached(driver: Any, request: Txn) -> Any:
    """Its answer, once the store that all tests share can be reached: each test connects anew."""
    async with asyncio.timeout(REACH_S):
        while True:
            try:
                return await driver.txn(request)
            except Unavailable:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def emptied(driver: Any) -> AsyncIterator[FaultyState]:
    """A store that others have used, with nothing in it, nor in its history."""
    try:
        done = await _reached(driver, Txn([], [m.Put(b"/empty", b""), REGISTRY]))
        await driver.compact(done.revision)
        yield FaultyState(driver)
    finally:
        await driver.close()


opened: Callable[[], AbstractAsyncContextManager[FaultyState]] = in_memory

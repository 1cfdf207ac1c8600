"""The state actor, asked over the bus.

Requests of one message id may be sent again: the state actor remembers the answers of writes, so a write whose answer
was lost is not done twice. When the deadline passes without an answer the outcome of a write is unknown, and the
`DeadlineExceeded` that is raised means just that.

Neighbours: `store` writes through it, `barrier` and `feed` read through it; tests put a store in memory in its place.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from actors.state.messages import (
    Range,
    RangeReply,
    RangeRequest,
    RevisionReply,
    RevisionRequest,
    Txn,
    TxnReply,
    TxnRequest,
    WatchBatch,
    WatchRequest,
)
from bus import Client

READ_TIMEOUT_S = 10.0  # of a read of the state
WRITE_TIMEOUT_S = 20.0  # of a write; a disk may stall for seconds, and giving up early makes the outcome unknown
WATCH_TIMEOUT_S = 10.0  # until a watch's first batch, which the state actor sends at once


class StateClient(Protocol):
    """What the API server needs of the state."""

    async def range(self, range_: Range) -> RangeReply: ...

    async def txn(self, txn: Txn) -> TxnReply: ...

    async def revision(self) -> RevisionReply: ...

    def watch(self, request: WatchRequest) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]: ...


class BusStateClient:
    """The state actor at one of `endpoints`."""

    def __init__(self, client: Client, endpoints: Sequence[str]) -> None:
        self._client = client
        self._endpoints = endpoints

    async def range(self, range_: Range) -> RangeReply:
        return await self._client.request(self._endpoints, RangeRequest(range_), timeout_s=READ_TIMEOUT_S, retry=True)

    async def txn(self, txn: Txn) -> TxnReply:
        return await self._client.request(self._endpoints, TxnRequest(txn), timeout_s=WRITE_TIMEOUT_S, retry=True)

    async def revision(self) -> RevisionReply:
        return await self._client.request(self._endpoints, RevisionRequest(), timeout_s=READ_TIMEOUT_S, retry=True)

    @asynccontextmanager
    async def watch(self, request: WatchRequest) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        async with self._client.stream(self._endpoints, request, timeout_s=WATCH_TIMEOUT_S) as batches:
            yield batches

"""etcd's service KV: range, put, delete, txn, compaction.

Neighbours: `translate` and `door` do the work; `front` serves it.
"""

import asyncio
from typing import Any

from actors.api.etcd.proto import rpc_pb2
from actors.state import messages as m
from actors.state.etcd import translate
from actors.state.etcd.door import Door
from actors.state.etcd.header import Headers
from actors.state.store import Store

PRUNE_CHANGES = 1_000  # freed at once for a compaction that is to be physical: about 1 ms, then others get a turn


class KV:
    def __init__(self, door: Door, headers: Headers, store: Store):
        self._door = door
        self._headers = headers
        self._store = store

    async def Range(self, request: rpc_pb2.RangeRequest, context: Any) -> rpc_pb2.RangeResponse:
        reply = await self._door.ask(m.RangeRequest(translate.range_of(request), request.serializable))
        response = translate.range_to(reply.result, request)
        response.header.CopyFrom(self._headers.now(reply.revision))
        return response

    async def Put(self, request: rpc_pb2.PutRequest, context: Any) -> rpc_pb2.PutResponse:
        revision, result = await self._one(translate.put_of(request))
        response = translate.put_to(result)
        response.header.CopyFrom(self._headers.now(revision))
        return response

    async def DeleteRange(self, request: rpc_pb2.DeleteRangeRequest, context: Any) -> rpc_pb2.DeleteRangeResponse:
        revision, result = await self._one(translate.delete_of(request))
        response = translate.delete_to(result)
        response.header.CopyFrom(self._headers.now(revision))
        return response

    async def Txn(self, request: rpc_pb2.TxnRequest, context: Any) -> rpc_pb2.TxnResponse:
        reply = await self._door.ask(m.TxnRequest(translate.txn_of(request)))
        response = translate.txn_to(reply.result, request)
        response.header.CopyFrom(self._headers.now(reply.revision))
        return response

    async def Compact(self, request: rpc_pb2.CompactionRequest, context: Any) -> rpc_pb2.CompactionResponse:
        reply = await self._door.ask(m.CompactRequest(request.revision))
        if request.physical:
            while self._store.history.prune(PRUNE_CHANGES):  # noqa: ASYNC110 - it is the work, not a wait
                await asyncio.sleep(0)
        return rpc_pb2.CompactionResponse(header=self._headers.now(reply.revision))

    async def _one(self, operation: m.Operation) -> tuple[int, Any]:
        """Do one operation; return the revision after it and its result."""
        reply = await self._door.ask(m.TxnRequest(m.Txn([], [operation])))
        return reply.revision, reply.result.responses[0]

"""A real etcd cluster in the place of the state actors.

Reads are linearizable, and are asked again, of another member, until their time is over. A write is asked again only
when it is certain that it was not done: no connection, or etcd says so. After anything else its outcome is unknown, and
the `DeadlineExceeded` that is raised means just that; the API server's own compares find out what became of it.

etcd does not tell how far it has compacted, unless somebody asks for what is gone: then a watch of that revision says.

Neighbours: `peers` has the connections; `watching` follows a watch; `compaction` forgets history, which nobody else
does for an etcd cluster; `actors.apiserver.storage.client` is the same for state actors.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from grpc.aio import AioRpcError

from actors.api.etcd.proto import rpc_pb2
from actors.apiserver.storage.client import READ_TIMEOUT_S, WRITE_TIMEOUT_S
from actors.apiserver.storage.etcd import translate
from actors.apiserver.storage.etcd.outcome import failure_of, refusal_of, unknown_of, was_not_done
from actors.apiserver.storage.etcd.peers import Peer, Peers
from actors.apiserver.storage.etcd.watching import EtcdWatch
from actors.state.messages import COMPACTED, Range, RangeReply, RevisionReply, Txn, TxnReply, WatchBatch, WatchRequest
from bus import RemoteError, Unavailable

ATTEMPT_S = 2.0  # of a read at one member, then another one is asked
PAUSE_S = 0.02  # before the next attempt; doubles
MAX_PAUSE_S = 0.5
NOTHING = b"\0"  # a key that is never there


class EtcdStateClient:
    """The `StateClient` of an etcd cluster."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._compact_revision = 0  # as far as is known
        self._revision = 0  # the newest that any answer told of

    async def range(self, range_: Range) -> RangeReply:
        try:
            response = await self._read("Range", translate.range_to(range_))
        except RemoteError as error:
            if error.kind == COMPACTED:
                raise await self._compacted(range_.revision, error) from error
            raise
        return RangeReply(response.header.revision, translate.range_of(response))

    async def txn(self, txn: Txn) -> TxnReply:
        response = await self._write("Txn", translate.txn_to(txn))
        return TxnReply(response.header.revision, translate.txn_of(response))

    async def revision(self) -> RevisionReply:
        response = await self._read("Range", rpc_pb2.RangeRequest(key=NOTHING, count_only=True))
        return RevisionReply(response.header.revision, self._compact_revision)

    async def compact(self, revision: int) -> RevisionReply:
        """Forget what was superseded at or before a revision. COMPACTED when it is forgotten already."""
        response = await self._write("Compact", rpc_pb2.CompactionRequest(revision=revision))
        self._compact_revision = max(self._compact_revision, revision)
        return RevisionReply(response.header.revision, self._compact_revision)

    async def lease_grant(self, ttl_s: int) -> int:
        """Return a new lease. One whose answer was lost is granted to nobody, and ends by itself."""
        return (await self._read("LeaseGrant", rpc_pb2.LeaseGrantRequest(TTL=ttl_s))).ID

    async def answers(self) -> None:
        """Any member hands a write on to its leader, of whom a linearizable read asks too."""
        await self.revision()

    @asynccontextmanager
    async def watch(self, request: WatchRequest) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        peer = await self._peers.ready()
        watch = EtcdWatch(peer, request, lambda: self._revision)
        try:
            await watch.open()
            yield watch.batches()
        except (Unavailable, RemoteError) as error:
            if isinstance(error, RemoteError) and error.kind == COMPACTED:
                self._compact_revision = max(self._compact_revision, (error.detail or {}).get("compact_revision", 0))
            raise
        finally:
            watch.close()
            if watch.is_lost:
                self._peers.failed(peer)

    async def close(self) -> None:
        await self._peers.close()

    async def _compacted(self, wanted: int, refusal: RemoteError) -> RemoteError:
        """Find out how far etcd has compacted, and return the refusal with that."""
        request = WatchRequest(NOTHING, start_revision=wanted)
        try:
            async with asyncio.timeout(READ_TIMEOUT_S), self.watch(request) as batches:
                async for _ in batches:
                    pass
        except RemoteError as error:
            return error if error.kind == COMPACTED else refusal
        except TimeoutError:
            raise Unavailable("etcd does not say how far it has compacted") from refusal
        return refusal

    async def _read(self, method: str, request: Any) -> Any:
        """Ask until somebody answers."""
        return await self._ask(method, request, READ_TIMEOUT_S, ATTEMPT_S, lambda error: True, failure_of)

    async def _write(self, method: str, request: Any) -> Any:
        """Ask until it is done, refused, or unknown."""
        return await self._ask(method, request, WRITE_TIMEOUT_S, WRITE_TIMEOUT_S, was_not_done, unknown_of)

    async def _ask(
        self,
        method: str,
        request: Any,
        timeout_s: float,
        attempt_s: float,
        may_repeat: Callable[[AioRpcError], bool],
        told: Callable[[AioRpcError], Exception],
    ) -> Any:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        pause_s = PAUSE_S
        while True:
            try:
                peer: Peer = await self._peers.ready()
            except Unavailable:
                if loop.time() + pause_s >= end_s:
                    raise
            else:
                left_s = max(PAUSE_S, end_s - loop.time())
                try:
                    response = await peer.call(method)(request, timeout=min(attempt_s, left_s))
                except AioRpcError as error:
                    if (refusal := refusal_of(error)) is not None:
                        raise refusal from error
                    self._peers.failed(peer)
                    if not may_repeat(error) or loop.time() + pause_s >= end_s:
                        raise told(error) from error
                else:
                    self._revision = max(self._revision, response.header.revision)
                    return response
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

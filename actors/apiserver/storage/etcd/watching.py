"""One watch of an etcd cluster, as the state actor would give it: batches that never split a revision.

A watch over which nothing comes is asked for progress, and given up when there is no answer: a member may hang while
its connection stands. Such an answer is a sign of life and no more, for there are releases of etcd whose answer
overtakes events; how far the watch has come is what its events say, and the progress that etcd tells of by itself. A
watch of everything is given up too when it does not bring what another answer has told of.

Neighbours: `client` opens it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from grpc import aio
from grpc.aio import AioRpcError

from actors.api.etcd.proto import rpc_pb2
from actors.apiserver.storage.etcd import translate
from actors.apiserver.storage.etcd.outcome import refusal_of
from actors.apiserver.storage.etcd.peers import Peer
from actors.state.messages import COMPACTED, FUTURE_REVISION, Event, WatchBatch, WatchRequest
from bus import RemoteError, StreamLost, Unavailable

OPEN_S = 10.0  # for etcd to answer the request
ANSWER_S = 5.0  # for etcd to answer a question for progress
STALLED_S = 1.0  # that a watch of everything brings nothing while something is known to be there
LOOK_S = 0.5  # between two looks at that
ASK_EVERY_S = 5.0  # of a watch whose reader does not say how often it wants to hear
EVERYTHING = b"\0"
REQUIRE_LEADER = (("hasleader", "true"),)  # end the watch when the member has lost the others


class EtcdWatch:
    def __init__(self, peer: Peer, request: WatchRequest, newest: Callable[[], int]) -> None:
        """`newest` gives the newest revision that is known to be there."""
        self._request = request
        self._newest = newest
        self._is_of_everything = request.key == request.range_end == EVERYTHING
        self._call: Any = peer.call("Watch")(metadata=REQUIRE_LEADER)
        self._reading: asyncio.Task[Any] | None = None
        self._seen = 0  # the revision up to which everything was given
        self.is_lost = False  # the member did not keep it up

    async def open(self) -> None:
        """Begin. Unavailable; FUTURE_REVISION when etcd has gone back behind what was seen of it."""
        request = self._request
        create = rpc_pb2.WatchCreateRequest(
            key=request.key,
            range_end=request.range_end,
            start_revision=request.start_revision,
            prev_kv=request.prev_kv,
            progress_notify=True,
            fragment=True,
        )
        try:
            await self._call.write(rpc_pb2.WatchRequest(create_request=create))
        except (AioRpcError, asyncio.InvalidStateError) as error:
            self.is_lost = True
            raise Unavailable(f"etcd: the watch cannot be opened: {error!r}") from error
        response = await self._next(OPEN_S)
        if response is None:
            self.is_lost = True
            raise Unavailable("etcd: no answer to a watch")
        revision, start = response.header.revision, request.start_revision
        if response.canceled:
            raise self._end_of(response)
        if start > revision + 1:
            raise RemoteError(f"the watch is to start at {start}, and etcd is at {revision}", kind=FUTURE_REVISION)
        self._seen = min(start - 1, revision) if start else revision

    async def batches(self) -> AsyncIterator[WatchBatch]:
        """Give what happens. COMPACTED, StreamLost."""
        yield WatchBatch(self._seen, [])
        every_s = self._request.progress_ms / 1000 or ASK_EVERY_S
        held: list[Event] = []
        while True:
            response = await self._heard_within(every_s) or await self._ask_for_progress()
            if response.canceled:
                raise self._end_of(response)
            held += map(translate.event_of, response.events)
            if response.fragment:
                continue
            if held:
                self._seen = held[-1].kv.mod_revision
            elif response.watch_id >= 0:
                self._seen = max(self._seen, response.header.revision)
            yield WatchBatch(self._seen, held)
            held = []

    def close(self) -> None:
        self._call.cancel()
        if self._reading is not None:
            self._reading.cancel()

    async def _heard_within(self, limit_s: float) -> rpc_pb2.WatchResponse | None:
        """Return the next response, or None when none came in time. StreamLost when one should have come."""
        loop = asyncio.get_running_loop()
        end_s = stalled_s = loop.time()
        end_s += limit_s
        while (left_s := end_s - loop.time()) > 0:
            if (response := await self._next(min(left_s, LOOK_S))) is not None:
                return response
            if not self._is_of_everything or self._seen >= self._newest():
                stalled_s = loop.time()
            elif loop.time() - stalled_s > STALLED_S:
                raise self._lost(f"it is at revision {self._seen}, and {self._newest()} is there")
        return None

    async def _ask_for_progress(self) -> rpc_pb2.WatchResponse:
        try:
            await self._call.write(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))
        except (AioRpcError, asyncio.InvalidStateError) as error:
            raise self._lost(repr(error)) from error
        response = await self._next(ANSWER_S)
        if response is None:
            raise self._lost("it does not answer")
        return response

    async def _next(self, limit_s: float) -> rpc_pb2.WatchResponse | None:
        """Return the next response; None when none came in time."""
        if self._reading is None:  # one that is cancelled would take the stream along, so it goes on
            self._reading = asyncio.ensure_future(self._call.read())
        done, _ = await asyncio.wait((self._reading,), timeout=limit_s)
        if not done:
            return None
        reading, self._reading = self._reading, None
        try:
            response = reading.result()
        except AioRpcError as error:
            if (refusal := refusal_of(error)) is not None:
                raise refusal from error
            raise self._lost(error.details() or error.code().name) from error
        if response is aio.EOF:
            raise self._lost("etcd ended it")
        return response

    def _end_of(self, response: rpc_pb2.WatchResponse) -> Exception:
        if response.compact_revision:
            detail = {"compact_revision": response.compact_revision}
            return RemoteError(response.cancel_reason or "compacted", detail, kind=COMPACTED)
        return self._lost(response.cancel_reason or "etcd cancelled it")

    def _lost(self, reason: str) -> StreamLost:
        self.is_lost = True
        return StreamLost(f"the watch of etcd broke: {reason}")

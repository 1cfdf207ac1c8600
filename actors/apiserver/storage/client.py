"""The state actors, asked over the bus: one, or the several members of a group.

Writes are the leader's. Any member says who leads, so a write goes where the last one was answered, and follows the
lead when it moves. What may be repeated is repeated under the same message id, at whoever leads by then: the group
remembers the answers of writes, so a write whose answer was lost is not done twice. While an answer is slow to come,
the other members are asked who leads: so a leader that hangs or is cut off is left as soon as it has a successor. When
the deadline passes without an answer, or the group can't tell any more whether it has done a write, its outcome is
unknown, and the `DeadlineExceeded` that is raised means just that.

Writes that come in one turn of the loop travel in one message. One attempt is made with it; a write that it has not
settled goes on alone, under its own id.

Reads are linearizable at any member; they go to the leader too, which has to ask fewer others. A watch is served by any
member, the one of this node first; one that falls behind what is known to be stored is ended, and the next one goes
elsewhere.

Neighbours: `store` writes through it, `barrier` and `feed` read through it; `txns_of_turn` puts writes together; tests
put a store in memory in its place.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from actors.apiserver.storage.txns_of_turn import OnReply, TxnsOfTurn
from actors.state.messages import (
    NOT_LEADER,
    UNKNOWN_OUTCOME,
    LeaseGrantRequest,
    LeaseReply,
    LeaseTimeToLiveRequest,
    Range,
    RangeReply,
    RangeRequest,
    RevisionReply,
    RevisionRequest,
    StatusReply,
    StatusRequest,
    Txn,
    TxnReply,
    TxnRequest,
    TxnsReply,
    TxnsRequest,
    WatchBatch,
    WatchRequest,
)
from bus import BusError, Client, DeadlineExceeded, Overloaded, RemoteError, Request, Unavailable
from bus.frames import new_id
from bus.stream_in import Records
from runtime.background import spawn

READ_TIMEOUT_S = 10.0  # of a read of the state
WRITE_TIMEOUT_S = 20.0  # of a write; a disk may stall for seconds, and giving up early makes the outcome unknown
WATCH_TIMEOUT_S = 10.0  # until a watch's first batch, which the state actor sends at once
ATTEMPT_S = 1.0  # for one member to answer, then another one is asked; doubles. Longer than an election takes
PAUSE_S = 0.01  # before the next attempt, so that a group without a leader is not flooded; doubles
MAX_PAUSE_S = 0.1
SLOW_S = 0.1  # without an answer; most come within a few milliseconds, and asking who leads costs two small requests
LOOK_S = 0.05  # between two such questions, and for their answers
NO_LEASE = 0  # to ask the leader about, who alone knows of leases
STALLED_S = 0.5  # that a watch brings nothing while something is known to be there
FAILED_S = 0.3  # for which one that gave no answer is not asked again while there are others: an election is faster
ANSWER_TURNS = 2  # of the loop, for an answer at most: its message may wake a task, and wakes the call's
CONNECT_S = 0.2  # for a connection to a member; one that is dead must not cost the time of an election


class StateClient(Protocol):
    """What the API server needs of the state."""

    async def range(self, range_: Range) -> RangeReply: ...

    def txn(self, txn: Txn) -> Awaitable[TxnReply]: ...

    async def revision(self) -> RevisionReply: ...

    async def lease_grant(self, ttl_s: int) -> int: ...

    async def answers(self) -> None:
        """Return once whoever takes writes has answered. Raises BusError."""

    def watch(self, request: WatchRequest) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]: ...


class BusStateClient:
    """The members of a group by name, with their endpoints."""

    def __init__(self, client: Client, members: Mapping[str, str]) -> None:
        self._client = client
        self._endpoints = dict(members)
        self._names = list(members)
        self._target = self._names[0]  # who is asked next: the leader, as far as is known
        self._revision = 0  # the newest that any answer told of
        self._turn = TxnsOfTurn(self._ask_together, self._ask_alone, self._ask_now)
        self._looking: asyncio.Task[str] | None = None
        self._stalled = ""  # whose watch fell behind last
        self._failed_at: dict[str, float] = {}  # when a member last gave no answer

    async def range(self, range_: Range) -> RangeReply:
        return await self._ask(RangeRequest(range_), READ_TIMEOUT_S)

    def txn(self, txn: Txn) -> Awaitable[TxnReply]:
        return self._turn.add(txn, self._revision)

    async def revision(self) -> RevisionReply:
        return await self._ask(RevisionRequest(), READ_TIMEOUT_S)

    async def lease_grant(self, ttl_s: int) -> int:
        """Return a new lease, whose keys are removed when its time is over."""
        reply: LeaseReply = await self._ask(LeaseGrantRequest(ttl_s), WRITE_TIMEOUT_S)
        return reply.lease

    async def answers(self) -> None:
        await self._ask(LeaseTimeToLiveRequest(NO_LEASE), READ_TIMEOUT_S)

    @asynccontextmanager
    async def watch(self, request: WatchRequest) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        name = await self._nearest()
        async with self._client.stream(self._endpoints[name], request, timeout_s=WATCH_TIMEOUT_S) as batches:
            progress = Progress(batches, request.start_revision - 1)
            if len(self._names) == 1:
                yield progress.batches()
                return
            keeper = spawn(self._end_when_stalled(name, progress), f"progress of the watch at {name}")
            try:
                yield progress.batches()
            finally:
                keeper.cancel()

    async def _nearest(self) -> str:
        """Return the first member that can be reached, whoever stalled last after the others."""
        names = sorted(self._names, key=lambda name: name == self._stalled)
        for name in names[:-1]:
            if await self._client.reaches(self._endpoints[name], CONNECT_S):
                return name
        return names[-1]

    async def _end_when_stalled(self, name: str, progress: "Progress") -> None:
        """End a watch that does not bring what is there: its member hangs, or has lost the others."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(STALLED_S / 2)
            if progress.revision >= self._revision:
                progress.heard_at = loop.time()
            elif loop.time() - progress.heard_at > STALLED_S:
                self._stalled = name
                progress.records.give_up(f"the watch at {name} is behind revision {self._revision}")
                return

    def _ask_now(self, txns: list[Txn], message_id: str, on_reply: OnReply) -> bool:
        """Send txns to the only member there is, if it is connected: nobody else may turn out to lead meanwhile."""
        if len(self._names) > 1:
            return False
        taken = functools.partial(self._on_reply, on_reply)
        endpoint = self._endpoints[self._target]
        return self._client.tell(endpoint, TxnsRequest(txns), taken, timeout_s=ATTEMPT_S, message_id=message_id)

    def _on_reply(self, on_reply: OnReply, reply: TxnsReply | None, error: BusError | None) -> None:
        if reply is not None:
            self._revision = max(self._revision, reply.revision)
        on_reply(reply, error)

    async def _ask_together(self, txns: list[Txn], message_id: str) -> TxnsReply:
        """Send txns to whom leads; one attempt. What becomes of them when it fails is for `_ask_alone` to find out."""
        target = self._target
        try:
            reply = await self._attempt(target, TxnsRequest(txns), message_id, ATTEMPT_S)
        except (Unavailable, DeadlineExceeded):
            self._ask_another(target)
            raise
        except RemoteError as error:
            if error.kind == NOT_LEADER:
                self._follow(target, error)
            raise
        self._revision = max(self._revision, reply.revision)
        return reply

    async def _ask_alone(self, txn: Txn, message_id: str, may_have_happened: bool, known_revision: int) -> TxnReply:
        """Ask once more for a txn that was sent among others when `known_revision` was the newest."""
        repeat = TxnRequest(txn, known_revision)
        request = repeat if may_have_happened else TxnRequest(txn)
        return await self._ask(request, WRITE_TIMEOUT_S, repeat, message_id)

    async def _ask(
        self, request: Request, timeout_s: float, repeat: Request | None = None, message_id: str = ""
    ) -> Any:
        """Ask until somebody answers; `repeat` is what is asked once the request may have reached a member."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        message_id = message_id or new_id()
        attempt_s, pause_s = ATTEMPT_S, PAUSE_S
        while True:
            target = self._target
            left_s = end_s - loop.time()
            try:
                reply = await self._attempt(target, request, message_id, min(attempt_s, left_s))
            except (Unavailable, Overloaded, DeadlineExceeded) as error:
                if end_s - loop.time() <= pause_s:
                    raise _unknown(error, request) from error
                if not isinstance(error, Overloaded):
                    self._ask_another(target)
                    attempt_s = attempt_s * 2 if isinstance(error, DeadlineExceeded) else attempt_s
                    request = repeat or request
            except RemoteError as error:
                if error.kind != NOT_LEADER or end_s - loop.time() <= pause_s:
                    raise _unknown(error, request) from error
                self._follow(target, error)
            else:
                if not isinstance(reply, LeaseReply):
                    self._revision = max(self._revision, reply.revision)
                return reply
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, MAX_PAUSE_S)

    def _attempt(self, target: str, request: Request, message_id: str, timeout_s: float) -> Awaitable[Any]:
        endpoint = self._endpoints[target]
        if len(self._names) == 1:
            return self._client.request(endpoint, request, timeout_s=timeout_s, message_id=message_id)
        return self._attempt_watchfully(target, endpoint, request, message_id, timeout_s)

    async def _attempt_watchfully(
        self, target: str, endpoint: str, request: Request, message_id: str, timeout_s: float
    ) -> Any:
        """Ask a member of several; while it is slow, see whether it still leads."""
        if not await self._client.reaches(endpoint, min(CONNECT_S, timeout_s)):
            raise Unavailable(f"{target} cannot be reached")
        asking = self._client.request(endpoint, request, timeout_s=timeout_s, message_id=message_id)
        task = asyncio.get_running_loop().create_task(asking)
        pause_s = SLOW_S
        try:
            while not (await asyncio.wait((task,), timeout=pause_s))[0]:
                leader = await self._look_for_leader(target)
                if leader not in ("", target) and not task.done():
                    self._target = leader
                    raise Unavailable(f"{target} leads no more")
                pause_s = LOOK_S
            return task.result()
        finally:
            task.cancel()

    async def _look_for_leader(self, target: str) -> str:
        """Return who leads as the other members know; empty when they don't. One question for all who wait."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._leader_besides(target))
        return await asyncio.shield(self._looking)

    async def _leader_besides(self, target: str) -> str:
        others = [self._endpoints[name] for name in self._names if name != target]
        asked = (self._client.request(endpoint, StatusRequest(), timeout_s=LOOK_S) for endpoint in others)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        known: tuple[int, str] = 0, ""
        for answer in answers:
            if isinstance(answer, StatusReply):
                known = max(known, (answer.term, answer.leader))
            elif not isinstance(answer, BusError):
                raise answer
        return known[1] if known[1] in self._endpoints else ""

    def _ask_another(self, failed: str) -> None:
        """A member gave no answer: go on with the next one, unless another request has moved on already."""
        self._failed_at[failed] = asyncio.get_running_loop().time()
        if self._target == failed:
            self._target = self._next(failed)

    def _follow(self, asked: str, error: RemoteError) -> None:
        """A member says who leads; it may not know yet, or name one that has just died and not been missed."""
        leader = (error.detail or {}).get("leader", "")
        if leader in self._endpoints and leader != asked and not self._has_just_failed(leader):
            self._target = leader
        elif self._target == asked:
            self._target = self._next(asked)

    def _next(self, name: str) -> str:
        """Return the member to ask after this one, best one that has not just failed."""
        start = self._names.index(name) + 1
        others = self._names[start:] + self._names[:start]
        return next((each for each in others if not self._has_just_failed(each)), others[0])

    def _has_just_failed(self, name: str) -> bool:
        return asyncio.get_running_loop().time() - self._failed_at.get(name, -FAILED_S) < FAILED_S


class Progress:
    """How far the batches of a watch have come, and when the last one came."""

    def __init__(self, records: Records, revision: int) -> None:
        self.records = records
        self.revision = revision
        self.heard_at = asyncio.get_running_loop().time()

    async def batches(self) -> AsyncIterator[WatchBatch]:
        """Yield the batches. The first that comes waits while the answers that came along are handed on: their clients
        have begun the next thing by the time that the watchers have been told."""
        records = self.records
        while True:
            has_come_along = not records.has_unread
            try:
                batch = await anext(records)
            except StopAsyncIteration:
                return
            for _ in range(ANSWER_TURNS if has_come_along else 0):
                await asyncio.sleep(0)
            self.revision = max(self.revision, batch.revision)
            self.heard_at = asyncio.get_running_loop().time()
            yield batch


def _unknown(error: BusError, request: Request) -> BusError:
    """Return what to tell of a request that was given up."""
    if isinstance(error, RemoteError) and error.kind == UNKNOWN_OUTCOME:
        return DeadlineExceeded(f"{request.method}: {error.message}")
    if isinstance(error, RemoteError) and error.kind == NOT_LEADER:
        return Unavailable(f"{request.method}: nobody leads the state at the moment")
    return error

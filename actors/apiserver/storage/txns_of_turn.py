"""The txns of one turn of the loop, sent to the state in one message: a message costs more than a txn.

Nothing waits for company: what came in a turn leaves at its end, and the next turn's txns leave without waiting for an
answer. A txn whose fate the common message leaves open (it was lost, or refused because another member leads) goes on
by itself under the id that it had, so that it is not done twice.

Neighbours: `client` sends, together and alone.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable

from actors.state.messages import NOT_LEADER, Put, Txn, TxnReply, TxnsReply, id_among
from bus import BusError, DeadlineExceeded, Overloaded, ProtocolViolation, RemoteError, Unavailable
from bus.errors import from_wire
from bus.frames import new_id
from runtime.background import spawn

MAX_TXNS = 256  # in one message: more than come in a turn; the state actor deals with so many in some milliseconds
MAX_BYTES = 2 << 20  # of values in one message, so that it does not hold up others for long

NO_REPLY = (ProtocolViolation.code, "the state gave neither a reply nor an error", None, "")

SendTogether = Callable[[list[Txn], str], Awaitable[TxnsReply]]
OnReply = Callable[[TxnsReply | None, BusError | None], None]
SendNow = Callable[[list[Txn], str, OnReply], bool]  # False: nothing was sent
SendAlone = Callable[[Txn, str, bool, int], Awaitable[TxnReply]]  # txn, id, whether it may have happened, revision


class TxnsOfTurn:
    """`send_now` sends without a task, where that can be done; `send_together` takes whatever time it needs."""

    def __init__(
        self, send_together: SendTogether, send_alone: SendAlone, send_now: SendNow = lambda *message: False
    ) -> None:
        self._send_now = send_now
        self._send_together = send_together
        self._send_alone = send_alone
        self._txns: list[Txn] = []
        self._waiters: list[asyncio.Future[TxnReply]] = []
        self._bytes = 0
        self._known_revision = 0

    def add(self, txn: Txn, known_revision: int) -> "asyncio.Future[TxnReply]":
        """Return the future of a txn's reply; it may raise BusError. A waiter that gives up leaves it to happen."""
        loop = asyncio.get_running_loop()
        if not self._txns:
            self._known_revision = known_revision
            loop.call_soon(self._send)
        self._txns.append(txn)
        self._bytes += _size_bytes(txn)
        waiter: asyncio.Future[TxnReply] = loop.create_future()
        self._waiters.append(waiter)
        if len(self._txns) >= MAX_TXNS or self._bytes >= MAX_BYTES:
            self._send()
        return waiter

    def _send(self) -> None:
        if not self._txns:  # it was full before the turn was over
            return
        txns, message_id = self._txns, new_id()
        on_reply = functools.partial(self._answered, txns, self._waiters, message_id, self._known_revision)
        self._txns, self._waiters, self._bytes = [], [], 0
        if not self._send_now(txns, message_id, on_reply):
            spawn(self._carry(txns, message_id, on_reply), "writes")

    async def _carry(self, txns: list[Txn], message_id: str, on_reply: OnReply) -> None:
        try:
            reply = await self._send_together(txns, message_id)
        except BusError as error:
            on_reply(None, error)
        else:
            on_reply(reply, None)

    def _answered(
        self,
        txns: list[Txn],
        waiters: "list[asyncio.Future[TxnReply]]",
        message_id: str,
        known_revision: int,
        reply: TxnsReply | None,
        error: BusError | None,
    ) -> None:
        if reply is None:
            error = error or from_wire(*NO_REPLY)
            for number, (txn, waiter) in enumerate(zip(txns, waiters, strict=True)):
                self._settle(txn, id_among(message_id, number), waiter, error, known_revision)
            return
        for number, (outcome, waiter) in enumerate(zip(reply.outcomes, waiters, strict=True)):
            if outcome.reply is None:
                refusal = from_wire(*(outcome.error or NO_REPLY))
                self._settle(txns[number], id_among(message_id, number), waiter, refusal, known_revision)
            elif not waiter.done():
                waiter.set_result(outcome.reply)

    def _settle(
        self, txn: Txn, txn_id: str, waiter: "asyncio.Future[TxnReply]", error: BusError, known_revision: int
    ) -> None:
        """Tell of an error that is an answer; what is none is asked for again, alone."""
        if waiter.done():
            return
        was_refused = isinstance(error, Overloaded) or (isinstance(error, RemoteError) and error.kind == NOT_LEADER)
        if was_refused or isinstance(error, (Unavailable, DeadlineExceeded)):
            spawn(self._alone(txn, txn_id, waiter, not was_refused, known_revision), "a write")
        else:
            waiter.set_exception(error)

    async def _alone(
        self, txn: Txn, txn_id: str, waiter: "asyncio.Future[TxnReply]", may_have_happened: bool, known_revision: int
    ) -> None:
        try:
            reply = await self._send_alone(txn, txn_id, may_have_happened, known_revision)
        except BusError as error:
            if not waiter.done():
                waiter.set_exception(error)
        else:
            if not waiter.done():
                waiter.set_result(reply)


def _size_bytes(txn: Txn) -> int:
    """About the size of a txn: its values."""
    return sum([len(each.value) for each in txn.success if type(each) is Put])

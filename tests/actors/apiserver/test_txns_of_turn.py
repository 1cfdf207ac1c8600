"""Txns that come in one turn travel in one message, and none of them is lost or done twice."""

import asyncio

import pytest

from actors.apiserver.storage import txns_of_turn
from actors.apiserver.storage.txns_of_turn import TxnsOfTurn
from actors.state import messages as m
from actors.state import service
from bus import DeadlineExceeded, Overloaded, RemoteError, Unavailable
from bus.errors import to_wire

NOT_LEADER = RemoteError("not the leader", {"leader": "state@m2"}, m.NOT_LEADER)


class Carrier:
    """Answers each txn with the number of the message that brought it, or with an error that was set for its key."""

    def __init__(self):
        self.messages = []
        self.alone = []
        self.lost = None  # raised for a whole message
        self.errors = {}

    async def together(self, txns, message_id):
        self.messages.append([txn.success[0].key for txn in txns])
        if self.lost is not None:
            raise self.lost
        await asyncio.sleep(0)
        errors = [self.errors.get(txn.success[0].key) for txn in txns]
        reply = m.TxnReply(len(self.messages), m.TxnResult(True, []))
        outcomes = [m.TxnOutcome(None, to_wire(error)) if error else m.TxnOutcome(reply) for error in errors]
        return m.TxnsReply(outcomes, len(self.messages))

    def now(self, txns, message_id, on_reply):
        def tell(answer):
            error = answer.exception()
            on_reply(None, error) if error is not None else on_reply(answer.result(), None)

        asyncio.ensure_future(self.together(txns, message_id)).add_done_callback(tell)
        return True

    async def once_more(self, txn, message_id, may_have_happened, known_revision):
        self.alone.append((txn.success[0].key, message_id.partition(".")[2], may_have_happened, known_revision))
        if self.errors.get("alone"):
            raise self.errors["alone"]
        return m.TxnReply(100, m.TxnResult(True, []))


def put(key, value=b"v"):
    return m.Txn([], [m.Put(key, value)])


def run(test):
    """Once with a task for each message, and once with messages that are sent without one."""

    async def main(*ways):
        carrier = Carrier()
        await test(carrier, TxnsOfTurn(carrier.together, carrier.once_more, *(getattr(carrier, way) for way in ways)))

    asyncio.run(main())
    asyncio.run(main("now"))


def test_a_turn_is_a_message_and_no_turn_waits_for_an_answer():
    async def test(carrier, turn):
        first = [turn.add(put(b"a"), 1), turn.add(put(b"b"), 1)]
        await asyncio.sleep(0)
        second = turn.add(put(b"c"), 1)
        assert [(await one).revision for one in (*first, second)] == [1, 1, 2]
        assert carrier.messages == [[b"a", b"b"], [b"c"]]

    run(test)


def test_a_full_message_leaves_at_once(monkeypatch):
    monkeypatch.setattr(txns_of_turn, "MAX_TXNS", 2)
    monkeypatch.setattr(txns_of_turn, "MAX_BYTES", 100)

    async def test(carrier, turn):
        await asyncio.gather(*(turn.add(put(key), 1) for key in (b"a", b"b", b"c")))
        await asyncio.gather(turn.add(put(b"d", bytes(100)), 1), turn.add(put(b"e"), 1))
        assert carrier.messages == [[b"a", b"b"], [b"c"], [b"d"], [b"e"]]

    run(test)


@pytest.mark.parametrize(
    ("error", "may_have_happened"),
    [(Unavailable("gone"), True), (DeadlineExceeded("late"), True), (Overloaded("busy"), False), (NOT_LEADER, False)],
)
def test_what_a_message_leaves_open_is_asked_for_alone_under_its_id(error, may_have_happened):
    async def test(carrier, turn):
        carrier.lost = error
        replies = await asyncio.gather(turn.add(put(b"a"), 7), turn.add(put(b"b"), 8))
        assert [reply.revision for reply in replies] == [100, 100]
        assert carrier.alone == [(b"a", "0", may_have_happened, 7), (b"b", "1", may_have_happened, 7)]
        carrier.errors["alone"] = DeadlineExceeded("unknown")
        with pytest.raises(DeadlineExceeded):
            await turn.add(put(b"c"), 9)

    run(test)


def test_one_that_is_refused_says_so_and_the_others_are_done():
    async def test(carrier, turn):
        carrier.errors = {b"b": RemoteError("too large", None, m.REQUEST_TOO_LARGE), b"c": Unavailable("lead lost")}
        a, b, c = (turn.add(put(key), 5) for key in (b"a", b"b", b"c"))
        assert (await a).revision == 1
        with pytest.raises(RemoteError, match="too large"):
            await b
        assert (await c).revision == 100
        assert carrier.alone == [(b"c", "2", True, 5)]

    run(test)


def test_answers_too_long_for_one_message_are_left_open(monkeypatch):
    monkeypatch.setattr(service, "MAX_REPLY_BYTES", 100)
    found = m.RangeResult([m.KeyValue(b"k", bytes(60), 1, 1, 1)], 1)
    lost = m.TxnReply(2, m.TxnResult(False, [found]))
    done = m.TxnReply(3, m.TxnResult(True, [m.PutResult()]))

    async def main():
        later = asyncio.get_running_loop().create_future()
        later.set_result(lost)
        return await service.outcomes_of([done, lost, later, Overloaded("busy")])

    outcomes = asyncio.run(main())
    assert [outcome.reply for outcome in outcomes] == [done, lost, None, None]
    assert [outcome.error[0] for outcome in outcomes[2:]] == ["unavailable", "overloaded"]


def test_a_waiter_that_gives_up_leaves_its_txn_to_happen():
    async def test(carrier, turn):
        a, b = turn.add(put(b"a"), 1), turn.add(put(b"b"), 1)
        a.cancel()
        assert (await b).revision == 1
        assert carrier.messages == [[b"a", b"b"]]

    run(test)

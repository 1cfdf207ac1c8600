"""A request whose answer goes to a function: it is called once, whatever becomes of the request."""

import asyncio
from typing import ClassVar

from bus import DeadlineExceeded, ProtocolViolation, Record, RemoteError, Unavailable
from tests.bus.test_request_reply import Add, Echo, Text, run, served, until


class Number(Record, frozen=True, array_like=True, gc=False):
    number: int


class Misread(Echo, frozen=True, array_like=True, gc=False):
    reply: ClassVar[type[Record]] = Number


class Told:
    """What was told, as (reply, error)."""

    def __init__(self) -> None:
        self.all: list = []

    def __call__(self, reply, error) -> None:
        self.all.append((reply, error))

    async def once(self):
        await until(lambda: self.all)
        await asyncio.sleep(0)
        assert len(self.all) == 1
        return self.all[0]


def test_a_reply_or_a_refusal_is_told(tmp_path):
    async def scenario():
        async with served(tmp_path) as (_, server, client):
            assert await client.reaches(server.endpoint, 2.0)
            told = Told()
            assert client.tell(server.endpoint, Echo("hi"), told, timeout_s=2.0)
            assert await told.once() == (Text("adder@b:hi"), None)
            refused, misread = Told(), Told()
            client.tell(server.endpoint, Echo("refuse"), refused, timeout_s=2.0)
            client.tell(server.endpoint, Misread("hi"), misread, timeout_s=2.0)
            reply, error = await refused.once()
            assert reply is None and isinstance(error, RemoteError) and error.kind == "test_refused"
            reply, error = await misread.once()
            assert reply is None and isinstance(error, ProtocolViolation)

    run(scenario())


def test_no_answer_in_time_is_told_and_one_that_comes_later_is_not(tmp_path):
    async def scenario():
        async with served(tmp_path) as (service, server, client):
            assert await client.reaches(server.endpoint, 2.0)
            told, after = Told(), Told()
            client.tell(server.endpoint, Add(1), told, timeout_s=0.02)
            assert isinstance((await told.once())[1], DeadlineExceeded)
            service.gate.set()
            client.tell(server.endpoint, Echo("hi"), after, timeout_s=2.0)
            await after.once()
            await told.once()

    run(scenario())


def test_a_peer_that_goes_away_is_told_at_once(tmp_path):
    async def scenario():
        async with served(tmp_path) as (_, server, client):
            assert await client.reaches(server.endpoint, 2.0)
            told = Told()
            client.tell(server.endpoint, Add(1), told, timeout_s=60.0)
            await until(lambda: server.load["in_flight"] == 1)
            server._port.close()  # as one that is killed: nobody is told anything
            assert isinstance((await told.once())[1], Unavailable)

    run(scenario())


def test_nothing_is_sent_to_who_is_not_there(tmp_path):
    async def scenario():
        async with served(tmp_path) as (_, server, client):
            told = Told()
            assert not client.tell(f"ipc://{tmp_path}/nobody", Echo("hi"), told, timeout_s=2.0)
            assert told.all == []

    run(scenario())

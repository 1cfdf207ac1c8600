"""Streams that go both ways: order, credit in both directions, halves that end by themselves, loss."""

import asyncio
import contextlib
from typing import ClassVar

import pytest

from bus import ANYONE, Client, Record, RemoteError, Request, Server, StreamLost, ipc_endpoint
from bus import server as server_module
from bus.simulated import SimulatedNetwork


class Line(Record, frozen=True, array_like=True, gc=False, tag="line"):
    data: bytes


class Size(Record, frozen=True, array_like=True, gc=False, tag="size"):
    width: int


class Talk(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "test.talk"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Line
    stream: ClassVar[bool] = True
    input: ClassVar = Line | Size

    how: str = "echo"


class Talker:
    def __init__(self) -> None:
        self.heard: list[Record] = []
        self.ended = False
        self.closed = asyncio.Event()
        self.gate = asyncio.Event()

    async def talk(self, request: Talk, context, inputs):
        try:
            if request.how == "refuse":
                raise RemoteError("no", kind="test_refused")
            if request.how == "deaf":
                await self.gate.wait()
            async for item in inputs:
                self.heard.append(item)
                if request.how == "echo" and isinstance(item, Line):
                    yield item
                if request.how == "once":
                    return
            self.ended = True
            yield Line(b"bye")
        finally:
            self.closed.set()


@contextlib.asynccontextmanager
async def talking(tmp_path):
    talker = Talker()
    server = Server("test@a", ipc_endpoint(tmp_path, "test@a", "work"))
    server.register(Talk, talker.talk)
    server.start()
    client = Client("cli@b")
    try:
        yield talker, server, client
    finally:
        client.close()
        server.close()


def run(coroutine):
    return asyncio.run(coroutine)


def test_items_go_both_ways_in_order_and_the_end_of_one_way_is_not_the_other_s(tmp_path):
    async def scenario():
        async with talking(tmp_path) as (talker, server, client):
            async with client.duplex(server.endpoint, Talk()) as stream:
                for number in range(100):
                    await stream.send(Line(b"%d" % number))
                await stream.send(Size(80))
                stream.end()
                assert [item.data async for item in stream] == [b"%d" % number for number in range(100)] + [b"bye"]
            assert talker.heard[-1] == Size(80)
            assert talker.ended

    run(scenario())


def test_a_server_that_does_not_read_holds_its_client_back(tmp_path):
    async def scenario():
        async with talking(tmp_path) as (talker, server, client):
            async with client.duplex(server.endpoint, Talk("deaf")) as stream:
                sent = 0
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.3):
                        while True:
                            await stream.send(Line(bytes(10_000)))
                            sent += 1
                window = server_module.INPUT_WINDOW_BYTES
                assert window <= sent * 10_067 < window + 20_000
                talker.gate.set()
                stream.end()
                assert [item async for item in stream] == [Line(b"bye")]
                assert len(talker.heard) == sent

    run(scenario())


def test_a_refusal_reaches_both_the_reader_and_the_sender(tmp_path):
    async def scenario():
        async with talking(tmp_path) as (_, server, client):
            async with client.duplex(server.endpoint, Talk("refuse")) as stream:
                with pytest.raises(RemoteError):
                    await anext(aiter(stream))
                with pytest.raises(RemoteError):
                    await stream.send(Line(b"?"))

    run(scenario())


def test_what_is_sent_after_the_server_s_end_is_refused_to_the_sender_only(tmp_path):
    async def scenario():
        async with talking(tmp_path) as (_, server, client):
            async with client.duplex(server.endpoint, Talk("once")) as stream:
                await stream.send(Line(b"1"))
                assert [item async for item in stream] == []
                with pytest.raises(StreamLost):
                    await stream.send(Line(b"2"))
            assert server.violations == 0
            assert server.load["streams"] == 0

    run(scenario())


def test_a_client_that_lets_go_ends_the_handler(tmp_path):
    async def scenario():
        async with talking(tmp_path) as (talker, server, client):
            async with client.duplex(server.endpoint, Talk()) as stream:
                await stream.send(Line(b"1"))
                await anext(aiter(stream))
            async with asyncio.timeout(2):
                await talker.closed.wait()
            assert not talker.ended

    run(scenario())


def test_a_server_that_goes_away_is_noticed_by_a_waiting_sender(tmp_path):
    async def scenario():
        async with talking(tmp_path) as (talker, server, client):
            async with client.duplex(server.endpoint, Talk("deaf")) as stream:

                async def fill():
                    while True:
                        await stream.send(Line(bytes(10_000)))

                filling = asyncio.ensure_future(fill())
                await asyncio.sleep(0.1)
                server.close()
                with pytest.raises(StreamLost):
                    async with asyncio.timeout(5):
                        await filling

    run(scenario())


def test_items_beyond_the_credit_end_the_stream_and_count_as_a_violation(tmp_path):
    async def scenario():
        async with talking(tmp_path) as (talker, server, client):
            async with client.duplex(server.endpoint, Talk("deaf")) as stream:
                await stream.send(Line(b""))
                stream._sender.grant(10 * server_module.INPUT_WINDOW_BYTES)  # a client that grants itself credit
                with contextlib.suppress(StreamLost):
                    for _ in range(100):
                        await stream.send(Line(bytes(10_000)))
                async with asyncio.timeout(2):
                    await talker.closed.wait()
            assert server.violations == 1

    run(scenario())


def test_both_ways_work_over_the_simulated_network_and_a_cut_ends_them():
    async def scenario():
        network = SimulatedNetwork(7)
        talker = Talker()
        server = Server("test@a", "inproc://a", transport=network.transport("a"))
        server.register(Talk, talker.talk)
        server.start()
        client = Client("cli@b", network.transport("b"))
        async with client.duplex("inproc://a", Talk()) as stream:
            await stream.send(Line(b"1"))
            assert await anext(aiter(stream)) == Line(b"1")
            network.cut("a", "b")
            with pytest.raises(StreamLost):
                await anext(aiter(stream))
            with pytest.raises(StreamLost):
                await stream.send(Line(b"2"))
        client.close()
        server.close()

    run(scenario())

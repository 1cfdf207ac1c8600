"""Requests and streams between a real server and real clients over ipc."""

import asyncio
import contextlib
from typing import ClassVar

import pytest

from bus import (
    ANYONE,
    Client,
    Context,
    DeadlineExceeded,
    Overloaded,
    Record,
    Refused,
    RemoteError,
    Request,
    Server,
    StreamLost,
    Unavailable,
    ipc_endpoint,
)
from bus import server as server_module


class Text(Record, frozen=True, array_like=True, gc=False):
    text: str


class Echo(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "test.echo"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Text

    text: str


class Add(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "test.add"
    roles: ClassVar[frozenset[str]] = frozenset({"adder"})
    reply: ClassVar[type[Record]] = Text
    once: ClassVar[bool] = True

    amount: int


class Count(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "test.count"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Text
    stream: ClassVar[bool] = True

    upto: int
    bytes_each: int = 1


class Counter:
    """A service with a function, a coroutine and a stream."""

    def __init__(self) -> None:
        self.total = 0
        self.pulled = 0
        self.closed = False
        self.gate = asyncio.Event()

    def echo(self, request: Echo, context: Context) -> Text:
        if request.text == "refuse":
            raise RemoteError("no", {"why": 1}, kind="test_refused")
        return Text(f"{context.sender}:{request.text}")

    async def add(self, request: Add, context: Context) -> Text:
        await self.gate.wait()
        self.total += request.amount
        return Text(str(self.total))

    async def count(self, request: Count, context: Context):
        try:
            for number in range(request.upto):
                self.pulled += 1
                yield Text(str(number).rjust(request.bytes_each))
        finally:
            self.closed = True


@contextlib.asynccontextmanager
async def served(tmp_path, name="test@a", sender="adder@b"):
    service = Counter()
    server = Server(name, ipc_endpoint(tmp_path, name, "work"))
    server.register(Echo, service.echo)
    server.register(Add, service.add)
    server.register(Count, service.count)
    server.start()
    client = Client(sender)
    try:
        yield service, server, client
    finally:
        client.close()
        server.close()


def run(coroutine):
    return asyncio.run(coroutine)


async def until(condition, limit_s=5.0):
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_request_is_answered_and_carries_its_sender(tmp_path):
    async def scenario():
        async with served(tmp_path) as (_, server, client):
            assert await client.request(server.endpoint, Echo("hi")) == Text("adder@b:hi")

    run(scenario())


def test_a_refusal_crosses_with_kind_and_detail(tmp_path):
    async def scenario():
        async with served(tmp_path) as (_, server, client):
            with pytest.raises(RemoteError) as caught:
                await client.request(server.endpoint, Echo("refuse"))
            assert (caught.value.kind, caught.value.detail) == ("test_refused", {"why": 1})

    run(scenario())


def test_a_role_that_is_not_named_may_not_call(tmp_path):
    async def scenario():
        async with served(tmp_path, sender="stranger@b") as (_, server, client):
            with pytest.raises(Refused, match=r"stranger@b may not call test\.add"):
                await client.request(server.endpoint, Add(1))

    run(scenario())


def test_an_unknown_method_and_a_malformed_body_are_refused(tmp_path):
    class Other(Echo, frozen=True, array_like=True, gc=False):
        method: ClassVar[str] = "test.other"

    class Wrong(Record, frozen=True, array_like=True, gc=False):
        method: ClassVar[str] = "test.echo"
        reply: ClassVar[type[Record]] = Text
        stream: ClassVar[bool] = False
        number: int = 3

    async def scenario():
        async with served(tmp_path) as (_, server, client):
            with pytest.raises(Refused, match="no method"):
                await client.request(server.endpoint, Other("x"))
            with pytest.raises(Exception, match="Expected `str`"):
                await client.request(server.endpoint, Wrong())

    run(scenario())


def test_a_deadline_ends_a_request_on_both_sides(tmp_path):
    async def scenario():
        async with served(tmp_path) as (service, server, client):
            with pytest.raises(DeadlineExceeded):
                await client.request(server.endpoint, Add(1), timeout_s=0.1)
            await until(lambda: server.load["in_flight"] == 0)
            service.gate.set()
            assert service.total == 0

    run(scenario())


def test_a_repeat_under_the_same_id_is_answered_and_not_done_again(tmp_path):
    async def scenario():
        async with served(tmp_path) as (service, server, client):
            first = asyncio.ensure_future(client.request(server.endpoint, Add(5), message_id="m-1"))
            other = Client("adder@c")
            await until(lambda: server.load["in_flight"] == 1)
            joined = asyncio.ensure_future(other.request(server.endpoint, Add(5), message_id="m-1"))
            assert await client.request(server.endpoint, Echo("x"))
            service.gate.set()
            assert (await first, await joined) == (Text("5"), Text("5"))
            assert await client.request(server.endpoint, Add(5), message_id="m-1") == Text("5")
            assert service.total == 5
            other.close()

    run(scenario())


def test_nobody_there_is_unavailable_and_the_next_endpoint_is_asked(tmp_path):
    async def scenario():
        async with served(tmp_path) as (_, server, client):
            nobody = ipc_endpoint(tmp_path, "nobody@a", "work")
            with pytest.raises(Unavailable, match="nobody listens"):
                await client.request(nobody, Echo("x"), timeout_s=0.1)
            answer = await client.request([nobody, server.endpoint], Echo("x"), timeout_s=0.4)
            assert answer == Text("adder@b:x")

    run(scenario())


def test_a_server_that_goes_away_fails_what_waits_for_it_at_once(tmp_path):
    async def scenario():
        async with served(tmp_path) as (_, server, client):
            waiting = asyncio.ensure_future(client.request(server.endpoint, Add(1), timeout_s=60))
            await until(lambda: server.load["in_flight"] == 1)
            async with client.stream(server.endpoint, Count(3)) as items:
                assert [item.text async for item in items] == ["0", "1", "2"]
            server._port.close()
            with pytest.raises(Unavailable, match="went away"):
                await waiting

    run(scenario())


def test_a_request_waits_for_a_server_that_is_being_born(tmp_path):
    async def scenario():
        client = Client("adder@b")
        endpoint = ipc_endpoint(tmp_path, "test@a", "work")
        waiting = asyncio.ensure_future(client.request(endpoint, Echo("early"), timeout_s=5))
        await asyncio.sleep(0)
        async with served(tmp_path):
            assert await waiting == Text("adder@b:early")
        client.close()

    run(scenario())


def test_a_stream_is_held_back_by_its_reader(tmp_path):
    async def scenario():
        async with served(tmp_path) as (service, server, client):
            request = Count(1000, bytes_each=1000)
            async with client.stream(server.endpoint, request, window_bytes=10_000) as items:
                await items.__anext__()
                await client.request(server.endpoint, Echo("x"))
                assert service.pulled < 30
                rest = [item async for item in items]
                assert len(rest) == 999
                assert service.pulled == 1000

    run(scenario())


def test_a_stream_that_is_left_ends_its_handler(tmp_path):
    async def scenario():
        async with served(tmp_path) as (service, server, client):
            async with client.stream(server.endpoint, Count(10**9, 1000), window_bytes=5000) as items:
                await items.__anext__()
            await until(lambda: service.closed)
            assert server.load["streams"] == 0

    run(scenario())


def test_a_stream_whose_server_vanishes_is_lost_loudly(tmp_path):
    async def scenario():
        async with served(tmp_path) as (_, server, client):
            async with client.stream(server.endpoint, Count(10**9, 1000), window_bytes=5000) as items:
                await items.__anext__()
                server._port.close()
                with pytest.raises(StreamLost, match="went away"):
                    async for _ in items:
                        pass

    run(scenario())


def test_a_full_server_says_when_to_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "MAX_IN_FLIGHT", 1)

    async def scenario():
        async with served(tmp_path) as (service, server, client):
            first = asyncio.ensure_future(client.request(server.endpoint, Add(1)))
            await until(lambda: server.load["in_flight"] == 1)
            with pytest.raises(Overloaded) as caught:
                await client.request(server.endpoint, Add(1))
            assert caught.value.retry_after_ms > 0
            service.gate.set()
            assert await first == Text("1")

    run(scenario())


def test_a_handler_that_breaks_tells_its_server(tmp_path):
    async def scenario():
        failures = []
        server = Server("test@a", ipc_endpoint(tmp_path, "test@a", "work"), on_failure=failures.append)

        async def broken(request, context):
            raise ZeroDivisionError("a broken invariant")

        server.register(Echo, broken)
        server.start()
        client = Client("adder@b")
        with pytest.raises(Exception, match=r"failed in test\.echo"):
            await client.request(server.endpoint, Echo("x"))
        assert [type(failure) for failure in failures] == [ZeroDivisionError]
        client.close()
        server.close()

    run(scenario())


def test_garbage_is_dropped_and_counted(tmp_path):
    import zmq

    from bus.socket import open_socket

    async def scenario():
        async with served(tmp_path) as (_, server, client):
            raw = open_socket(zmq.DEALER)
            raw.connect(server.endpoint)
            for message in ([b"x"], [b"\xc1", b""], [b"\x93\x63\x01\xa1a", b""], [b"y" * 5000, b""], [b"", b"", b""]):
                raw.send_multipart(message)
            await until(lambda: server.violations == 5)
            assert await client.request(server.endpoint, Echo("still here")) == Text("adder@b:still here")
            raw.close()

    run(scenario())

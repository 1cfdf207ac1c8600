"""What a client sends that no client of ours would: it costs the server nothing that lasts."""

import asyncio
import contextlib
from typing import ClassVar

from bus import ANYONE, Record, Request, Server, frames, ipc_endpoint
from bus.connection import Connection
from bus.frames import Kind
from bus.record import encode
from bus.transport import ZMQ
from tests.bus.test_request_reply import Text, run, until


class Wait(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "test.wait"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Text


class Follow(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "test.follow"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Text
    stream: ClassVar[bool] = True


class Service:
    def __init__(self) -> None:
        self.begun = self.cleaned_up = 0
        self.gate = asyncio.Event()

    async def wait(self, request: Wait, context) -> Text:
        self.begun += 1
        await self.gate.wait()
        return Text("done")

    async def follow(self, request: Follow, context):
        self.begun += 1
        try:
            await asyncio.Event().wait()
            yield Text("")
        finally:
            await self.gate.wait()
            self.cleaned_up += 1


@contextlib.asynccontextmanager
async def served(tmp_path):
    service = Service()
    server = Server("test@a", ipc_endpoint(tmp_path, "test@a", "work"))
    server.register(Wait, service.wait)
    server.register(Follow, service.follow)
    server.start()
    connection = Connection(server.endpoint, ZMQ)
    try:
        await connection.wait_up(5)
        yield service, server, connection
    finally:
        connection.close()
        server.close()


def header(request: type[Request], message_id: str) -> bytes:
    return frames.pack(Kind.REQUEST, message_id, request.method, "strange@b", "", 60_000, 1 << 20)


def test_a_request_that_is_repeated_while_it_is_worked_on_is_answered_once(tmp_path):
    async def scenario():
        async with served(tmp_path) as (service, server, connection):
            for _ in range(9):
                connection._port.send((header(Wait, "same"), encode(Wait())))
            answer = connection.request("same", header(Wait, "same"), encode(Wait()))
            await until(lambda: service.begun)
            service.gate.set()
            await answer
            assert service.begun == 1
            assert server.load["in_flight"] == 0

    run(scenario())


def test_a_stream_under_the_id_of_an_open_one_is_refused(tmp_path):
    async def scenario():
        async with served(tmp_path) as (service, server, connection):
            for _ in range(3):
                connection._port.send((header(Follow, "same"), encode(Follow())))
            connection._port.send((header(Follow, "last"), encode(Follow())))
            await until(lambda: service.begun == 2)
            assert server.load["streams"] == 2
            service.gate.set()
            for stream in ("same", "last"):
                connection._port.send((frames.pack(Kind.CANCEL, stream), b""))
            await until(lambda: service.cleaned_up == service.begun)

    run(scenario())


def test_a_second_cancel_does_not_end_the_clean_up_that_the_first_began(tmp_path):
    async def scenario():
        async with served(tmp_path) as (service, server, connection):
            connection._port.send((header(Follow, "one"), encode(Follow())))
            await until(lambda: service.begun)
            for _ in range(3):
                connection._port.send((frames.pack(Kind.CANCEL, "one"), b""))
            connection._port.send((header(Follow, "two"), encode(Follow())))
            await until(lambda: service.begun == 2)
            service.gate.set()
            await until(lambda: service.cleaned_up)
            await until(lambda: server.load["streams"] == 1)

    run(scenario())

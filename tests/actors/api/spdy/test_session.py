"""SPDY sessions over a pair of pipes: streams to their ends, a reader that is slow, a connection that goes away."""

import asyncio

import pytest

from actors.api.spdy import session as session_module
from actors.api.spdy.connection import Role
from actors.api.spdy.session import Session, SessionEnded


class Pipe:
    """One end of an imagined connection."""

    def __init__(self):
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.other: Pipe

    async def read(self):
        return await self.incoming.get()

    async def write(self, data):
        self.other.incoming.put_nowait(data)

    def hang_up(self):
        self.incoming.put_nowait(b"")
        self.other.incoming.put_nowait(b"")


class Ends:
    def __init__(self, serve):
        self.near, self.far = Pipe(), Pipe()
        self.near.other, self.far.other = self.far, self.near
        self.served: list[asyncio.Task] = []
        self.client = Session(Role.CLIENT, self.near)
        self.server = Session(
            Role.SERVER, self.far, lambda stream: self.served.append(asyncio.ensure_future(serve(stream)))
        )

    async def __aenter__(self):
        self.running = [asyncio.ensure_future(one.run()) for one in (self.client, self.server)]
        return self

    async def __aexit__(self, *_):
        self.near.hang_up()
        async with asyncio.timeout(5):
            await asyncio.gather(*self.running, *self.served, return_exceptions=True)


async def echo(stream):
    while data := await stream.read():
        await stream.write(data)
    await stream.end()


def run(coroutine):
    async def bounded():
        async with asyncio.timeout(10):
            await coroutine

    asyncio.run(bounded())


async def all_of(stream):
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


def test_many_streams_at_a_time_each_with_its_own_data():
    async def scenario():
        async with Ends(echo) as ends:

            async def talk(number):
                stream = await ends.client.open({"n": str(number)})
                sent = bytes([number]) * 100_000
                await stream.write(sent)
                await stream.end()
                assert await all_of(stream) == sent

            await asyncio.gather(*(talk(number) for number in range(50)))

    run(scenario())


def test_a_stream_that_is_not_read_holds_the_session_back_and_no_more_than_its_bound():
    async def scenario():
        gate = asyncio.Event()
        streams = []

        async def late(stream):
            streams.append(stream)
            await gate.wait()
            assert len(await all_of(stream)) == 4_000_000

        async with Ends(late) as ends:
            stream = await ends.client.open({})
            for _ in range(100):
                await stream.write(bytes(40_000))
            await stream.end()
            await asyncio.sleep(0.05)
            assert streams[0].unread_bytes <= session_module.MAX_UNREAD_BYTES + 40_000
            gate.set()
            await ends.served[0]

    run(scenario())


def test_a_reset_of_a_stream_that_holds_the_session_back_frees_it():
    async def scenario():
        streams = []

        async def serve(stream):
            streams.append(stream)

        async with Ends(serve) as ends:
            stuck = await ends.client.open({})
            for _ in range(20):
                await stuck.write(bytes(40_000))
            await asyncio.sleep(0.02)
            await streams[0].reset()
            other = await ends.client.open({})
            assert other.replied.is_set()
            assert await stuck.read() == b""
            assert stuck.was_reset

    run(scenario())


def test_when_the_connection_ends_streams_end_and_writing_fails():
    async def scenario():
        async with Ends(echo) as ends:
            stream = await ends.client.open({})
            ends.near.hang_up()
            assert await stream.read() == b""
            assert stream.was_reset
            with pytest.raises(SessionEnded):
                await stream.write(b"x")
            with pytest.raises(SessionEnded):
                await ends.client.open({})
            await stream.end()

    run(scenario())


def test_an_ended_stream_is_read_to_its_end_after_the_connection_is_gone():
    async def scenario():
        async def give(stream):
            await stream.write(b"last words", fin=True)

        async with Ends(give) as ends:
            stream = await ends.client.open({})
            await ends.served[0]
            while not stream.unread_bytes:
                await asyncio.sleep(0)
            ends.near.hang_up()
            assert await all_of(stream) == b"last words"
            assert not stream.was_reset

    run(scenario())

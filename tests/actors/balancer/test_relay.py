"""Bytes through a relay, over real sockets: both ways, ends, early bytes, a slow reader."""

import asyncio
import hashlib
import os

from actors.balancer.relay import Side


class Relayed:
    """A server, and a relay in front of it that finds the server after `delay_s`."""

    def __init__(self, handle, delay_s=0.0):
        self.handle = handle
        self.delay_s = delay_s
        self.lost = []

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self.server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        self.door = await loop.create_server(self.accept, "127.0.0.1", 0)
        return await asyncio.open_connection(*self.door.sockets[0].getsockname())

    async def __aexit__(self, *error):
        self.door.close()
        self.server.close()

    def accept(self):
        client = Side(lambda: self.lost.append("client"))
        self.opening = asyncio.get_running_loop().create_task(self.open(client))
        return client

    async def open(self, client):
        await asyncio.sleep(self.delay_s)
        address = self.server.sockets[0].getsockname()
        _, server = await asyncio.get_running_loop().create_connection(lambda: Side(lambda: None), *address)
        client.join(server)


def test_what_is_sent_before_a_server_is_found_arrives_and_an_end_is_handed_on():
    async def reverse(reader, writer):
        writer.write((await reader.read())[::-1])  # until the client says that it has ended
        writer.close()

    async def go():
        async with Relayed(reverse, delay_s=0.05) as (reader, writer):
            writer.write(b"early and whole")
            writer.write_eof()
            return await reader.read()

    assert asyncio.run(go()) == b"early and whole"[::-1]


def test_much_goes_through_whole_and_is_held_back_while_the_reader_is_slow():
    content = os.urandom(24 << 20)
    written = asyncio.Event()

    async def pour(reader, writer):
        writer.write(content)
        await writer.drain()
        written.set()
        writer.close()

    async def go():
        async with Relayed(pour) as (reader, writer):
            await asyncio.sleep(0.1)
            assert not written.is_set(), "what nobody reads piles up"
            return hashlib.sha256(await reader.read()).digest()

    assert asyncio.run(go()) == hashlib.sha256(content).digest()


def test_a_client_learns_that_its_server_is_gone_and_a_server_its_client():
    ended = asyncio.Event()

    async def hang_up(reader, writer):
        await reader.readexactly(1)
        writer.transport.abort()

    async def wait(reader, writer):
        await reader.read()
        ended.set()
        writer.close()

    async def go():
        relayed = Relayed(hang_up)
        async with relayed as (reader, writer):
            writer.write(b"x")
            assert await reader.read() == b""
        async with Relayed(wait) as (_, writer):
            writer.transport.abort()
            await asyncio.wait_for(ended.wait(), 5)

    asyncio.run(go())

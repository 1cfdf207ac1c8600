"""The real client and server over an imagined network, in virtual time, from a seed."""

import asyncio
from typing import ClassVar

import pytest

from bus import ANYONE, Client, DeadlineExceeded, Record, Request, Server, StreamLost, Unavailable
from bus.simulated import SimulatedNetwork
from runtime.virtual_time import Deadlock, run


class Number(Record, frozen=True, array_like=True, gc=False):
    number: int


class Add(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "sum.add"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Number
    once: ClassVar[bool] = True
    amount: int


class Follow(Request, frozen=True, array_like=True, gc=False):
    method: ClassVar[str] = "sum.follow"
    roles: ClassVar[frozenset[str]] = ANYONE
    reply: ClassVar[type[Record]] = Number
    stream: ClassVar[bool] = True


class Sum:
    def __init__(self, network):
        self.total = 0
        self.server = Server("sum@a", "inproc://sum", transport=network.transport("a"))
        self.server.register(Add, self.add)
        self.server.register(Follow, self.follow)
        self.server.start()

    def add(self, request, context):
        self.total += request.amount
        return Number(self.total)

    async def follow(self, request, context):
        number = 0
        while True:
            yield Number(number)
            number += 1
            await asyncio.sleep(1)


def test_hours_pass_in_a_moment_and_a_seed_gives_the_same_run():
    async def scenario():
        network = SimulatedNetwork(7)
        service = Sum(network)
        client = Client("x@b", network.transport("b"))
        seen = []
        async with client.stream("inproc://sum", Follow()) as items:
            async for item in items:
                seen.append(asyncio.get_running_loop().time())
                if item.number == 3600:
                    break
        client.close()
        service.server.close()
        return seen

    first, second = run(scenario()), run(scenario())
    assert first == second
    assert first[-1] > 3600


@pytest.mark.parametrize("seed", range(20))
def test_whatever_breaks_a_repeated_write_is_done_once(seed):
    async def scenario():
        network = SimulatedNetwork(seed)
        service = Sum(network)
        clients = [Client(f"x@{n}", network.transport(f"h{n}")) for n in range(3)]

        async def trouble():
            while True:
                await asyncio.sleep(network.random.uniform(0, 0.2))
                network.cut("a", f"h{network.random.randrange(3)}")
                await asyncio.sleep(network.random.uniform(0, 0.1))
                network.heal()

        async def write(client):
            for number in range(30):
                message_id = f"{client.sender}-{number}"
                while True:
                    try:
                        await client.request("inproc://sum", Add(1), timeout_s=1, retry=True, message_id=message_id)
                        break
                    except (Unavailable, DeadlineExceeded):
                        continue

        breaking = asyncio.ensure_future(trouble())
        await asyncio.gather(*(write(client) for client in clients))
        breaking.cancel()
        for client in clients:
            client.close()
        service.server.close()
        return service.total

    assert run(scenario()) == 90


def test_a_stopped_peer_is_noticed_by_silence():
    async def scenario():
        network = SimulatedNetwork(1)
        service = Sum(network)
        client = Client("x@b", network.transport("b"))
        with pytest.raises(StreamLost, match="silent for 15 s"):
            async with client.stream("inproc://sum", Follow()) as items:
                await items.__anext__()
                network.stall("b")
                async for _ in items:
                    pass
        with pytest.raises(DeadlineExceeded):
            await client.request("inproc://sum", Add(1), timeout_s=3)
        client.close()
        service.server.close()

    run(scenario())


def test_a_run_that_can_never_end_says_so():
    async def scenario():
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run(scenario())

"""How the API server follows the lead of the state: leaders that are dead or hang, a watch that falls behind."""

import asyncio

import pytest

from actors.apiserver.storage.client import BusStateClient, Progress
from actors.apiserver.storage.reach import SILENT, Reach
from actors.state import errors
from actors.state import messages as m
from bus import Client, Server, StreamLost

NAMES = ("state@m1", "state@m2", "state@m3")


class Member:
    """A state actor that says who leads, and answers when that is itself."""

    def __init__(self, group, name):
        self.group, self.name, self.hangs, self.asked = group, name, False, 0
        self.server = Server(name, group.endpoints[name])
        self.server.register(m.RevisionRequest, self.revision)
        self.server.register(m.StatusRequest, self.status)
        self.server.register(m.LeaseTimeToLiveRequest, self.lease)
        self.server.register(m.WatchRequest, self.watch)
        self.server.start()

    async def revision(self, request, context):
        self.asked += 1
        while self.hangs:
            await asyncio.sleep(0.01)
        if self.group.leader != self.name:
            raise errors.not_leader(self.group.leader)
        return m.RevisionReply(self.group.revision, 1)

    async def lease(self, request, context):
        await self.revision(request, context)
        return m.LeaseReply(0, -1)

    async def status(self, request, context):
        while self.hangs:
            await asyncio.sleep(0.01)
        return m.StatusReply(self.name, self.group.leader, 1, 1, 0, 0, 2, [], self.group.term)

    async def watch(self, request, context):
        yield m.WatchBatch(self.group.revision if not self.hangs else 1, [])
        await asyncio.Event().wait()


class Group:
    def __init__(self, path):
        self.endpoints = {name: f"ipc://{path}/{name}" for name in NAMES}
        self.leader, self.term, self.revision = NAMES[0], 1, 7
        self.members = {name: Member(self, name) for name in NAMES}

    def __getitem__(self, name):
        return self.members[name]


@pytest.fixture
def play(tmp_path):
    def run(test):
        async def go():
            group, client = Group(tmp_path), Client("apiserver@m1")
            try:
                await test(group, BusStateClient(client, group.endpoints))
            finally:
                client.close()
                for member in group.members.values():
                    member.server.close()

        asyncio.run(go())

    return run


async def took_s(state):
    begin = asyncio.get_running_loop().time()
    assert (await state.revision()).revision >= 7
    return asyncio.get_running_loop().time() - begin


def test_a_dead_leader_that_others_still_name_is_not_waited_for(play):
    async def test(group, state):
        await state.revision()
        group["state@m1"].server.close()
        asyncio.get_running_loop().call_later(0.05, setattr, group, "leader", "state@m3")
        assert await took_s(state) < 1.0

    play(test)


def test_a_leader_that_hangs_is_left_when_it_has_a_successor(play):
    async def test(group, state):
        await state.revision()
        group["state@m1"].hangs = True
        asyncio.get_running_loop().call_later(0.2, setattr, group, "leader", "state@m2")
        assert 0.2 <= await took_s(state) < 1.0

    play(test)


def test_a_slow_leader_that_still_leads_is_waited_for(play):
    async def test(group, state):
        group["state@m1"].hangs = True
        asyncio.get_running_loop().call_later(0.4, setattr, group["state@m1"], "hangs", False)
        assert await took_s(state) < 2.0
        assert (group["state@m2"].asked, group["state@m3"].asked) == (0, 0)

    play(test)


def test_a_leader_that_serves_its_peers_and_not_its_clients_is_noticed(play):
    """Its successor never comes, for the others hear it: an API server that it does not answer must say so."""

    async def test(group, state):
        loop = asyncio.get_running_loop()
        reach = Reach(state)

        async def until(wanted):
            async with asyncio.timeout(10):
                while reach.wrong() != wanted:
                    await asyncio.sleep(0.01)

        await state.answers()
        group["state@m1"].hangs = True
        begin = loop.time()
        await until(SILENT)
        assert loop.time() - begin < 1.0
        group["state@m1"].hangs = False
        await until("")

    play(test)


def test_a_watch_that_falls_behind_is_ended_and_the_next_is_elsewhere(play):
    async def test(group, state):
        group.leader = "state@m2"
        group["state@m1"].hangs = True  # it leads nobody, and its watch stands still
        state._target = "state@m2"
        await state.revision()
        request = m.WatchRequest(b"\0", b"\0", start_revision=2)
        with pytest.raises(StreamLost, match="behind revision 7"):
            async with state.watch(request) as batches:
                async for batch in batches:
                    assert batch.revision == 1
        async with state.watch(request) as batches:
            assert (await anext(batches)).revision == 7

    play(test)


class Come:
    """Records of a watch that are here, or come in the turn after they were asked for."""

    def __init__(self, here, coming):
        self.here, self.coming = here, coming

    @property
    def has_unread(self):
        return bool(self.here)

    async def __anext__(self):
        if not self.here:
            await asyncio.sleep(0)
            if not self.coming:
                raise StopAsyncIteration
            self.here, self.coming = self.coming, []
        return m.WatchBatch(self.here.pop(0), [])


def test_answers_that_came_with_a_change_are_handed_on_before_it():
    async def main():
        loop, told = asyncio.get_running_loop(), []

        async def follow():
            async for batch in Progress(Come([], [8, 9]), 7).batches():
                told.append(batch.revision)

        following = loop.create_task(follow())
        await asyncio.sleep(0)
        loop.call_soon(loop.call_soon, told.append, "answered")  # as an answer goes: to a task, and on to a call's
        await following
        assert told == ["answered", 8, 9]

    asyncio.run(main())

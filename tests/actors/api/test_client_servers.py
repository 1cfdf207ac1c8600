"""Which API server is asked when one can't be reached, stops, hangs, or dies under a request."""

import asyncio

import pytest

from actors.api import client_servers
from actors.api.client_servers import Servers, endpoints_for
from actors.apiserver.messages import ApiChunk, ApiReply, ApiRequest, ApiStreamRequest
from bus import Client, Directory, Overloaded, Server, StreamLost, Unavailable


class Imagined:
    """An API server that answers with its name, unless told otherwise."""

    def __init__(self, path, name):
        self.name, self.asked, self.hangs, self.stops = name, [], False, False
        self.endpoint = f"ipc://{path}/{name}"
        self.server = Server(f"apiserver@{name}", self.endpoint)
        self.server.register(ApiRequest, self.request)
        self.server.register(ApiStreamRequest, self.stream)
        self.server.start()

    async def request(self, request, context):
        self.asked.append((request.verb, request.path))
        if self.stops:
            raise Overloaded("stopping", {"retry_after_ms": 1})
        while self.hangs:
            await asyncio.sleep(0.01)
        if request.path == "/slow":
            await asyncio.sleep(0.5)
        return ApiReply(200, "text/plain", self.name.encode())

    async def stream(self, request, context):
        yield ApiChunk(self.name.encode())
        await asyncio.Event().wait()


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Run a test with two API servers and a Servers over them, with short patience."""
    monkeypatch.setattr(client_servers, "PATIENCE_S", 0.1)
    monkeypatch.setattr(client_servers, "SIGN_TIMEOUT_S", 0.2)

    def run(test, dead=False):
        async def go():
            first, second = Imagined(tmp_path, "m1"), Imagined(tmp_path, "m2")
            client = Client("scheduler@m1")
            endpoints = [f"ipc://{tmp_path}/nobody" if dead else first.endpoint, second.endpoint]
            try:
                await test(Servers(client, endpoints), first, second)
            finally:
                client.close()
                first.server.close()
                second.server.close()

        asyncio.run(go())

    return run


async def ask(servers, verb="GET", path="/x"):
    return (await servers.request(ApiRequest(verb, path), 5.0, repeat=verb == "GET")).body.decode()


def test_one_that_is_not_there_costs_little_and_once(world):
    async def test(servers, first, second):
        begin = asyncio.get_running_loop().time()
        assert await ask(servers, "POST") == "m2"
        assert asyncio.get_running_loop().time() - begin < 1.0
        assert await ask(servers, "POST") == "m2"

    world(test, dead=True)


def test_one_that_stops_has_done_nothing_so_a_write_is_repeated(world):
    async def test(servers, first, second):
        first.stops = True
        assert await ask(servers, "POST") == "m2"

    world(test)


def test_one_that_hangs_is_left_and_a_write_is_not_repeated(world):
    async def test(servers, first, second):
        first.hangs = True
        with pytest.raises(Unavailable, match="hangs"):
            await ask(servers, "POST")
        assert second.asked == []
        assert await ask(servers, "POST") == "m2"

    world(test)


def test_a_read_is_repeated_elsewhere(world):
    async def test(servers, first, second):
        first.hangs = True
        assert await ask(servers) == "m2"

    world(test)


def test_a_slow_answer_is_waited_for_while_there_are_signs_of_life(world):
    async def test(servers, first, second):
        assert await ask(servers, "POST", "/slow") == "m1"
        assert first.asked.count(("POST", "/slow")) == 1

    world(test)


def test_a_stream_of_one_that_hangs_ends_and_the_next_one_is_elsewhere(world):
    async def read(servers, until_lost):
        async with servers.stream(ApiStreamRequest("/watch"), 5.0) as chunks:
            async for chunk in chunks:
                if not until_lost:
                    return chunk.data
        return None

    async def test(servers, first, second):
        first.hangs = True
        with pytest.raises(StreamLost, match="hangs"):
            await read(servers, until_lost=True)
        assert await read(servers, until_lost=False) == b"m2"

    world(test)


def test_the_own_nodes_api_server_comes_first_and_others_are_spread(tmp_path):
    names = [f"apiserver@m{number}" for number in (1, 2, 3)]
    directory = Directory(tmp_path, names)
    assert endpoints_for(directory, "m2")[0] == directory.work("apiserver@m2")
    firsts = {endpoints_for(directory, f"w{number}")[0] for number in range(50)}
    assert firsts == set(directory.work_of_role("apiserver"))


def test_the_own_nodes_processes_share_its_askers(tmp_path):
    directory = Directory(tmp_path, ["apiserver@m1", "apiserver@m1.2", "apiserver@m2"])
    askers = [f"controller-{number}@m1" for number in range(50)]
    firsts = {endpoints_for(directory, "m1", asker)[0] for asker in askers}
    assert firsts == {directory.work("apiserver@m1"), directory.work("apiserver@m1.2")}
    assert {endpoints_for(directory, "m2", asker)[0] for asker in askers} == {directory.work("apiserver@m2")}
    assert set(endpoints_for(directory, "m1", askers[0])) == set(directory.work_of_role("apiserver"))

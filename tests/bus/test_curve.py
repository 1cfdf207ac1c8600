"""Sockets on the network: who has the key gets in and is who it is; nobody else does, and nothing breaks."""

import asyncio
import contextlib
import os

import pytest
import zmq

from bus import (
    BadAddress,
    BadKeys,
    Client,
    DeadlineExceeded,
    Keyring,
    Publisher,
    Refused,
    Server,
    Subscriber,
    Unavailable,
    ZmqTransport,
    ipc_endpoint,
    keys,
)
from tests.bus.test_request_reply import Add, Count, Counter, Echo, Text, run, until

ANYWHERE = "tcp://0.0.0.0:*"
TOO_SHORT_S = 0.3  # for a handshake that must not succeed


@pytest.fixture
def directory(tmp_path):
    """Keys of a server and of two clients."""
    for name in ("test@a", "adder@b", "other@c"):
        keys.make(tmp_path / "keys", name)
    return tmp_path / "keys"


@contextlib.asynccontextmanager
async def serving(directory, also=()):
    service = Counter()
    server = Server("test@a", ANYWHERE, also=also, transport=ZmqTransport(Keyring(directory, "test@a")))
    server.register(Echo, service.echo)
    server.register(Add, service.add)
    server.register(Count, service.count)
    server.start()
    server.endpoint = server.endpoint.replace("0.0.0.0", "127.0.0.1")
    try:
        yield server
    finally:
        server.close()


@contextlib.asynccontextmanager
async def asking(sender, directory=None, name=""):
    keyring = Keyring(directory, name or sender) if directory else None
    client = Client(sender, ZmqTransport(keyring))
    try:
        yield client
    finally:
        client.close()


async def serves(server, directory):
    """Whether everything still works for those who belong there."""
    async with asking("adder@b", directory) as client:
        return await client.request(server.endpoint, Echo("hi"), timeout_s=10) == Text("adder@b:hi")


def test_the_right_key_gets_in_and_streams_flow(directory):
    async def scenario():
        async with serving(directory) as server, asking("adder@b", directory) as client:
            assert server.endpoint.endswith("/test@a")
            assert await client.request(server.endpoint, Echo("hi")) == Text("adder@b:hi")
            async with client.stream(server.endpoint, Count(500, 5_000), window_bytes=20_000) as items:
                assert len([item async for item in items]) == 500

    run(scenario())


def test_local_peers_need_no_key_beside_those_on_the_network(directory, tmp_path):
    async def scenario():
        local = ipc_endpoint(tmp_path, "test@a", "work")
        async with serving(directory, also=[local]) as server, asking("adder@b") as near:
            assert server.also == [local]
            async with asking("other@c", directory) as far:
                for _ in range(3):
                    assert await near.request(local, Echo("hi")) == Text("adder@b:hi")
                    assert await far.request(server.endpoint, Echo("hi")) == Text("other@c:hi")
                async with near.stream(local, Count(50)) as one, far.stream(server.endpoint, Count(50)) as other:
                    assert [item async for item in one] == [item async for item in other]

    run(scenario())


def test_a_key_that_is_not_known_is_refused_and_said_so(directory, tmp_path):
    async def scenario():
        stranger = tmp_path / "stranger"
        keys.make(stranger, "adder@b")
        keys.allow(stranger, "test@a", keys.allowed(directory)["test@a"])
        async with serving(directory) as server, asking("adder@b", stranger) as client:
            with pytest.raises(Unavailable, match="does not know this actor's key"):
                await client.request(server.endpoint, Echo("hi"), timeout_s=TOO_SHORT_S)
            assert await serves(server, directory)

    run(scenario())


def test_a_server_without_the_key_it_should_have_is_not_talked_to(directory, tmp_path):
    async def scenario():
        elsewhere = tmp_path / "elsewhere"
        for name in ("test@a", "adder@b"):
            keys.make(elsewhere, name)
        async with serving(elsewhere) as impostor, asking("adder@b", directory) as client:
            with pytest.raises(Unavailable):
                await client.request(impostor.endpoint, Echo("hi"), timeout_s=TOO_SHORT_S)

    run(scenario())


def test_a_client_in_the_clear_gets_nothing(directory):
    async def scenario():
        async with serving(directory) as server, asking("adder@b") as client:
            with pytest.raises(Unavailable):
                await client.request(server.endpoint, Echo("hi"), timeout_s=TOO_SHORT_S)
            assert await serves(server, directory)

    run(scenario())


def test_noise_and_half_a_handshake_break_nothing(directory):
    async def scenario():
        async with serving(directory) as server:
            address = server.endpoint.removeprefix("tcp://").partition("/")[0]
            host, _, port = address.partition(":")
            for noise in (
                b"GET / HTTP/1.1\r\n\r\n",
                os.urandom(2_000),
                b"\xff\0\0\0\0\0\0\0\1\x7f\3\1CURVE".ljust(74, b"\0"),
            ):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(noise)
                await writer.drain()
                writer.close()
            assert await serves(server, directory)
            assert server.violations == 0

    run(scenario())


def test_nobody_speaks_in_anothers_name(directory):
    async def scenario():
        async with serving(directory) as server, asking("adder@b", directory, "other@c") as client:
            for request in (Echo("hi"), Add(1)):
                with pytest.raises(Refused, match="other@c may not speak as adder@b"):
                    await client.request(server.endpoint, request)
            with pytest.raises(Refused):
                async with client.stream(server.endpoint, Count(3)) as items:
                    await anext(items)
            assert server.violations == 3

    run(scenario())


def test_a_key_that_is_added_or_withdrawn_counts_at_once(directory):
    async def scenario():
        async with serving(directory) as server:
            keys.make(directory, "adder@new")
            async with asking("adder@new", directory) as client:
                assert await client.request(server.endpoint, Echo("hi")) == Text("adder@new:hi")
                public = keys.allowed(directory)["adder@new"]
                keys.withdraw(directory, "adder@new")
                with pytest.raises(Refused, match="nobody"):
                    await client.request(server.endpoint, Echo("hi"))
                keys.allow(directory, "adder@new", public)
                assert await client.request(server.endpoint, Echo("hi")) == Text("adder@new:hi")

    run(scenario())


def test_hints_are_for_those_with_keys(directory):
    async def scenario():
        publisher = Publisher("test@a", ANYWHERE, keyring=Keyring(directory, "test@a"))
        publisher.start()
        endpoint = publisher.endpoint.replace("0.0.0.0", "127.0.0.1")
        stranger = Subscriber([endpoint.partition("/test")[0]], [""])
        friend = Subscriber([endpoint], ["t"], keyring=Keyring(directory, "adder@b"))
        await until(lambda: publisher.wanted("t"))
        publisher.publish("t", 1)
        assert (await anext(friend)).body == 1
        assert not publisher.wanted("other"), "the stranger's subscription to everything did not get in"
        assert not stranger._hints
        for each in (friend, stranger, publisher):
            each.close()

    run(scenario())


def test_without_keys_the_network_is_out_of_reach(directory, tmp_path):
    async def scenario():
        with pytest.raises(BadAddress):
            Server("test@a", ANYWHERE).start()
        with pytest.raises(BadAddress):
            Publisher("test@a", ANYWHERE).start()
        with pytest.raises(BadKeys):
            Server("test@x", ANYWHERE, transport=ZmqTransport(Keyring(directory, "test@x"))).start()
        async with asking("adder@b") as client:
            with pytest.raises(BadAddress):
                await client.request("tcp://10.0.0.1:7001/test@a", Echo("hi"))
        async with asking("adder@b", directory) as client:
            with pytest.raises(BadAddress):
                await client.request("tcp://10.0.0.1:7001", Echo("hi"))
            with pytest.raises(BadKeys):
                await client.request("tcp://10.0.0.1:7001/test@nobody", Echo("hi"))

    run(scenario())


def test_nobody_gets_in_while_nobody_can_be_asked(directory, monkeypatch):
    """ZeroMQ would let everybody in where there is no ZAP service, if it were not told otherwise."""
    monkeypatch.setattr("bus.zap.ADDRESS", "inproc://somewhere-else")

    async def scenario():
        async with serving(directory) as server, asking("adder@b", directory) as client:
            with pytest.raises((Unavailable, DeadlineExceeded)):
                await client.request(server.endpoint, Echo("hi"), timeout_s=TOO_SHORT_S)

    run(scenario())


def test_the_service_ends_with_the_last_socket_and_begins_anew(directory):
    async def scenario():
        for _ in range(2):
            async with serving(directory) as one, serving(directory) as other:
                assert await serves(one, directory)
                assert await serves(other, directory)

    run(scenario())
    run(scenario())


def test_key_files(tmp_path):
    made = keys.make(tmp_path, "state@m1")
    assert keys.make(tmp_path, "state@m1") == made == keys.allowed(tmp_path)["state@m1"]
    assert (tmp_path / "state@m1.key").stat().st_mode & 0o777 == 0o600
    assert zmq.curve_public(Keyring(tmp_path, "state@m1").secret()) == made
    for name in ("../etc@m1", "state", "@m1", "state@", "state@a/b", "state@.."):
        with pytest.raises(BadKeys):
            keys.make(tmp_path, name)
    with pytest.raises(BadKeys):
        keys.allow(tmp_path, "state@m2", b"short")
    (tmp_path / "state@m3.pub").write_bytes(b"\xff" * 40)
    keys.allow(tmp_path, "state@m4", made)  # a key that stands for two names stands for none
    assert keys.allowed(tmp_path) == {}
    with pytest.raises(BadKeys, match="not a CURVE key"):
        Keyring(tmp_path, "state@m1").public_of("state@m3")

"""The two drivers of the state, held to the same: state actors over the bus, and etcd over gRPC.

What speaks gRPC is held to it twice: with a real etcd, and with the state actor's own face.
"""

import asyncio
import contextlib
import signal
from pathlib import Path

import pytest

from actors.api.config import EtcdTlsConfig
from actors.apiserver.storage.client import BusStateClient
from actors.apiserver.storage.etcd import client as etcd_client
from actors.apiserver.storage.etcd import watching
from actors.apiserver.storage.etcd.client import EtcdStateClient
from actors.apiserver.storage.etcd.compaction import KEY, Compaction
from actors.apiserver.storage.etcd.peers import BadEndpoint, Peers
from actors.state.messages import (
    COMPACTED,
    DUPLICATE_KEY,
    FUTURE_REVISION,
    LEASE_NOT_FOUND,
    REQUEST_TOO_LARGE,
    TOO_MANY_OPERATIONS,
    Compare,
    DeleteRange,
    Put,
    Range,
    Txn,
    WatchRequest,
)
from bus import Client, DeadlineExceeded, RemoteError, StreamLost, Unavailable
from tests.actors.state.etcd.face_group import FaceGroup
from tests.real_etcd import RealEtcd

LIMIT_S = 30.0


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    with RealEtcd(tmp_path_factory.mktemp("etcd")) as etcd:
        yield etcd


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    group = FaceGroup(tmp_path_factory.mktemp("face"), tls=False)
    try:
        group.start("state@m1")
        yield group
    finally:
        group.stop()


@pytest.fixture(params=["actor", "etcd", "face"])
def driver(request):
    """A context of a client, to be made in the loop that uses it."""
    if request.param == "actor":
        group = request.getfixturevalue("face")
        return lambda: _bus_client(group.directory.work("state@m1"))
    if request.param == "etcd":
        endpoints = request.getfixturevalue("etcd").endpoints
    else:
        endpoints = [request.getfixturevalue("face").url("state@m1")]
    return lambda: _etcd_client(endpoints)


@contextlib.asynccontextmanager
async def _bus_client(endpoint):
    client = Client("apiserver@test")
    yield BusStateClient(client, {"state@m1": endpoint})
    client.close()


@contextlib.asynccontextmanager
async def _etcd_client(endpoints):
    client = EtcdStateClient(Peers(endpoints, None, Path()))
    yield client
    await client.close()


def run(driver, test):
    async def main():
        async with driver() as state, asyncio.timeout(LIMIT_S):
            await test(state)

    asyncio.run(main())


async def refused(call):
    with pytest.raises(RemoteError) as error:
        await call
    return error.value


async def put(state, key, value=b"v"):
    return await state.txn(Txn([], [Put(key, value)]))


async def take(batches, count):
    """Return so many events."""
    events = []
    while len(events) < count:
        events += (await anext(batches)).events
    return events


def test_ranges(driver, request):
    prefix = f"/{request.node.name}/".encode()
    end = prefix[:-1] + b"0"

    async def test(state):
        for name in (b"a", b"b", b"c"):
            written = await put(state, prefix + name, name)
        page = await state.range(Range(prefix, end, limit=2))
        assert [kv.value for kv in page.result.kvs] == [b"a", b"b"]
        assert (page.result.count, page.result.more, page.revision) == (3, True, written.revision)
        backwards = await state.range(Range(prefix, end, descending=True, keys_only=True))
        assert [(kv.key[-1:], kv.value) for kv in backwards.result.kvs] == [(b"c", b""), (b"b", b""), (b"a", b"")]
        assert (await state.range(Range(prefix, end, count_only=True))).result.count == 3
        past = await state.range(Range(prefix, end, revision=written.revision - 1))
        assert [kv.value for kv in past.result.kvs] == [b"a", b"b"]
        assert (await state.revision()).revision == written.revision
        future = Range(prefix, revision=written.revision + 1000)
        assert (await refused(state.range(future))).kind == FUTURE_REVISION

    run(driver, test)


def test_transactions(driver, request):
    key = f"/{request.node.name}".encode()

    async def test(state):
        create = Txn([Compare(key, "mod", "=", 0)], [Put(key, b"1")], [Range(key)])
        first = await state.txn(create)
        assert first.result.succeeded
        again = await state.txn(create)
        kv = again.result.responses[0].kvs[0]
        assert (again.result.succeeded, kv.value, kv.mod_revision) == (False, b"1", first.revision)
        swap = Txn(
            [Compare(key, "value", "=", b"1"), Compare(key, "version", "<", 2), Compare(key, "lease", "=", 0)],
            [Put(key, b"2", prev_kv=True), Txn([], [Range(key)])],
        )
        done = (await state.txn(swap)).result
        assert done.responses[0].prev_kv.value == b"1"
        assert done.responses[1].responses[0].kvs[0].value == b"2"
        gone = (await state.txn(Txn([], [DeleteRange(key, prev_kv=True)]))).result.responses[0]
        assert (gone.deleted, gone.prev_kvs[0].value) == (1, b"2")
        twice = Txn([], [Put(key, b"1"), Put(key, b"2")])
        assert (await refused(state.txn(twice))).kind == DUPLICATE_KEY
        many = Txn([], [Range(key)] * 129)
        assert (await refused(state.txn(many))).kind == TOO_MANY_OPERATIONS
        for size_bytes in (1_700_000, 3 << 20):
            large = Txn([], [Put(key, bytes(size_bytes))])
            assert (await refused(state.txn(large))).kind == REQUEST_TOO_LARGE
        leased = Txn([], [Put(key, b"", lease=404)])
        assert (await refused(state.txn(leased))).kind == LEASE_NOT_FOUND

    run(driver, test)


def test_a_watch_gives_what_was_and_what_comes(driver, request):
    prefix = f"/{request.node.name}/".encode()

    async def test(state):
        first = await put(state, prefix + b"a", b"1")
        await state.txn(Txn([], [Put(prefix + b"b", b"2"), Put(prefix + b"c", b"3")]))
        watch = WatchRequest(prefix, prefix[:-1] + b"0", start_revision=first.revision, prev_kv=True, progress_ms=100)
        async with state.watch(watch) as batches:
            start = await anext(batches)
            assert (start.revision, start.events) == (first.revision - 1, [])
            assert [event.kv.value for event in await take(batches, 3)] == [b"1", b"2", b"3"]
            last = await state.txn(Txn([], [DeleteRange(prefix + b"a")]))
            (deleted,) = await take(batches, 1)
            assert (deleted.deleted, deleted.kv.mod_revision, deleted.prev_kv.value) == (True, last.revision, b"1")
            idle = await anext(batches)
            assert idle.events == []

    run(driver, test)


def test_a_watch_from_now_on_of_everything_reaches_every_revision(driver, request):
    key = f"/{request.node.name}".encode()

    async def test(state):
        async with state.watch(WatchRequest(b"\0", b"\0")) as batches:
            assert (await anext(batches)).revision == (await state.revision()).revision
            written = await put(state, key)
            while (batch := await anext(batches)).revision < written.revision:
                pass
            assert batch.events[-1].kv.key == key

    run(driver, test)


def test_what_is_compacted_is_refused_with_what_is_left(driver, request):
    key = f"/{request.node.name}".encode()

    async def test(state):
        for _ in range(3):
            written = await put(state, key)
        await _compact(state, driver, written.revision)
        refusal = await refused(state.range(Range(key, revision=written.revision - 1)))
        assert (refusal.kind, refusal.detail) == (COMPACTED, {"compact_revision": written.revision})
        assert (await state.revision()).compact_revision == written.revision

        async def watch():
            async with state.watch(WatchRequest(key, start_revision=written.revision - 1)) as batches:
                async for _ in batches:
                    pass

        refusal = await refused(watch())
        assert (refusal.kind, refusal.detail) == (COMPACTED, {"compact_revision": written.revision})

    run(driver, test)


def test_keys_end_with_their_lease(etcd, face):
    async def ends(context):
        async with context as state:
            lease = await state.lease_grant(1)
            written = await state.txn(Txn([], [Put(b"/leased", b"", lease)]))
            assert (await state.range(Range(b"/leased"))).result.kvs[0].lease == lease
            async with state.watch(WatchRequest(b"/leased", start_revision=written.revision + 1)) as batches:
                (event,) = await take(batches, 1)
                assert event.deleted

    async def main():
        urls = etcd.endpoints, [await asyncio.to_thread(face.url, "state@m1")]
        contexts = [_etcd_client(endpoints) for endpoints in urls]
        await ends(_bus_client(face.directory.work("state@m1")))
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*map(ends, contexts))

    asyncio.run(main())


async def _compact(state, driver, revision):
    if isinstance(state, EtcdStateClient):
        await state.compact(revision)
    else:
        from actors.state.messages import CompactRequest

        await state._ask(CompactRequest(revision), 5.0)


def test_api_servers_share_the_compaction_of_an_etcd(etcd):
    async def test(state):
        mine, others = Compaction(state, 1, None), Compaction(state, 1, None)
        assert await mine.step() == 0  # the first look
        assert await others.step() == 0
        looked = (await state.revision()).revision
        await put(state, b"/compaction")
        assert await mine.step() in (0, looked)
        assert await others.step() in (0, looked)
        await put(state, b"/compaction")
        done = [await each.step() for each in (mine, others, mine, others)]
        assert sum(1 for revision in done if revision) >= 1
        last = max(done)
        assert (await refused(state.range(Range(KEY, revision=last - 1)))).kind == COMPACTED
        await state.range(Range(KEY, revision=last))

    run(lambda: _etcd_client(etcd.endpoints), test)


def test_what_can_only_be_a_mistake_is_refused_at_once():
    async def main():
        for endpoint in ("10.0.0.1:2379", "ftp://10.0.0.1:2379", "http://10.0.0.1"):
            with pytest.raises(BadEndpoint):
                Peers([endpoint], None, Path())

    asyncio.run(main())


def test_keys_are_shown_and_checked(tmp_path):
    group = FaceGroup(tmp_path)

    async def test(state):
        await put(state, b"/secret", b"1")
        assert (await state.range(Range(b"/secret"))).result.count == 1

    @contextlib.asynccontextmanager
    async def client(tls):
        state = EtcdStateClient(Peers([url], tls, tmp_path / "pki"))
        yield state
        await state.close()

    async def refused_without():
        async with client(EtcdTlsConfig(ca="etcd/ca.crt")) as state:
            with pytest.raises(Unavailable):
                await asyncio.wait_for(state._peers.ready(), 10)

    try:
        group.start("state@m1")
        url = group.url("state@m1")
        run(lambda: client(EtcdTlsConfig(ca="etcd/ca.crt", cert="etcd/client.crt", key="etcd/client.key")), test)
        asyncio.run(refused_without())
    finally:
        group.stop()
    with pytest.raises(BadEndpoint, match="state.tls"):
        Peers(["https://h:1"], EtcdTlsConfig(ca="missing"), tmp_path)


def test_members_that_die_are_left_for_others(tmp_path):
    etcd = RealEtcd(tmp_path, 3)

    async def test(state):
        await put(state, b"/k", b"0")
        written = 0
        for name in etcd.names:
            if etcd.names.index(name):
                etcd.launch(etcd.names[etcd.names.index(name) - 1])
                await asyncio.to_thread(etcd.wait, etcd.names[etcd.names.index(name) - 1])
            etcd.kill(name)
            for _ in range(3):
                before = await state.range(Range(b"/k"))
                assert int(before.result.kvs[0].value) >= written
                written += 1
                with contextlib.suppress(DeadlineExceeded):  # then nobody knows, which a read finds out
                    await put(state, b"/k", b"%d" % written)
        assert (await state.range(Range(b"/k"))).result.kvs[0].version >= 1

    try:
        etcd.start()
        run(lambda: _etcd_client(etcd.endpoints), test)
    finally:
        etcd.stop()


def test_a_watch_ends_when_its_member_dies_or_hangs(tmp_path, monkeypatch):
    etcd = RealEtcd(tmp_path)
    monkeypatch.setattr(watching, "ANSWER_S", 0.3)
    monkeypatch.setattr(etcd_client, "WRITE_TIMEOUT_S", 0.5)

    async def test(state):
        watch = WatchRequest(b"\0", b"\0", progress_ms=100)
        process = etcd.processes[etcd.names[0]]
        with pytest.raises(StreamLost, match="does not answer"):
            async with state.watch(watch) as batches:
                await anext(batches)
                process.send_signal(signal.SIGSTOP)
                while True:
                    await anext(batches)
        with pytest.raises(DeadlineExceeded, match="may have been done"):
            await put(state, b"/unknown")
        process.send_signal(signal.SIGCONT)
        assert (await state.range(Range(b"/unknown"))).result.count in (0, 1)
        with pytest.raises(StreamLost):
            async with state.watch(watch) as batches:
                await anext(batches)
                etcd.kill(etcd.names[0])
                while True:
                    await anext(batches)
        with pytest.raises(Unavailable):
            async with state.watch(watch):
                pass

    try:
        etcd.start()
        run(lambda: _etcd_client(etcd.endpoints), test)
    finally:
        etcd.stop()

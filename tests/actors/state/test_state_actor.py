"""The state actor as a process: asked over the bus, killed, started again."""

import asyncio
import errno
import functools
import os
import threading
import time

import msgspec
import pytest

from actors.state import messages as m
from actors.state.disk import DirectoryFile
from actors.state.watch_index import prefix_end
from bus import BusError, Client, Refused, RemoteError, Subscriber
from tests.actors.state.state_process import StateProcess


@pytest.fixture
def state(tmp_path):
    process = StateProcess(tmp_path).start()
    yield process
    process.stop()


def put(key, value=b"v", **fields):
    return m.TxnRequest(m.Txn([], [m.Put(key, value, **fields)]))


def create(key, value=b"v"):
    return m.TxnRequest(m.Txn([m.Compare(key, "mod", "=", 0)], [m.Put(key, value)], [m.Range(key)]))


def get(process, key, range_end=b""):
    return process.ask(m.RangeRequest(m.Range(key, range_end))).result.kvs


def refusal(process, request, **fields):
    with pytest.raises(RemoteError) as refused:
        process.ask(request, **fields)
    return refused.value.kind


def eventually(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def has_grown(collection, size):
    return len(collection) > size


def test_keys_are_written_compared_and_read(state):
    reply = state.ask(create(b"/a", b"1"))
    assert (reply.revision, reply.result.succeeded) == (2, True)
    reply = state.ask(create(b"/a", b"2"))
    assert (reply.revision, reply.result.succeeded) == (2, False)
    assert reply.result.responses[0].kvs == [m.KeyValue(b"/a", b"1", 2, 2, 1)]
    state.ask(put(b"/b"))
    reply = state.ask(m.RangeRequest(m.Range(b"/", prefix_end(b"/"), limit=1)))
    assert (reply.revision, reply.result.count, reply.result.more) == (3, 2, True)
    reply = state.ask(m.TxnRequest(m.Txn([m.Compare(b"/b", "version", "=", 1)], [m.Range(b"/b"), m.Range(b"/c")])))
    assert (reply.revision, [each.count for each in reply.result.responses]) == (3, [1, 0])
    status = state.ask(m.StatusRequest(), sender="cli@here")
    assert (status.member, status.leader, status.revision, status.keys) == ("state@m1", "state@m1", 3, 2)
    inspected = state.inspect()
    assert (inspected["leader"], inspected["revision"], inspected["keys"]) == (True, 3, 2)


def test_refusals_reach_the_caller(state):
    state.ask(put(b"k"))
    assert refusal(state, m.RangeRequest(m.Range(b"k", revision=99))) == "future_revision"
    assert refusal(state, m.RangeRequest(m.Range(b""))) == "invalid"
    assert refusal(state, put(b"k", bytes(m.MAX_REQUEST_BYTES))) == "request_too_large"
    assert refusal(state, put(b"k", lease=12)) == "lease_not_found"
    assert refusal(state, m.TxnRequest(m.Txn([], [m.Put(b"k", b""), m.DeleteRange(b"k")]))) == "duplicate_key"
    assert refusal(state, m.CompactRequest(99)) == "future_revision"
    assert state.ask(m.CompactRequest(2)).compact_revision == 2
    assert refusal(state, m.CompactRequest(2)) == "compacted"
    assert refusal(state, m.RangeRequest(m.Range(b"k", revision=1))) == "compacted"
    with pytest.raises(Refused):
        state.ask(put(b"k"), sender="kubelet@w1")
    assert state.inspect()["revision"] == 2


def test_txns_in_one_message_stand_each_for_itself_and_are_repeated_alone(state):
    txns = [create(b"/a", b"1").txn, put(b"/lease", lease=12).txn, create(b"/a", b"2").txn, m.Txn([], [m.Range(b"/a")])]

    async def ask():
        client = Client("apiserver@m1")
        reply = await client.request(state.endpoint, m.TxnsRequest(txns), message_id="turn-1")
        repeat = m.TxnRequest(txns[0], repeats_since=1)
        again = await client.request(state.endpoint, repeat, message_id=m.id_among("turn-1", 0))
        client.close()
        return reply, again

    reply, again = asyncio.run(ask())
    first, refused, second, read = reply.outcomes
    assert (first.reply.result.succeeded, second.reply.result.succeeded) == (True, False)
    assert second.reply.result.responses[0].kvs == [m.KeyValue(b"/a", b"1", 2, 2, 1)]
    assert (refused.reply, refused.error[0], refused.error[3]) == (None, "remote", "lease_not_found")
    assert (read.error, reply.revision) == (None, 2)
    assert again == first.reply
    assert state.inspect()["revision"] == 2


def test_an_answer_too_large_for_the_bus_is_refused_and_pages_are_served(state):
    for number in range(52):
        state.ask(put(b"/k%02d" % number, bytes(1_000_000)))
    assert refusal(state, m.RangeRequest(m.Range(b"/", prefix_end(b"/")))) == "request_too_large"
    page = state.ask(m.RangeRequest(m.Range(b"/", prefix_end(b"/"), limit=20))).result
    assert (len(page.kvs), page.count, page.more) == (20, 52, True)


def test_what_was_answered_survives_kill_9(state):
    answered, unknown = {}, {}
    over = threading.Event()

    def write(worker):
        number = 0
        while not over.is_set():
            key, value = b"/%d/%d" % (worker, number), os.urandom(100)
            unknown[key] = value
            try:
                state.ask(create(key, value), timeout_s=2.0)
            except BusError:
                return
            answered[key] = unknown.pop(key)
            number += 1

    for life in range(3):
        workers = [threading.Thread(target=write, args=(10 * life + number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        wanted = len(answered) + 40
        eventually(functools.partial(has_grown, answered, wanted))
        if life == 1:
            state.arm("state.persisted", skip=10)
            state.process.join(10)
        state.kill()
        for worker in workers:
            worker.join(10)
        state.start()
        stored = {kv.key: kv.value for kv in get(state, b"/", prefix_end(b"/"))}
        assert answered.items() <= stored.items()
        assert stored.items() <= (answered | unknown).items()
        answered.update(stored)


def test_the_data_survives_an_orderly_stop_and_snapshots(tmp_path):
    state = StateProcess(tmp_path, segment_bytes=65_536, snapshot_every_bytes=200_000).start()
    for number in range(400):
        state.ask(put(b"/%03d" % (number % 100), os.urandom(1000)))
    eventually(lambda: state.inspect()["snapshot_index"] > 0)
    state.ask(m.CompactRequest(200))
    before = get(state, b"/", prefix_end(b"/")), state.inspect()["revision"]
    eventually(lambda: state.inspect()["log_bytes"] < 300_000)
    assert state.stop() == 0
    state.start()
    assert (get(state, b"/", prefix_end(b"/")), state.inspect()["revision"]) == before
    old = state.ask(m.RangeRequest(m.Range(b"/", prefix_end(b"/"), revision=200))).result
    assert max(kv.mod_revision for kv in old.kvs) == 200
    assert '"snapshot taken"' in state.log and "replayed" in state.log
    state.stop()


def test_a_watch_streams_progress_history_and_changes(state):
    async def scenario():
        client = Client("apiserver@m1")
        await client.request(state.endpoint, put(b"/a/1", b"one"))
        await client.request(state.endpoint, put(b"/b/1"))
        request = m.WatchRequest(b"/a/", prefix_end(b"/a/"), start_revision=2, prev_kv=True, progress_ms=100)
        async with client.stream(state.endpoint, request) as items:
            batches = aiter(items)
            assert await anext(batches) == m.WatchBatch(1, [])
            history = await anext(batches)
            assert (history.revision, [event.kv.value for event in history.events]) == (3, [b"one"])
            await client.request(state.endpoint, put(b"/a/1", b"two"))
            live = await anext(batches)
            while not live.events:
                live = await anext(batches)
            one = m.KeyValue(b"/a/1", b"one", 2, 2, 1)
            assert live == m.WatchBatch(4, [m.Event(m.KeyValue(b"/a/1", b"two", 2, 4, 2), prev_kv=one)])
            await client.request(state.endpoint, put(b"/c"))
            progress = await anext(batches)
            while progress.revision < 5:
                progress = await anext(batches)
            assert progress.events == []
        with pytest.raises(RemoteError) as refused:
            await client.request(state.endpoint, m.CompactRequest(4))
            async with client.stream(state.endpoint, m.WatchRequest(b"/a/1", start_revision=3)) as items:
                await anext(aiter(items))
        assert (refused.value.kind, refused.value.detail) == ("compacted", {"compact_revision": 4})
        client.close()

    asyncio.run(scenario())
    eventually(lambda: state.inspect()["watchers"] == 0)


def test_a_watcher_that_does_not_read_gets_all_of_it_later(state):
    async def scenario():
        client = Client("apiserver@m1")
        async with client.stream(state.endpoint, m.WatchRequest(b"k"), window_bytes=50_000) as items:
            batches = aiter(items)
            first = await anext(batches)
            for _ in range(10):
                await asyncio.gather(*(client.request(state.endpoint, put(b"k", bytes(1000))) for _ in range(200)))
            seen = []
            while len(seen) < 2000:
                seen += [event.kv.mod_revision for event in (await anext(batches)).events]
            assert seen == list(range(first.revision + 1, first.revision + 2001))
        client.close()

    asyncio.run(scenario())


def test_commits_are_hinted_at_without_saying_what(state):
    async def scenario():
        client = Client("apiserver@m1")
        subscriber = Subscriber([state.events], ["state.commits"])
        async with asyncio.timeout(10):
            revision = 0
            hints = aiter(subscriber)
            while revision < 5:
                await client.request(state.endpoint, put(b"secret", b"secret"))
                hint = await anext(hints)
                if hint.body is not None:
                    assert hint.body.keys() == {"revision", "keys"}
                    revision = hint.body["revision"]
        subscriber.close()
        client.close()

    asyncio.run(scenario())


def test_leases_live_while_they_are_renewed_and_take_their_keys_along(state):
    granted = state.ask(m.LeaseGrantRequest(1))
    assert granted.lease > 0 and granted.granted_ttl_s == 1
    state.ask(m.LeaseGrantRequest(100, 7))
    assert refusal(state, m.LeaseGrantRequest(100, 7)) == "lease_exists"
    state.ask(put(b"short", lease=granted.lease))
    state.ask(put(b"long", lease=7))
    assert state.ask(m.LeaseListRequest()).leases == sorted([7, granted.lease])
    for _ in range(8):
        time.sleep(0.25)
        assert state.ask(m.LeaseKeepAliveRequest(granted.lease)).ttl_s == 1
    assert len(get(state, b"short")) == 1
    eventually(lambda: get(state, b"short") == [], 5.0)
    assert refusal(state, m.LeaseKeepAliveRequest(granted.lease)) == "lease_not_found"
    assert state.ask(m.LeaseTimeToLiveRequest(granted.lease)).ttl_s == -1
    state.kill()
    state.start()
    left = state.ask(m.LeaseTimeToLiveRequest(7, keys=True))
    assert (left.granted_ttl_s, left.keys, left.ttl_s > 90) == (100, [b"long"], True)
    state.ask(m.LeaseRevokeRequest(7))
    assert get(state, b"long") == []
    assert refusal(state, m.LeaseRevokeRequest(7)) == "lease_not_found"


def test_history_is_compacted_as_time_goes_by(tmp_path):
    state = StateProcess(tmp_path, compact_every_s=1).start()
    for number in range(20):
        state.ask(put(b"k", b"%d" % number))
    eventually(lambda: state.inspect()["compact_revision"] >= 20 and state.inspect()["history_bytes"] < 5)
    state.stop()


def test_a_full_disk_makes_the_store_read_only_until_there_is_room(tmp_path):
    full = tmp_path / "full"

    def limit_disk():
        reserve = DirectoryFile.reserve

        def limited(file, size_bytes):
            if full.exists():
                raise OSError(errno.ENOSPC, "No space left on device")
            reserve(file, size_bytes)

        DirectoryFile.reserve = limited

    state = StateProcess(tmp_path, before=limit_disk, segment_bytes=65_536).start()
    state.ask(put(b"first"))
    full.touch()
    kinds = set()
    for number in range(100):
        try:
            state.ask(put(b"/%d" % number, bytes(1000)))
        except RemoteError as refused:
            kinds.add(refused.kind)
    assert kinds == {"no_space"}
    assert state.ask(m.StatusRequest()).alarms[0].startswith("NOSPACE")
    assert len(get(state, b"first")) == 1
    stored = get(state, b"/", prefix_end(b"/"))
    full.unlink()
    eventually(lambda: state.ask(m.StatusRequest()).alarms == [])
    state.ask(put(b"after"))
    assert state.process.is_alive()
    state.kill()
    state.start()
    assert (len(get(state, b"after")), get(state, b"/", prefix_end(b"/"))) == (1, stored)
    state.stop()


def test_a_damaged_or_used_data_directory_stops_the_start_with_a_reason(tmp_path):
    state = StateProcess(tmp_path).start()
    for number in range(10):
        state.ask(put(b"/%d" % number))
    other = StateProcess(tmp_path)
    other.setup = msgspec.structs.replace(other.setup, run_dir=tmp_path / "other")
    (tmp_path / "other").mkdir()
    other.launch()
    other.process.join(10)
    assert other.process.exitcode == 78 and "is in use by another process" in state.log
    state.kill()
    segment = next((tmp_path / "actors" / "state@m1").glob("*.log"))
    damaged = bytearray(segment.read_bytes())
    damaged[110] ^= 1
    segment.write_bytes(damaged)
    state.launch()
    state.process.join(10)
    assert state.process.exitcode == 78
    assert "the log is damaged" in state.log and "truncate this file to" in state.log
    assert segment.read_bytes() == damaged


def test_a_disk_that_fails_ends_the_process_at_once(tmp_path):
    def break_disk():
        sync = DirectoryFile.sync

        def failing(file):
            if (tmp_path / "broken").exists():
                raise OSError(errno.EIO, "Input/output error")
            sync(file)

        DirectoryFile.sync = failing

    state = StateProcess(tmp_path, before=break_disk).start()
    state.ask(put(b"before"))
    (tmp_path / "broken").touch()
    begin = time.monotonic()
    with pytest.raises(BusError):
        state.ask(put(b"lost"), timeout_s=2.0)
    state.process.join(10)
    assert state.process.exitcode == 70 and "Input/output error" in state.log
    assert time.monotonic() - begin < 5.0
    (tmp_path / "broken").unlink()
    state.start()
    assert len(get(state, b"before")) == 1
    state.stop()

"""etcd's API as a client of its own messages sees it: one state actor, real gRPC."""

import asyncio

import pytest
from grpc import StatusCode

from actors.api.etcd.proto.kv_pb2 import Event
from actors.api.etcd.proto.rpc_pb2 import (
    AlarmRequest,
    AlarmType,
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    HashKVRequest,
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseLeasesRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    MoveLeaderRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    SnapshotRequest,
    StatusRequest,
    TxnRequest,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
)
from tests.actors.state.etcd.etcd_client import connect, refusal
from tests.actors.state.etcd.face_group import FaceGroup

ANSWER_S = 5.0


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    group = FaceGroup(tmp_path_factory.mktemp("face"), tls=False)
    try:
        group.start("state@m1")
        yield group.url("state@m1")
    finally:
        group.stop()


def with_calls(test):
    """Run an async test with the calls of a client."""

    def wrapper(face):
        async def main():
            channel, calls = connect(face)
            async with channel, asyncio.timeout(20):
                await test(calls)

        asyncio.run(main())

    wrapper.__name__ = test.__name__
    wrapper.__doc__ = test.__doc__
    return wrapper


class Stream:
    """A watch stream."""

    def __init__(self, calls, metadata=()):
        self.call = calls.Watch(metadata=metadata)

    async def ask(self, **request):
        await self.call.write(WatchRequest(**request))

    async def create(self, **request):
        await self.ask(create_request=WatchCreateRequest(**request))
        response = await self.next()
        assert response.created, response
        return response

    async def next(self):
        async with asyncio.timeout(ANSWER_S):
            return await self.call.read()

    async def events(self, count):
        found = []
        while len(found) < count:
            found += (await self.next()).events
        return [(event.type, event.kv.key, event.kv.value) for event in found]


async def put(calls, key, value=b"v", **options):
    return await calls.Put(PutRequest(key=key, value=value, **options))


@with_calls
async def test_a_range_is_sorted_filtered_limited_and_counted(calls):
    for key, value in ((b"r/1", b"c"), (b"r/2", b"a"), (b"r/3", b"b"), (b"r/1", b"d")):
        last = await put(calls, key, value)
    everything = {"key": b"r/", "range_end": b"r0"}

    async def keys(**options):
        response = await calls.Range(RangeRequest(**everything, **options))
        return [kv.key[2:] for kv in response.kvs], response.count, response.more

    assert await keys() == ([b"1", b"2", b"3"], 3, False)
    assert await keys(limit=2) == ([b"1", b"2"], 3, True)
    assert await keys(sort_order=RangeRequest.DESCEND) == ([b"3", b"2", b"1"], 3, False)
    assert await keys(sort_target=RangeRequest.VALUE) == ([b"2", b"3", b"1"], 3, False)
    assert await keys(sort_target=RangeRequest.VALUE, sort_order=RangeRequest.DESCEND, limit=1) == ([b"1"], 3, True)
    assert await keys(count_only=True) == ([], 3, False)
    revision = last.header.revision
    assert await keys(min_mod_revision=revision) == ([b"1"], 3, False)
    assert await keys(max_mod_revision=revision - 1, limit=1) == ([b"2"], 3, True)
    assert await keys(min_create_revision=revision - 2) == ([b"2", b"3"], 3, False)
    assert await keys(max_create_revision=revision - 3) == ([b"1"], 3, False)
    old = await calls.Range(RangeRequest(key=b"r/1", revision=revision - 1, keys_only=True, serializable=True))
    assert (old.kvs[0].value, old.kvs[0].version, old.header.revision) == (b"", 1, revision)


@with_calls
async def test_a_put_keeps_value_or_lease_when_asked(calls):
    lease = (await calls.LeaseGrant(LeaseGrantRequest(TTL=60))).ID
    await put(calls, b"keep", b"1", lease=lease)
    assert (await put(calls, b"keep", b"2", ignore_lease=True, prev_kv=True)).prev_kv.value == b"1"
    await calls.Put(PutRequest(key=b"keep", ignore_value=True))
    kv = (await calls.Range(RangeRequest(key=b"keep"))).kvs[0]
    assert (kv.value, kv.lease, kv.version) == (b"2", 0, 3)
    missing = PutRequest(key=b"missing", ignore_value=True)
    assert await refusal(calls.Put(missing)) == (StatusCode.INVALID_ARGUMENT, "etcdserver: key not found")
    both = PutRequest(key=b"keep", value=b"x", ignore_value=True)
    assert await refusal(calls.Put(both)) == (StatusCode.INVALID_ARGUMENT, "etcdserver: value is provided")


@with_calls
async def test_transactions_nest_and_answer_in_order(calls):
    inner = TxnRequest(
        compare=[Compare(key=b"t", target=Compare.VERSION, result=Compare.GREATER, version=0)],
        success=[RequestOp(request_delete_range=DeleteRangeRequest(key=b"t", prev_kv=True))],
        failure=[RequestOp(request_put=PutRequest(key=b"t", value=b"new"))],
    )
    outer = TxnRequest(
        success=[RequestOp(request_range=RangeRequest(key=b"t")), RequestOp(request_txn=inner)],
    )
    first = await calls.Txn(outer)
    assert first.succeeded and not first.responses[1].response_txn.succeeded
    second = await calls.Txn(outer)
    assert second.responses[0].response_range.kvs[0].value == b"new"
    assert second.responses[1].response_txn.responses[0].response_delete_range.prev_kvs[0].value == b"new"
    assert second.header.revision == first.header.revision + 1


@with_calls
async def test_refusals_are_in_etcds_words(calls):
    await put(calls, b"e")
    invalid, out_of_range = StatusCode.INVALID_ARGUMENT, StatusCode.OUT_OF_RANGE
    empty = (invalid, "etcdserver: key is not provided")
    assert await refusal(calls.Put(PutRequest())) == empty
    assert await refusal(calls.Range(RangeRequest())) == empty
    assert await refusal(calls.Txn(TxnRequest(success=[RequestOp()]))) == empty
    future = (out_of_range, "etcdserver: mvcc: required revision is a future revision")
    assert await refusal(calls.Range(RangeRequest(key=b"e", revision=1 << 40))) == future
    assert await refusal(calls.Compact(CompactionRequest(revision=1 << 40))) == future
    twice = [RequestOp(request_put=PutRequest(key=b"e", value=b"1"))] * 2
    duplicate = (invalid, "etcdserver: duplicate key given in txn request")
    assert await refusal(calls.Txn(TxnRequest(success=twice))) == duplicate
    many = [RequestOp(request_range=RangeRequest(key=b"e"))] * 129
    too_many = (invalid, "etcdserver: too many operations in txn request")
    assert await refusal(calls.Txn(TxnRequest(success=many))) == too_many
    large = PutRequest(key=b"e", value=bytes(1_600_000))
    assert await refusal(calls.Put(large)) == (invalid, "etcdserver: request is too large")
    assert (await refusal(calls.Put(PutRequest(key=b"e", value=bytes(4 << 20)))))[0] == StatusCode.RESOURCE_EXHAUSTED
    no_lease = (StatusCode.NOT_FOUND, "etcdserver: requested lease not found")
    assert await refusal(calls.Put(PutRequest(key=b"e", lease=404))) == no_lease
    assert await refusal(calls.LeaseRevoke(LeaseRevokeRequest(ID=404))) == no_lease
    ages = LeaseGrantRequest(TTL=1 << 40)
    assert await refusal(calls.LeaseGrant(ages)) == (out_of_range, "etcdserver: too large lease TTL")
    transferee = (StatusCode.FAILED_PRECONDITION, "etcdserver: bad leader transferee")
    assert await refusal(calls.MoveLeader(MoveLeaderRequest(targetID=404))) == transferee


@with_calls
async def test_one_stream_carries_many_watches(calls):
    stream = Stream(calls)
    one = await stream.create(key=b"w/", range_end=b"w0", prev_kv=True)
    two = await stream.create(key=b"w/a", watch_id=7, filters=[WatchCreateRequest.NOPUT])
    assert (one.watch_id, two.watch_id) == (0, 7)
    first = await put(calls, b"w/a", b"1")
    await put(calls, b"w/a", b"2")
    assert await stream.events(2) == [(Event.PUT, b"w/a", b"1"), (Event.PUT, b"w/a", b"2")]
    await stream.ask(cancel_request=WatchCancelRequest(watch_id=0))
    ended = await stream.next()
    assert (ended.canceled, ended.watch_id) == (True, 0)
    await calls.DeleteRange(DeleteRangeRequest(key=b"w/a"))
    deleted = await stream.next()
    assert (deleted.watch_id, [event.type for event in deleted.events]) == (7, [Event.DELETE])
    await stream.ask(create_request=WatchCreateRequest(key=b"x", watch_id=7))
    refused = await stream.next()
    assert (refused.created, refused.canceled, refused.watch_id) == (True, True, -1)
    await stream.create(key=b"w/", range_end=b"w0", start_revision=first.header.revision, prev_kv=True, watch_id=9)
    history = (await stream.next()).events
    assert [(event.type, event.prev_kv.value) for event in history] == [
        (Event.PUT, b""), (Event.PUT, b"1"), (Event.DELETE, b"2")
    ]  # fmt: skip
    await stream.ask(progress_request=WatchProgressRequest())
    progress = await stream.next()
    assert (progress.watch_id, len(progress.events)) == (-1, 0)
    assert progress.header.revision >= first.header.revision + 2


@with_calls
async def test_a_large_revision_is_given_in_fragments(calls):
    stream = Stream(calls)
    await stream.create(key=b"f/", range_end=b"f0", fragment=True)
    await put(calls, b"f/0", bytes(700_000))
    await put(calls, b"f/1", bytes(700_000))
    assert len((await stream.next()).events) + len((await stream.next()).events) == 2
    await calls.DeleteRange(DeleteRangeRequest(key=b"f/", range_end=b"f0"))
    assert len(await stream.events(2)) == 2
    again = await stream.create(key=b"f/", range_end=b"f0", fragment=True, prev_kv=True)
    await calls.Txn(TxnRequest(success=[RequestOp(request_put=PutRequest(key=b"f/%d" % n)) for n in range(2)]))
    seen = [await stream.next() for _ in range(2)]
    assert {(response.watch_id, len(response.events)) for response in seen} == {(0, 2), (again.watch_id, 2)}


@with_calls
async def test_what_is_compacted_ends_a_watch_with_the_revision_that_is_left(calls):
    for _ in range(3):
        last = await put(calls, b"c")
    compacted = last.header.revision - 1
    await calls.Compact(CompactionRequest(revision=compacted, physical=True))
    code, text = await refusal(calls.Range(RangeRequest(key=b"c", revision=compacted - 1)))
    assert (code, text) == (StatusCode.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")
    assert (await refusal(calls.Compact(CompactionRequest(revision=compacted))))[1] == text
    stream = Stream(calls)
    await stream.create(key=b"c", start_revision=1)
    ended = await stream.next()
    assert (ended.canceled, ended.compact_revision, ended.cancel_reason) == (True, compacted, text)
    assert len((await calls.Range(RangeRequest(key=b"c", revision=compacted))).kvs) == 1


@with_calls
async def test_leases_are_granted_kept_shown_and_revoked(calls):
    granted = await calls.LeaseGrant(LeaseGrantRequest(TTL=50, ID=77))
    assert (granted.ID, granted.TTL) == (77, 50)
    exists = (StatusCode.FAILED_PRECONDITION, "etcdserver: lease already exists")
    assert await refusal(calls.LeaseGrant(LeaseGrantRequest(TTL=50, ID=77))) == exists
    await put(calls, b"leased", lease=77)
    keeping = calls.LeaseKeepAlive()
    await keeping.write(LeaseKeepAliveRequest(ID=77))
    assert (await keeping.read()).TTL == 50
    await keeping.write(LeaseKeepAliveRequest(ID=404))
    assert (await keeping.read()).TTL == 0
    shown = await calls.LeaseTimeToLive(LeaseTimeToLiveRequest(ID=77, keys=True))
    assert (shown.grantedTTL, list(shown.keys), 45 <= shown.TTL <= 50) == (50, [b"leased"], True)
    assert 77 in [lease.ID for lease in (await calls.LeaseLeases(LeaseLeasesRequest())).leases]
    await calls.LeaseRevoke(LeaseRevokeRequest(ID=77))
    assert (await calls.Range(RangeRequest(key=b"leased"))).count == 0
    assert (await calls.LeaseTimeToLive(LeaseTimeToLiveRequest(ID=77))).TTL == -1


@with_calls
async def test_the_member_says_how_it_is(calls):
    await put(calls, b"m")
    status = await calls.Status(StatusRequest())
    assert status.leader == status.header.member_id and status.dbSize > 0 and not status.errors
    hashed = await calls.HashKV(HashKVRequest())
    await put(calls, b"m")
    at = HashKVRequest(revision=hashed.header.revision)
    assert (await calls.HashKV(at)).hash == hashed.hash != (await calls.HashKV(HashKVRequest())).hash
    assert not (await calls.Alarm(AlarmRequest())).alarms
    raising = AlarmRequest(action=AlarmRequest.ACTIVATE, alarm=AlarmType.NOSPACE)
    assert (await refusal(calls.Alarm(raising)))[0] == StatusCode.UNIMPLEMENTED
    blobs = [response.blob async for response in calls.Snapshot(SnapshotRequest())]
    assert sum(map(len, blobs)) % 512 == 32


def test_health_and_authentication_are_answered_without_messages(face):
    async def main():
        channel, _ = connect(face)
        async with channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert await check(b"") == b"\x08\x01"
            assert (await refusal(check(b"\x0a\x01x")))[0] == StatusCode.NOT_FOUND
            enable = channel.unary_unary("/etcdserverpb.Auth/AuthEnable")
            assert (await refusal(enable(b"")))[0] == StatusCode.UNIMPLEMENTED
            login = channel.unary_unary("/etcdserverpb.Auth/Authenticate")
            assert (await refusal(login(b"")))[1] == "etcdserver: authentication is not enabled"

    asyncio.run(main())


def test_bytes_that_are_no_message_are_refused_and_nothing_breaks(face):
    async def main():
        channel, calls = connect(face)
        async with channel:
            for path in ("/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn", "/etcdserverpb.Cluster/MemberAdd"):
                code, _ = await refusal(channel.unary_unary(path)(b"\xff\xff\xff\xff"))
                assert code == StatusCode.INVALID_ARGUMENT
            stream = channel.stream_stream("/etcdserverpb.Watch/Watch")()
            await stream.write(b"\xff\xff\xff\xff")
            await refusal(stream.read())
            assert (await calls.Status(StatusRequest())).leader

    asyncio.run(main())

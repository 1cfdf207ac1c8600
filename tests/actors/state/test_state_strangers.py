"""Members and snapshots of another cluster: refused on both sides, and nothing of them gets in."""

import asyncio
import contextlib
import shutil
from types import SimpleNamespace

import pytest
import structlog

from actors.state import image, snapshot
from actors.state import messages as m
from actors.state.machine import Machine
from actors.state.peer_messages import RaftBatch, RaftFeedRequest, SnapshotChunk, SnapshotRequest
from actors.state.peers import Peers
from actors.state.raft.records import TimeoutNow
from actors.state.simulated_disk import SimulatedDisk
from actors.state.snapshots import Snapshots
from bus import Client, RemoteError
from runtime.clock import ManualClock
from tests.actors.state.state_group import StateGroup, eventually
from tests.actors.state.state_process import StateProcess

OURS, THEIRS = "0123456789abcdef", "fedcba9876543210"


def put(key, value=b"v"):
    return m.TxnRequest(m.Txn([], [m.Put(key, value)]))


class Answers:
    """A client to whose streams a member of another cluster answers."""

    def __init__(self, *records):
        self._records = records

    @contextlib.asynccontextmanager
    async def stream(self, *_, **__):
        async def items():
            for record in self._records:
                yield record

        yield items()


def peers_with(client, received):
    receiver = SimpleNamespace(receive=lambda sender, messages: received.extend(messages), barred_by=lambda *_: None)
    made = Peers("state@m1", OURS, client=client, endpoint_of=str, birth="b", births=None, spawn=None, join=None,
                 log=structlog.get_logger())  # fmt: skip
    made._receiver = receiver
    return made


@pytest.mark.parametrize("request_", [RaftFeedRequest(THEIRS, "b"), SnapshotRequest(THEIRS)], ids=["feed", "snapshot"])
def test_a_member_of_another_cluster_is_told_nothing(tmp_path, request_):
    state = StateProcess(tmp_path).start()

    async def ask():
        client = Client("state@m2")
        async with client.stream(state.endpoint, request_) as records:
            async for record in records:
                raise AssertionError(f"it was given {record}")

    try:
        with pytest.raises(RemoteError, match="cluster ID mismatch") as refused:
            asyncio.run(ask())
        assert refused.value.kind == m.WRONG_CLUSTER
    finally:
        state.kill()


def test_messages_of_another_cluster_are_not_listened_to():
    received = []
    peers = peers_with(Answers(RaftBatch(THEIRS, [TimeoutNow(9)])), received)
    with pytest.raises(RemoteError) as refused:
        asyncio.run(peers._read("state@m2"))
    assert (refused.value.kind, received) == (m.WRONG_CLUSTER, [])
    asyncio.run(peers_with(Answers(RaftBatch(OURS, [TimeoutNow(9)])), received)._read("state@m2"))
    assert received == [TimeoutNow(9)]


@pytest.mark.parametrize("cluster_id, is_ours", [(OURS, True), (THEIRS, False)])
def test_a_snapshot_of_another_cluster_is_not_taken(cluster_id, is_ours):
    chunks = image.capture(Machine(), 1, {"state@m1": True}, cluster_id).chunks()
    peers = peers_with(Answers(*map(SnapshotChunk, chunks)), [])
    disk = SimulatedDisk(0)
    node = SimpleNamespace(name="state@m1", members=SimpleNamespace(votes={"state@m1": True}))
    storage = SimpleNamespace(disk=disk, snapshot_bytes=0)
    committer = SimpleNamespace(core=SimpleNamespace(node=node), storage=storage)

    async def receive():
        log, clock = structlog.get_logger(), ManualClock()
        return await Snapshots(committer, peers, None, 1, spawn=None, log=log, clock=clock)._receive("state@m2")

    if is_ours:
        assert asyncio.run(receive()).restored.cluster_id == OURS
    else:
        with pytest.raises(RemoteError) as refused:
            asyncio.run(receive())
        assert refused.value.kind == m.WRONG_CLUSTER
    assert (snapshot.INCOMING in disk.names()) is is_ours


def test_a_member_that_comes_with_the_data_of_another_cluster_is_left_out_and_does_no_harm(tmp_path):
    """As when somebody has mixed up two machines' disks."""
    other = StateGroup(tmp_path / "other", size=4)
    group = StateGroup(tmp_path / "own")
    for each in (other, group):
        each.path.mkdir()
    try:
        other.start().wait_for_leader().ask(put(b"k", b"theirs"))
        eventually(other.agree)
        other.stop()
        leader = group.start().wait_for_leader()
        leader.ask(put(b"k", b"ours"))
        follower = next(member for member in group.members.values() if member is not leader)
        follower.kill()
        home = group.path / "actors" / follower.name
        shutil.rmtree(home)
        shutil.copytree(other.path / "actors" / follower.name, home)
        follower.start()
        eventually(lambda: "cluster ID mismatch" in follower.log)
        leader = group.wait_for_leader(besides=follower.name)
        leader.ask(put(b"k2", b"ours"))
        assert [kv.value for kv in leader.ask(m.RangeRequest(m.Range(b"k", b"l"))).result.kvs] == [b"ours", b"ours"]
        assert follower.ask(m.StatusRequest()).cluster_id != leader.ask(m.StatusRequest()).cluster_id
        seen = follower.ask(m.RangeRequest(m.Range(b"k"), serializable=True)).result.kvs
        assert b"ours" not in [kv.value for kv in seen]
    finally:
        other.stop()
        group.stop()

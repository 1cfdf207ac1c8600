"""Three state actors as processes: killed, stopped, added, removed."""

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.state import messages as m
from actors.state.watch_index import prefix_end
from bus import Client, DeadlineExceeded, RemoteError, Unavailable
from tests.actors.state.state_group import StateGroup, eventually
from tests.actors.state.state_process import StateProcess


@pytest.fixture
def group(tmp_path):
    made = StateGroup(tmp_path).start()
    yield made
    made.stop()


def put(key, value=b"v", **fields):
    return m.TxnRequest(m.Txn([], [m.Put(key, value, **fields)]))


def read(member, key, range_end=b""):
    return member.ask(m.RangeRequest(m.Range(key, range_end))).result.kvs


def ask_as(member, request, message_id):
    """Ask under a message id of our choice."""

    async def ask():
        client = Client("apiserver@m1")
        try:
            return await client.request(member.endpoint, request, message_id=message_id)
        finally:
            client.close()

    return asyncio.run(ask())


def follower_of(group, leader):
    return next(member for member in group.members.values() if member is not leader)


def inactive(leader):
    return [member.name for member in leader.ask(m.MemberListRequest()).members if not member.is_active]


def test_every_member_answers_reads_and_only_the_leader_writes(group):
    leader = group.wait_for_leader()
    for number in range(20):
        leader.ask(put(b"k", b"%d" % number))
        for member in group.members.values():
            assert read(member, b"k")[0].value == b"%d" % number
    follower = follower_of(group, leader)
    with pytest.raises(RemoteError) as refused:
        follower.ask(put(b"k"))
    assert (refused.value.kind, refused.value.detail) == ("not_leader", {"leader": leader.name})
    status = group.status(follower.name)
    assert (status.leader, status.term > 0, status.commit_index > 20) == (leader.name, True, True)


def test_a_killed_leader_is_succeeded_and_comes_back(group):
    for number in range(3):
        leader = group.wait_for_leader()
        leader.ask(put(b"/%d" % number))
        leader.kill()
        successor = group.wait_for_leader(besides=leader.name)
        assert len(read(successor, b"/", prefix_end(b"/"))) == number + 1
        leader.start()
        eventually(group.agree)


def test_a_repeat_at_the_next_leader_is_answered_and_not_done_again(group):
    leader = group.wait_for_leader()
    request = m.TxnRequest(m.Txn([m.Compare(b"k", "mod", "=", 0)], [m.Put(b"k", b"1")]))
    first = ask_as(leader, request, "0badcafe-1")
    leader.kill()
    successor = group.wait_for_leader(besides=leader.name)
    again = ask_as(successor, request, "0badcafe-1")
    assert again == first and again.result.succeeded
    assert not ask_as(successor, request, "0badcafe-2").result.succeeded


def test_a_member_that_was_away_for_long_is_given_a_snapshot(tmp_path):
    group = StateGroup(tmp_path, segment_bytes=262_144, snapshot_every_bytes=1 << 20).start()
    try:
        leader = group.wait_for_leader()
        away = follower_of(group, leader)
        away.kill()
        for number in range(450):
            leader.ask(put(b"/%03d" % (number % 150), os.urandom(30_000)))
        leader.ask(m.LeaseGrantRequest(1000, 7))
        leader.ask(put(b"last", lease=7))
        before = read(leader, b"\0", b"\0")
        away.start()
        eventually(group.agree)
        assert "took a snapshot from the leader" in away.log
        assert away.ask(m.RangeRequest(m.Range(b"\0", b"\0"), serializable=True)).result.kvs == before
        away.kill()
        away.start()
        eventually(group.agree)
        assert away.ask(m.RangeRequest(m.Range(b"\0", b"\0"), serializable=True)).result.kvs == before
    finally:
        group.stop()


def test_members_come_and_go(group):
    leader = group.wait_for_leader()
    leader.ask(put(b"k", b"1"))
    group.start_another("state@m4")
    reply = group.ask_leader(m.MemberAddRequest("state@m4"))
    assert {member.name: member.votes for member in reply.members}["state@m4"] is True
    eventually(group.agree)
    assert read(group.members["state@m4"], b"k")[0].value == b"1"
    removed = follower_of(group, group.wait_for_leader()).name
    reply = group.ask_leader(m.MemberRemoveRequest(removed))
    assert removed not in {member.name for member in reply.members}
    group.members.pop(removed).kill()
    gone = group.wait_for_leader()
    gone.kill()
    successor = group.wait_for_leader(besides=gone.name)
    successor.ask(put(b"k", b"2"))
    with pytest.raises(RemoteError) as refused:
        successor.ask(m.MemberPromoteRequest("state@m9"))
    assert refused.value.kind == "member_not_found"
    eventually(lambda: gone.name in inactive(successor))
    other = next(name for name, member in group.members.items() if member not in (gone, successor))
    with pytest.raises(RemoteError) as refused:
        successor.ask(m.MemberRemoveRequest(other))
    assert refused.value.kind == "unhealthy"


@pytest.fixture
def alone(tmp_path):
    made = StateGroup(tmp_path, size=1).start()
    yield made
    made.stop()


def test_a_member_may_be_removed_while_it_is_waited_for(alone):
    leader = alone.wait_for_leader()
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(leader.ask, m.MemberAddRequest("state@m9"), "cli@m1", timeout_s=20.0)
        eventually(lambda: "state@m9" in inactive(leader))
        leader.ask(m.MemberRemoveRequest("state@m9"), sender="cli@m1")
        with pytest.raises(RemoteError) as refused:
            adding.result()
    assert refused.value.kind == "member_not_found"
    assert '"invariant broke"' not in leader.log


def test_changes_that_come_at_once_are_made_one_after_the_other(alone):
    leader = alone.wait_for_leader()
    names = [f"state@m{number}" for number in range(2, 8)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: leader.ask(m.MemberAddRequest(name, as_learner=True), "cli@m1"), names))
    assert {member.name for member in leader.ask(m.MemberListRequest()).members} == {"state@m1", *names}


def test_a_leader_is_removed_by_the_one_that_has_just_taken_its_lead(group):
    leader = group.wait_for_leader()
    with pytest.raises(RemoteError) as refused:
        leader.ask(m.MemberRemoveRequest(leader.name), "cli@m1")
    assert refused.value.kind == "not_leader"
    heir = group.members[refused.value.detail["leader"]]
    reply = heir.ask(m.MemberRemoveRequest(leader.name), "cli@m1")
    assert (reply.leader, len(reply.members)) == (heir.name, 2)


def test_whoever_votes_already_is_not_waited_for_the_leader_least_of_all(group):
    leader = group.wait_for_leader()
    for name in group.names:
        reply = leader.ask(m.MemberAddRequest(name), "cli@m1")
        assert [member.votes for member in reply.members] == [True] * 3
        with pytest.raises(RemoteError, match="votes already") as refused:
            leader.ask(m.MemberPromoteRequest(name), "cli@m1")
        assert refused.value.kind == "unhealthy"


def test_a_name_that_no_member_can_have_is_refused(alone):
    for name in ("m4", "kubelet@m4", "state@", "state@m4/..", "state@m 4", "state@" + "m" * 200):
        with pytest.raises(RemoteError) as refused:
            alone.wait_for_leader().ask(m.MemberAddRequest(name), "cli@m1")
        assert refused.value.kind == "invalid"


def test_the_lead_is_handed_over_on_request_and_at_an_orderly_stop(group):
    leader = group.wait_for_leader()
    heir = follower_of(group, leader)
    assert group.ask_leader(m.MoveLeaderRequest(heir.name)).leader == heir.name
    assert group.wait_for_leader() is heir
    assert heir.stop() == 0
    assert '"leader"' in heir.log
    successor = group.wait_for_leader(besides=heir.name)
    assert successor is not heir


def test_leases_end_at_whoever_leads(group):
    leader = group.wait_for_leader()
    leader.ask(m.LeaseGrantRequest(1, 7))
    leader.ask(put(b"k", lease=7))
    leader.kill()
    successor = group.wait_for_leader(besides=leader.name)
    assert len(read(successor, b"k")) == 1
    eventually(lambda: read(successor, b"k") == [], 6.0)


def test_a_stopped_leader_does_not_answer_reads_of_the_past(group):
    leader = group.wait_for_leader()
    leader.ask(put(b"k", b"old"))
    leader.pause()
    eventually(lambda: group.wait_for_leader(besides=leader.name).ask(put(b"k", b"new")))
    leader.resume()
    # A busy machine may find no leader within a read's patience, which is an answer too; but the first value is new.
    assert eventually(lambda: read(leader, b"k"))[0].value == b"new"
    eventually(group.agree)


def test_a_member_that_lost_its_disk_does_not_vote_until_it_was_removed_and_added(group):
    leader = group.wait_for_leader()
    leader.ask(put(b"k", b"1"))
    eventually(group.agree)
    lost, other = (member for member in group.members.values() if member is not leader)
    lost.kill()
    shutil.rmtree(lost.setup.data_dir / "actors" / lost.name)
    lost.start()
    (alarm,) = eventually(lambda: group.status(lost.name).alarms)
    assert "LOSTDATA" in alarm and f"kubus member remove {lost.name}" in alarm
    eventually(lambda: "a member is refused" in leader.log)
    other.kill()
    with pytest.raises((DeadlineExceeded, Unavailable)):
        leader.ask(put(b"k", b"2"), timeout_s=1.0)
    assert group.status(lost.name).term == 0
    other.start()
    leader = group.wait_for_leader()
    group.ask_leader(m.MemberRemoveRequest(lost.name))
    group.ask_leader(m.MemberAddRequest(lost.name))
    eventually(group.agree)
    eventually(lambda: group.status(lost.name).alarms == [])
    assert read(lost, b"k")[0].value in (b"1", b"2")
    gone = group.wait_for_leader()
    gone.kill()
    group.wait_for_leader(besides=gone.name).ask(put(b"k", b"3"))


def test_a_config_without_a_majority_of_the_group_is_refused(tmp_path):
    group = StateGroup(tmp_path).start()
    group.stop()
    alone = StateProcess(tmp_path, name="state@m1", names=["state@m1"])
    with pytest.raises(AssertionError, match="no majority of the group .* without state@m2, state@m3"):
        alone.start()
    two = [StateProcess(tmp_path, name=name, names=["state@m1", "state@m2"]) for name in ("state@m1", "state@m2")]
    for member in two:
        member.launch()
    try:
        eventually(lambda: two[0].ask(m.StatusRequest()).leader)
    finally:
        for member in two:
            member.stop()


def test_a_member_that_may_have_missed_a_change_of_its_group_is_not_refused(tmp_path):
    group = StateGroup(tmp_path).start()
    group.stop()
    member = StateProcess(tmp_path, name="state@m1", names=["state@m1", "state@m4", "state@m5"]).start()
    member.stop()

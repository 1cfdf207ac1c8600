"""Single decisions of a Raft node that the simulation would show only as time lost."""

import random

from actors.state.raft.entries import Entries
from actors.state.raft.node import Node, Timing
from actors.state.raft.records import Append, Appended, Entry, HardState, RequestVote, TimeoutNow, Vote
from actors.state.raft.role import Role

NAMES = ["a", "b", "c"]
TIMING = Timing(election=16, heartbeat=4)


def follower(name="b", term=1):
    node = Node(name, dict.fromkeys(NAMES, True), Entries(), HardState(term, "", 0), randomness=random.Random(0),
                timing=TIMING)  # fmt: skip
    node.step("a", Append(term, 0, 0, [], 0))
    work(node)
    return node


def work(node):
    """Store at once; return what is sent."""
    sent = []
    while (ready := node.ready()) is not None:
        sent += ready.messages
        if ready.must_persist:
            sent += node.persisted(ready)
    return [(each.to, each.message) for each in sent]


def test_a_beat_is_answered_while_the_disk_is_busy_and_promises_no_more_than_is_on_it():
    node = follower()
    node.step("a", Append(1, 0, 0, [Entry(1, 1, b"x")], 0))
    ready = node.ready()
    assert ready.must_persist and ready.messages == []
    node.step("a", Append(1, 1, 1, [], 0, round=7))
    assert [each.message for each in node.ready().messages] == [Appended(1, 0, round=7)]
    assert [each.message for each in node.persisted(ready)] == [Appended(1, 1)]
    node.step("a", Append(1, 1, 1, [], 1, round=8))
    assert work(node) == [("a", Appended(1, 1, round=8))]


def test_the_first_beat_of_a_new_term_is_answered_once_the_term_is_on_disk():
    node = follower()
    node.step("c", Append(2, 0, 0, [], 0))
    ready = node.ready()
    assert ready.must_persist and ready.messages == []
    assert [each.message for each in node.persisted(ready)] == [Appended(2, 0)]


def test_who_asks_for_a_vote_too_early_is_answered_when_this_member_misses_the_leader_too():
    request = RequestVote(2, 0, 0, pre=True)
    node = follower()
    node.step("c", request)
    assert work(node) == [], "it hears its leader"
    node.leader_is_gone()
    assert work(node) == [("c", Vote(2, True, pre=True))]
    node = follower()
    node.step("c", request)
    node.step("a", Append(1, 0, 0, [], 0))
    for _ in range(TIMING.election - 1):
        node.tick()
    assert (node.role, [to for to, message in work(node) if isinstance(message, Vote)]) == (Role.FOLLOWER, [])
    node.tick()
    assert ("c", Vote(2, True, pre=True)) in work(node)


def test_a_campaign_that_nobody_won_is_tried_again_soon_then_less_often():
    node = follower()
    node.leader_is_gone()
    waits, since = [], 0
    for _ in range(400):
        node.tick()
        since += 1
        if any(isinstance(message, RequestVote) for _, message in work(node)):
            waits.append(since)
            since = 0
    first, *rest = waits
    assert first <= TIMING.succession
    assert TIMING.campaign <= rest[0] < 2 * TIMING.campaign
    assert 2 * TIMING.campaign <= rest[1] < 4 * TIMING.campaign
    assert all(TIMING.election <= wait < 2 * TIMING.election for wait in rest[2:])
    node.step("a", Append(1, 0, 0, [], 0))
    assert (node.campaigns, node.leader) == (0, "a")


def test_what_an_earlier_leader_left_is_not_committed_by_counting():
    """The paper's figure 8: until an entry of its own term is on a majority, a leader commits nothing."""
    entries = Entries(0, 0, [Entry(1, 2, b"old")])
    node = Node("a", dict.fromkeys(NAMES, True), entries, HardState(3, "", 0), randomness=random.Random(0))
    node.campaign()
    work(node)
    for message in (Vote(4, True, pre=True), Vote(4, True)):
        node.step("b", message)
        work(node)
    assert (node.role, node.term, node.log.last_index) == (Role.LEADER, 4, 2)
    node.step("b", Appended(4, 1))
    node.step("c", Appended(4, 1))
    assert node.log.commit == 0
    node.step("b", Appended(4, 2))
    assert node.log.commit == 2


def leader():
    """The node "a", which "b" voted for and which has not heard anything else yet."""
    node = Node("a", dict.fromkeys(NAMES, True), Entries(), HardState(0, "", 0), randomness=random.Random(0),
                timing=TIMING)  # fmt: skip
    node.campaign()
    for _ in range(2):  # what is asked before the vote, and the vote
        asked = dict(work(node))
        node.step("b", Vote(asked["b"].term, True, pre=asked["b"].pre))
    assert node.role is Role.LEADER
    return node


def test_who_voted_for_a_leader_is_its_heir_at_once():
    assert leader().heirs() == ["b"]


def test_a_member_is_active_until_it_was_silent_from_one_look_to_the_next():
    node = leader()
    node.step("b", Appended(node.term, 0))
    heirs = []
    for _ in range(2 * TIMING.election):  # two looks
        node.step("c", Appended(node.term, 0))
        node.tick()
        heirs.append(node.heirs())
    first_look, last = TIMING.election - 1, 2 * TIMING.election - 1
    assert all("b" in each for each in heirs[:last]) and heirs[last] == ["c"]
    assert heirs[first_look] == heirs[first_look - 1] and node.role is Role.LEADER


def test_a_leader_that_hears_nobody_and_may_be_heard_names_who_should_be_next():
    node = Node("a", dict.fromkeys(NAMES, True), Entries(), HardState(0, "", 0), randomness=random.Random(0),
                timing=TIMING)  # fmt: skip
    node.campaign()
    work(node)
    for message in (Vote(1, True, pre=True), Vote(1, True)):
        node.step("b", message)
        work(node)
    node.step("c", Appended(1, 1))
    sent = []
    for _ in range(4 * TIMING.election):
        node.tick()
        sent += work(node)
        if node.role is Role.FOLLOWER:
            break
    assert node.role is Role.FOLLOWER and sent[-1] == ("c", TimeoutNow(1)), "c is known to have everything"
    heir = follower("c")
    heir.step("a", TimeoutNow(1))
    asked = [message for _, message in work(heir) if isinstance(message, RequestVote)]
    assert asked and all(message.transfer for message in asked), "who still hears the old leader may vote all the same"

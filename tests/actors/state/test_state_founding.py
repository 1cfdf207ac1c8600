"""Who may found a group: those that come late must not, or there would be a second one."""

import time

import pytest

from actors.state import messages as m
from runtime.exits import EXIT_CANNOT_SERVE
from tests.actors.state.state_group import StateGroup, eventually
from tests.actors.state.state_process import StateProcess

NAMES = ["state@m1", "state@m2", "state@m3"]


@pytest.fixture
def group(tmp_path):
    made = StateGroup(tmp_path)
    yield made
    made.stop()


def put(value):
    return m.TxnRequest(m.Txn([], [m.Put(b"k", value)]))


def read(member):
    return member.ask(m.RangeRequest(m.Range(b"k"))).result.kvs[0].value


def waits(member):
    """Return how often a member has said that it waits for another founder."""
    return member.log.count("waiting for a founder") if member.log_path.exists() else 0


def refusal(member):
    """Wait until a member has given up, and return what it said."""
    member.process.join(20)
    assert member.process.exitcode == EXIT_CANNOT_SERVE
    return member.log


def test_members_that_come_late_do_not_found_a_second_group(group, tmp_path):
    alone = StateProcess(tmp_path, name="state@m1", names=NAMES[:1]).start()
    alone.ask(put(b"old"))
    alone.kill()
    for member in group.members.values():
        member.launch()
    for late in NAMES[1:]:
        assert "not founded with" in refusal(group.members[late])
    assert read(group.members["state@m1"]) == b"old"


def test_nobody_leads_before_all_founders_have_met_and_a_crash_on_the_way_is_harmless(group):
    first, second, third = group.members.values()
    first.launch()
    second.launch()
    eventually(lambda: waits(first) and waits(second))
    second.kill()
    second.launch()
    eventually(lambda: waits(second) > 1)
    assert group.leader() is None
    third.launch()
    begin = time.monotonic()
    eventually(group.leader)
    assert time.monotonic() - begin < 10
    for member in group.members.values():
        member.kill()
    first.launch()
    second.launch()
    eventually(lambda: group.leader(besides="state@m3"))

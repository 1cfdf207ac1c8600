"""A leader whose disk hangs, and nothing else of it: the others hear it, its clients get no answer."""

import functools
import time

import pytest

from actors.state import messages as m
from actors.state import storing
from actors.state.disk import DirectoryFile
from actors.state.watch_index import prefix_end
from bus import DeadlineExceeded, Unavailable
from tests.actors.state.state_group import StateGroup, eventually


def put(key):
    return m.TxnRequest(m.Txn([], [m.Put(key, b"v")]))


def hang_while(file):
    sync = DirectoryFile.sync

    def hanging(self):
        while file.exists():
            time.sleep(0.01)
        sync(self)

    DirectoryFile.sync = hanging


def hangs(member):
    return member.path / f"{member.name} hangs"


@pytest.fixture
def group(tmp_path):
    made = StateGroup(tmp_path)
    for member in made.members.values():
        member.before = functools.partial(hang_while, hangs(member))
    yield made.start()
    made.stop()


def test_a_leader_whose_disk_hangs_gives_the_lead_to_another_and_follows_once_it_goes_on(group):
    leader = group.wait_for_leader()
    leader.ask(put(b"/before"))
    hangs(leader).touch()
    begin_s = time.monotonic()
    with pytest.raises((DeadlineExceeded, Unavailable)):
        leader.ask(put(b"/unknown"), timeout_s=20.0)
    successor = group.wait_for_leader(besides=leader.name)
    successor.ask(put(b"/meanwhile"))
    assert time.monotonic() - begin_s < storing.HUNG_S + 10.0
    assert "the disk hangs: handing the lead over" in leader.log
    hangs(leader).unlink()
    eventually(group.agree)
    keys = [kv.key for kv in leader.ask(m.RangeRequest(m.Range(b"/", prefix_end(b"/")))).result.kvs]
    assert keys == [b"/before", b"/meanwhile", b"/unknown"], "it was stored by the others, and so it happened"


def test_a_follower_whose_disk_hangs_holds_up_nobody(group):
    leader = group.wait_for_leader()
    follower = next(member for member in group.members.values() if member is not leader)
    hangs(follower).touch()
    end_s = time.monotonic() + 1.2 * storing.HUNG_S  # in which a leader would have given up
    while time.monotonic() < end_s:
        leader.ask(put(b"/k"))
    assert group.wait_for_leader(besides=follower.name) is leader
    hangs(follower).unlink()
    eventually(group.agree)

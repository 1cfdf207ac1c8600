"""Which writes are synced in the loop's own thread: the rule, and a process that follows it."""

import asyncio
import threading
import time

import pytest

from actors.state import messages as m
from actors.state.disk import DirectoryFile
from actors.state.own_sync import FEW_ENTRIES, QUICK_IN_A_ROW, QUICK_S, SMALL_BYTES, OwnSync
from bus import Client, RemoteError
from tests.actors.state.state_group import StateGroup
from tests.actors.state.state_process import StateProcess


def put(key):
    return m.TxnRequest(m.Txn([], [m.Put(key, b"v")]))


def after(*took_s):
    own = OwnSync()
    for each in took_s:
        own.took(each)
    return own


QUICK = (QUICK_S / 2,) * QUICK_IN_A_ROW


@pytest.mark.parametrize(
    "took_s, sizes_bytes, waiting, is_worth",
    [
        (QUICK, [1000], 1, True),
        (QUICK, [1000] * FEW_ENTRIES, FEW_ENTRIES, True),
        (QUICK[1:], [1000], 1, False),  # not known well enough
        ((*QUICK, QUICK_S), [1000], 1, False),  # it was slow just now
        ((*QUICK, QUICK_S, *QUICK), [1000], 1, True),
        (QUICK, [1000], 2, False),  # another one waits
        (QUICK, [1000] * (FEW_ENTRIES + 1), FEW_ENTRIES + 1, False),
        (QUICK, [SMALL_BYTES], 1, False),
        (QUICK, [], 0, False),  # nobody waits for it
    ],
)
def test_a_small_write_that_is_alone_is_synced_here_while_the_disk_is_quick(took_s, sizes_bytes, waiting, is_worth):
    assert after(*took_s).is_worth(sizes_bytes, waiting) is is_worth


def told_syncs(path):
    """Have a member tell in which threads it syncs, and be slow while a file says so."""

    def tell():
        sync = DirectoryFile.sync

        def told(file):
            sync(file)
            if (path / "slow").exists():
                time.sleep(QUICK_S)
            with (path / "syncs").open("a") as out:
                out.write(threading.current_thread().name + "\n")

        DirectoryFile.sync = told

    return tell


def syncs(path):
    """Return the threads of the syncs since the last call."""
    found = (path / "syncs").read_text().split()
    (path / "syncs").write_text("")
    return found


@pytest.fixture
def state(tmp_path):
    process = StateProcess(tmp_path, before=told_syncs(tmp_path))
    yield process.start()
    process.kill()


def test_a_group_of_one_syncs_lone_writes_in_its_loop_and_others_beside_it(state, tmp_path):
    def own_syncs_of(count, limit_s=20.0):
        """Write one by one until so many were synced in the loop; a machine that is busy is a slow disk at times."""
        end_s, found = time.monotonic() + limit_s, 0
        while found < count and time.monotonic() < end_s:
            state.ask(put(b"k"))
            found += syncs(tmp_path).count("MainThread")
        return found

    assert own_syncs_of(3) == 3
    (tmp_path / "slow").touch()
    state.ask(put(b"slow"))
    (tmp_path / "slow").unlink()
    syncs(tmp_path)
    for _ in range(QUICK_IN_A_ROW - 1):
        state.ask(put(b"k"))
    assert set(syncs(tmp_path)) <= {"disk"}, "not before the disk has been quick for a while"
    assert own_syncs_of(3) == 3
    asyncio.run(write_at_once(state.endpoint, 200))
    assert syncs(tmp_path).count("disk") > 0
    state.kill()
    state.start()
    assert state.ask(m.RangeRequest(m.Range(b"/", b"0", count_only=True))).result.count == 200


async def write_at_once(endpoint, count):
    client = Client("apiserver@m1")
    await asyncio.gather(*(client.request(endpoint, put(b"/%d" % number)) for number in range(count)))
    client.close()


def test_members_that_owe_others_a_sign_of_life_never_sync_in_their_loops(tmp_path):
    group = StateGroup(tmp_path)
    for member in group.members.values():
        member.before = told_syncs(tmp_path)
    try:
        group.start()
        leader = group.wait_for_leader()
        syncs(tmp_path)
        for number in range(3 * QUICK_IN_A_ROW):
            leader.ask(put(b"/%d" % number))
        found = syncs(tmp_path)
        assert "disk" in found and "MainThread" not in found
    finally:
        group.stop()


def test_one_txn_in_a_message_is_answered_as_each_of_several_is(state):
    def ask(*txns):
        return state.ask(m.TxnsRequest(list(txns))).outcomes

    absent = m.Compare(b"/a", "mod", "=", 0)
    write, read = m.Txn([absent], [m.Put(b"/a", b"1")], [m.Range(b"/a")]), m.Txn([], [m.Range(b"/a")])
    (outcome,) = ask(write)
    assert outcome.reply.result.succeeded and outcome.error is None
    assert ask(write) == ask(write, write)[:1]
    assert ask(read) == ask(read, read)[:1]
    for refused in (m.Txn([], [m.Put(b"", b"")]), m.Txn([], [m.Put(b"/a", b"", 7)])):
        kind = ask(refused, refused)[0].error[3]
        with pytest.raises(RemoteError) as error:
            ask(refused)
        assert error.value.kind == kind

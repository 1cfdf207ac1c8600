"""Work beside the loop: how long it rests, and what it must bear from what happens meanwhile."""

import contextlib
import threading
import time

import pytest

from actors.state import image, pace, snapshot
from actors.state.commands import TxnCommand
from actors.state.machine import Machine
from actors.state.messages import Compare, Put, Range, Txn
from actors.state.pace import Pace
from actors.state.raft.records import Entry
from actors.state.simulated_disk import Crashed, SimulatedDisk
from actors.state.storage import Storage
from runtime.clock import ManualClock
from tests.actors.state.alone import lead, work

SEGMENT_BYTES = 4096


def machine_of(count):
    machine = Machine()
    for number in range(1, count + 1):
        key = b"%06d" % number
        wanted = Txn([Compare(key, "mod", "=", 0)], [Put(key, b"")], [Range(key)])
        machine.apply(number, TxnCommand(wanted, f"id-{number}"))
    return machine


def filled(count):
    storage = Storage(SimulatedDisk(0), SEGMENT_BYTES)
    core = lead(storage)
    for number in range(count):
        core.propose(TxnCommand(Txn([], [Put(b"%d" % number, bytes(200))])))
        work(core, storage)
    return core, storage


@pytest.mark.parametrize("took_s, rests_s", [(0.0005, 0.002), (0.002, 0.008), (10.0, pace.MAX_REST_S)])
def test_a_rest_is_some_times_as_long_as_the_work_before_it(took_s, rests_s, monkeypatch):
    waited = []
    monkeypatch.setattr(threading.Event, "wait", lambda event, timeout: waited.append(timeout))
    clock = ManualClock()
    paced = Pace(clock)
    for _ in range(2):
        clock.advance(took_s)
        paced.rest()
    assert waited == pytest.approx([rests_s, rests_s])


def test_hurry_ends_a_rest_that_has_begun_and_all_after_it(monkeypatch):
    monkeypatch.setattr(pace, "MAX_REST_S", 60.0)
    clock = ManualClock()
    paced = Pace(clock)
    clock.advance(100)
    resting = threading.Thread(target=paced.rest)
    resting.start()
    paced.hurry()
    resting.join(30)
    assert not resting.is_alive()
    begin = time.monotonic()
    clock.advance(100)
    paced.rest()
    assert time.monotonic() - begin < 30


def test_work_on_an_image_rests_after_each_short_piece():
    machine = machine_of(20_000)
    rests = []
    chunks = list(image.capture(machine, 1).chunks(lambda: rests.append(1)))
    assert len(rests) >= len(chunks) + 20_000 // image.SORTED_AT_ONCE
    assert max(map(len, chunks)) < 2 * image.CHUNK_BYTES, "remembered answers are cut into chunks, too"
    restored = image.restore(chunks).machine
    assert (restored.answers.all(), len(restored.store)) == (machine.answers.all(), 20_000)


def test_files_that_a_snapshot_covers_are_removed_beside_the_log_and_a_snapshot_from_the_leader():
    core, storage = filled(100)
    disk = storage.disk
    for count in (1, 2):  # the first leaves a snapshot for the second to remove
        core.propose(TxnCommand(Txn([], [Put(b"more", bytes(SEGMENT_BYTES))])))
        work(core, storage)
        taken = core.capture("cluster")
        released = storage.release(taken, storage.save(taken))
        assert set(released) <= set(disk.names()), "release removes nothing itself"
        if count == 1:
            storage.remove(released)
    assert any(name.endswith(snapshot.SUFFIX) for name in released)
    index = taken.head.applied + 10
    disk.create(snapshot.INCOMING)
    storage.adopt(index, 1)
    storage.remove(released)
    storage.append([Entry(index + 1, 9, b"")])
    assert not set(released) & set(disk.names())
    assert snapshot.indexes(disk) == [index]


def test_a_crash_while_released_files_are_removed_loses_nothing():
    for crash_at in range(12):
        core, storage = filled(60)
        taken = core.capture("cluster")
        released = storage.release(taken, storage.save(taken))
        assert len(released) > 2
        storage.disk.crash_after = crash_at
        with contextlib.suppress(Crashed):
            storage.remove(released)
        storage.disk.restart()
        assert Storage(storage.disk, SEGMENT_BYTES).recover().machine.applied == taken.head.applied

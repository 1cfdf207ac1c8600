"""The data directory under crashes, damage, full disks and other programs' files."""

import contextlib
import errno
import os
import random

import msgspec
import pytest

from actors.state import frames, image, snapshot
from actors.state.commands import CompactCommand, GrantCommand, TxnCommand, decode
from actors.state.commands import encode as encode_command
from actors.state.damage import DataRefused, NewerFormat, NoSpace
from actors.state.disk import DataDirInUse, DirectoryDisk
from actors.state.group import Group
from actors.state.log import Entry, Log
from actors.state.messages import DeleteRange, Put, Range, Txn
from actors.state.raft.records import HardState
from actors.state.simulated_disk import Crashed, SimulatedDisk
from actors.state.storage import Storage
from tests.actors.state.alone import core_of, lead, save, work

SEGMENT_BYTES = 4096
CRASH_SEEDS = 150


def random_command(rng):
    key = b"k%d" % rng.randint(0, 20)
    roll = rng.random()
    if roll < 0.7:
        return TxnCommand(Txn([], [Put(key, rng.randbytes(rng.choice([0, 10, 300, 2000])))]))
    if roll < 0.8:
        return TxnCommand(Txn([], [DeleteRange(key)]))
    if roll < 0.9:
        return TxnCommand(Txn([], [Put(b"x/" + key, b"1"), Put(b"y/" + key, b"2"), DeleteRange(b"k1", b"k2")]))
    if roll < 0.95:
        return GrantCommand(rng.randint(1, 1000), 60)
    return CompactCommand(rng.randint(1, 50))


def state_of(machine):
    """Return all of a machine that a reader could see."""
    store = machine.store
    everything = [
        store.range(Range(b"\0", b"\0", revision=revision)).kvs
        for revision in range(max(1, store.compact_revision), store.revision + 1)
    ]
    changes = store.history.changes_since(store.compact_revision)
    return machine.applied, store.revision, store.compact_revision, everything, changes, sorted(store.leases.items())


class Member:
    """One life after another of a member on a disk that crashes."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.disk = SimulatedDisk(seed)
        self.history = []  # every entry that is known to be in the log
        self.under_way = []  # the entries of the batch that was being written at the crash

    def live(self):
        """Open, check, then write until the machine goes down."""
        storage = Storage(self.disk, SEGMENT_BYTES)
        recovered = storage.recover()
        self.settle(recovered.machine)
        core = core_of(recovered)
        while True:
            ready = core.ready()
            self.under_way = ready.entries
            storage.append(ready.entries, ready.hard_state)
            core.persisted(ready)
            self.history += self.under_way
            self.under_way = []
            list(core.apply(core.ready().committed))
            if self.rng.random() < 0.15:
                save(core, storage)
            for _ in range(self.rng.randint(1, 4)):
                core.propose(random_command(self.rng))

    def settle(self, machine):
        """What was acknowledged is there; the batch under way is there whole, or not at all."""
        survived = machine.applied - len(self.history)
        assert survived in (0, len(self.under_way)), (machine.applied, len(self.history), len(self.under_way))
        if survived:
            self.history += self.under_way
        self.under_way = []
        expected = Storage(SimulatedDisk(0), 1 << 20).recover().machine
        for entry in self.history:
            expected.apply(entry.index, decode(entry.data)) if entry.data else expected.skip(entry.index)
        assert state_of(machine) == state_of(expected)


@pytest.mark.parametrize("seed", range(CRASH_SEEDS))
def test_what_was_acknowledged_survives_any_crash(seed):
    member = Member(seed)
    for _ in range(6):
        member.disk.crash_after = member.rng.choice([3, 10, 30, 100, 200])
        member.disk.crash_after = member.rng.randint(0, member.disk.crash_after)
        with pytest.raises(Crashed):
            member.live()
        member.disk.restart()
    member.settle(Storage(member.disk, SEGMENT_BYTES).recover().machine)


def put(key, value=b"v"):
    return TxnCommand(Txn([], [Put(key, value)]))


def write(storage, count, size_bytes=100, batch=1):
    core = lead(storage)
    for number in range(count):
        core.propose(put(b"%d" % number, bytes(size_bytes)))
        if (number + 1) % batch == 0:
            work(core, storage)
    return core


def logs(disk):
    return [name for name in disk.names() if name.endswith(".log")]


def filled(count=10, size_bytes=100):
    """Return a disk with a log of some segments, and where the frames of the last segment begin."""
    disk = SimulatedDisk(0)
    storage = Storage(disk, SEGMENT_BYTES)
    write(storage, count, size_bytes)
    storage.close()
    return disk


def frame_offsets(disk, name):
    data = disk.read(name)
    offsets, offset = [], frames.HEAD_BYTES
    for payload in frames.scan(data, frames.parse_head(data, b"KUBUSLOG")).frames:
        offsets.append(offset)
        offset += frames.FRAME_BYTES + len(payload) + -len(payload) % 8
    return [*offsets, offset]


def test_a_torn_last_write_is_cut_and_said_so():
    disk = filled()
    name = logs(disk)[-1]
    offsets = frame_offsets(disk, name)
    disk.corrupt(name, offsets[-2] + 60, b"\xff" * 8)
    storage = Storage(disk, SEGMENT_BYTES)
    recovered = storage.recover()
    assert recovered.machine.applied == 10
    cut = recovered.cut
    assert (cut.file, cut.offset) == (f"simulated:{name}", offsets[-2])
    assert 0 < cut.damaged_bytes <= offsets[-1] - offsets[-2]
    write(storage, 5)
    again = Storage(disk, SEGMENT_BYTES).recover()
    assert (again.cut, again.machine.applied) == (None, 16)


@pytest.mark.parametrize("where", ["magic", "length", "sequence", "checksum", "payload", "zeroed"])
def test_damage_in_the_middle_is_refused_with_the_place_and_what_to_do(where):
    disk = filled()
    name = logs(disk)[-1]
    offsets = frame_offsets(disk, name)
    position = {"magic": 0, "length": 4, "sequence": 8, "checksum": 16, "payload": 50, "zeroed": 0}[where]
    damage = bytes(offsets[4] - offsets[3]) if where == "zeroed" else b"\xff\xff"
    before = disk.read(name)
    disk.corrupt(name, offsets[3] + position, damage)
    assert disk.read(name) != before
    with pytest.raises(DataRefused) as refused:
        Storage(disk, SEGMENT_BYTES)
    assert refused.value.offset == offsets[3]
    for part in (name, f"at byte {offsets[3]}", f"truncate this file to {offsets[3]} bytes", "backup"):
        assert part in str(refused.value)


def test_the_advice_for_damage_in_the_middle_works():
    disk = filled(100)
    names = logs(disk)
    assert len(names) > 3
    offsets = frame_offsets(disk, names[1])
    disk.corrupt(names[1], offsets[2] + 30, b"\xff")
    with pytest.raises(DataRefused) as refused:
        Storage(disk, SEGMENT_BYTES)
    assert f"move {', '.join(names[2:])} away" in str(refused.value)
    disk.open(names[1]).truncate(refused.value.offset)
    for name in names[2:]:
        disk.remove(name)
    assert 0 < Storage(disk, SEGMENT_BYTES).recover().machine.applied < 100


def test_a_damaged_end_of_an_earlier_segment_is_refused():
    disk = filled(100)
    names = logs(disk)
    offsets = frame_offsets(disk, names[0])
    disk.corrupt(names[0], offsets[-2] + 30, b"\xff")
    with pytest.raises(DataRefused, match=names[0]):
        Storage(disk, SEGMENT_BYTES)


def test_a_missing_segment_is_refused():
    disk = filled(100)
    disk.remove(logs(disk)[1])
    with pytest.raises(DataRefused, match="should follow"):
        Storage(disk, SEGMENT_BYTES)
    disk = filled(100)
    disk.remove(logs(disk)[0])
    with pytest.raises(DataRefused, match="entries 1 to"):
        Storage(disk, SEGMENT_BYTES).recover()


def test_a_value_that_looks_like_a_frame_is_no_frame():
    payload = frames.pack_frame(0, 12, b"forged")
    disk = SimulatedDisk(0)
    storage = Storage(disk, SEGMENT_BYTES)
    core = write(storage, 3)
    core.propose(put(b"k", b"".join(bytes(shift) + payload for shift in range(8))))
    work(core, storage)
    name = logs(disk)[-1]
    disk.corrupt(name, frame_offsets(disk, name)[-2], b"\xff\xff")
    assert Storage(disk, SEGMENT_BYTES).recover().machine.applied == 4


def test_a_foreign_file_is_refused():
    disk = filled()
    disk.create("0000000000000099.log").write_at(0, b"something else entirely, and long enough")
    with pytest.raises(DataRefused, match="not a segment of the log"):
        Storage(disk, SEGMENT_BYTES)


def test_a_newer_format_is_refused_clearly():
    disk = filled()
    disk.corrupt("format", 0, b"kubus-state 3\n")
    with pytest.raises(NewerFormat, match="has format 3; this program knows up to 2"):
        Storage(disk, SEGMENT_BYTES)
    disk = filled()
    newer = frames.Head(b"KUBUSLOG", 1, 1, format_version=3).pack()
    disk.corrupt(logs(disk)[0], 0, newer)
    with pytest.raises(NewerFormat, match="has format 3"):
        Storage(disk, SEGMENT_BYTES)


@pytest.mark.parametrize("content", [b"", b"etcd 1\n", b"kubus-state one\n", b"\xff\xfe"])
def test_an_unreadable_format_file_is_refused(content):
    disk = filled()
    disk.create("format").write_at(0, content)
    with pytest.raises(DataRefused, match="should say 'kubus-state 2'"):
        Storage(disk, SEGMENT_BYTES)


def test_data_without_a_format_file_is_refused():
    disk = filled()
    disk.remove("format")
    with pytest.raises(DataRefused, match="which format"):
        Storage(disk, SEGMENT_BYTES)


def test_a_snapshot_replaces_the_log_before_it():
    disk = filled(100)
    storage = Storage(disk, SEGMENT_BYTES)
    machine = storage.recover().machine
    before, segments = state_of(machine), storage.log.segment_count
    taken = image.capture(machine, 1)
    storage.remove(storage.release(taken, storage.save(taken)))
    assert segments > 3 and storage.log.segment_count == 1
    storage = Storage(disk, SEGMENT_BYTES)
    recovered = storage.recover()
    assert (recovered.snapshot_index, recovered.replayed, state_of(recovered.machine)) == (101, 0, before)
    core = write(storage, 7)
    save(core, storage)
    assert snapshot.indexes(disk) == [109]
    assert Storage(disk, SEGMENT_BYTES).recover().machine.applied == 109


@pytest.mark.parametrize("offset", [0, 40, 500, -3])
def test_a_damaged_snapshot_is_refused(offset):
    disk = filled(100)
    storage = Storage(disk, SEGMENT_BYTES)
    taken = image.capture(storage.recover().machine, 1)
    storage.save(taken)
    name = snapshot.name_of(101)
    disk.corrupt(name, offset % disk.size_bytes(name), b"\xff\xff\xff"[: 3 if offset >= 0 else 1])
    if offset == -3:  # the padding of the last frame, which nobody reads
        disk.open(name).truncate(disk.size_bytes(name) - 8)
    with pytest.raises(DataRefused, match=f"{name}.*(damaged|not a snapshot)"):
        Storage(disk, SEGMENT_BYTES).recover()


def test_a_full_disk_refuses_writes_and_takes_them_again_when_there_is_room():
    disk = SimulatedDisk(0, capacity_bytes=3 * SEGMENT_BYTES)
    storage = Storage(disk, SEGMENT_BYTES)
    core = lead(storage)
    acknowledged, refusals = 1, 0  # the entry with which it leads
    while refusals < 3:
        core.propose(put(b"%d" % acknowledged, bytes(200)))
        ready = core.ready()
        try:
            storage.append(ready.entries, ready.hard_state)
        except NoSpace:
            core.abandon(ready)
            refusals += 1
        else:
            core.persisted(ready)
            work(core, storage)
            acknowledged += 1
    with pytest.raises(NoSpace):
        storage.log.make_room()
    assert Storage(disk, SEGMENT_BYTES).recover().machine.applied == acknowledged
    disk.capacity_bytes = 1 << 30
    storage.log.make_room()
    core.propose(put(b"after", b""))
    work(core, storage)
    machine = Storage(disk, SEGMENT_BYTES).recover().machine
    assert machine.applied == acknowledged + 1
    assert machine.store.get(b"after") is not None


def test_a_snapshot_on_a_full_disk_leaves_all_as_it_was():
    disk = filled(100)
    storage = Storage(disk, SEGMENT_BYTES)
    machine = storage.recover().machine
    disk.capacity_bytes = sum(disk.size_bytes(name) for name in disk.names()) + 1000
    with pytest.raises(NoSpace):
        storage.save(image.capture(machine, 1))
    assert snapshot.TEMPORARY not in disk.names()
    assert state_of(Storage(disk, SEGMENT_BYTES).recover().machine) == state_of(machine)


def test_a_write_that_failed_half_way_cannot_come_back():
    disk = SimulatedDisk(0)
    storage = Storage(disk, SEGMENT_BYTES)
    core = write(storage, 3)
    core.propose(put(b"lost", bytes(1000)))
    ready = core.ready()
    original, error = storage.log._file.sync, OSError(errno.ENOSPC, "no")

    def failing_sync():
        storage.log._file.sync = original
        raise error

    storage.log._file.sync = failing_sync
    with pytest.raises(NoSpace):
        storage.append(ready.entries, ready.hard_state)
    core.abandon(ready)
    assert Storage(disk, SEGMENT_BYTES).recover().machine.store.get(b"lost") is None


def test_a_disk_that_fails_is_not_taken_for_a_full_one():
    storage = Storage(SimulatedDisk(0), SEGMENT_BYTES)
    core = write(storage, 3)
    core.propose(put(b"k"))

    def failing_sync():
        raise OSError(errno.EIO, "Input/output error")

    storage.log._file.sync = failing_sync
    with pytest.raises(OSError, match="Input/output"):
        storage.append(core.ready().entries)


def test_a_batch_larger_than_a_segment_fits():
    disk = SimulatedDisk(0)
    storage = Storage(disk, SEGMENT_BYTES)
    core = write(storage, 2)
    core.propose(put(b"large", bytes(10 * SEGMENT_BYTES)))
    work(core, storage)
    assert Storage(disk, SEGMENT_BYTES).recover().machine.applied == 4


def test_one_sync_serves_a_batch():
    disk = SimulatedDisk(0)
    storage = Storage(disk, 1 << 20)
    storage.recover()
    before = disk.syncs
    storage.append([Entry(index, 1, b"") for index in range(1, 1001)])
    assert disk.syncs == before + 1


def test_a_real_directory_keeps_what_was_written(tmp_path):
    storage = Storage(DirectoryDisk(tmp_path), SEGMENT_BYTES)
    core = write(storage, 100)
    save(core, storage)
    write(storage, 5)
    storage.close()
    storage = Storage(DirectoryDisk(tmp_path), SEGMENT_BYTES)
    assert storage.recover().machine.applied == 107
    storage.close()
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_a_data_directory_in_use_is_refused(tmp_path):
    disk = DirectoryDisk(tmp_path)
    with pytest.raises(DataDirInUse, match=rf"{tmp_path} is in use by another process \(pid {os.getpid()}\)"):
        DirectoryDisk(tmp_path)
    disk.close()
    DirectoryDisk(tmp_path).close()


def test_opening_again_and_again_changes_nothing():
    disk = filled(50)
    contents = {name: disk.read(name) for name in disk.names()}
    for _ in range(3):
        Log.open(disk, SEGMENT_BYTES).close()
        Storage(disk, SEGMENT_BYTES).close()
    assert {name: disk.read(name) for name in disk.names()} == contents


def entries(term, *indexes):
    return [Entry(index, term, b"") for index in indexes]


def test_a_later_batch_replaces_what_it_begins_before():
    disk = SimulatedDisk(0)
    storage = Storage(disk, SEGMENT_BYTES, "a", Group.founded("c", ["a", "b", "c"]))
    storage.recover()
    storage.append(entries(1, *range(1, 200)), HardState(1, "a", 0))
    storage.append(entries(2, 150, 151), HardState(2, "b", 149))
    storage.append([], HardState(3, "c", 150))
    storage = Storage(disk, SEGMENT_BYTES, "a")
    recovered = storage.recover()
    log = recovered.entries
    assert (log.last_index, log.term(149), log.term(150), log.applied) == (151, 1, 2, 150)
    assert (recovered.hard, recovered.machine.applied) == (HardState(3, "c", 150), 150)
    storage.append(entries(3, 151, 152))
    assert Storage(disk, SEGMENT_BYTES, "a").recover().entries.term(151) == 3


def test_the_hard_state_outlives_the_segments_it_was_written_to():
    disk = SimulatedDisk(0)
    storage = Storage(disk, SEGMENT_BYTES, "a", Group.founded("c", ["a", "b", "c"]))
    storage.recover()
    storage.append([], HardState(7, "b", 0))
    for first in range(1, 2000, 100):
        storage.append(entries(7, *range(first, first + 100)))
    assert storage.log.segment_count > 2
    storage.remove(storage.log.release(2000))
    assert storage.log.segment_count == 1
    found = [batch.hard for batch in Log.open(disk, SEGMENT_BYTES).batches() if batch.hard]
    assert found[-1] == HardState(7, "b", 0)


def write_format_1(disk):
    """What a program of format 1 has left: entries without membership, no hard state, no group."""
    encode = msgspec.msgpack.encode
    frames_of_1 = [[[1, 1, encode_command(put(b"a"))]], [[2, 1, encode_command(put(b"b"))]]]
    disk.create("format").write_at(0, b"kubus-state 1\n")
    head = frames.Head(b"KUBUSLOG", 5, 1, format_version=1)
    file = disk.create("0000000000000001.log")
    file.write_at(0, head.pack() + b"".join(
        frames.pack_frame(5, number, encode([each])) for number, each in enumerate(frames_of_1, 1)
    ))  # fmt: skip


def test_a_directory_of_format_1_is_taken_on():
    disk = SimulatedDisk(0)
    write_format_1(disk)
    storage = Storage(disk, SEGMENT_BYTES, "state@m1", Group.founded("c", ["state@m1", "state@m2", "state@m3"]))
    recovered = storage.recover()
    assert recovered.machine.store.keys_in(b"\0", b"\0") == [b"a", b"b"]
    assert (recovered.members, recovered.hard) == ({"state@m1": True}, HardState(1, "", 2))
    assert disk.read("format") == b"kubus-state 2\n"
    core = core_of(recovered, "state@m1")
    core.propose(put(b"c"))
    work(core, storage)
    again = Storage(disk, SEGMENT_BYTES, "state@m1").recover()
    assert again.machine.store.keys_in(b"\0", b"\0") == [b"a", b"b", b"c"]
    assert again.hard.term == 2


def received(disk, index, term):
    """Put a snapshot where one that came from the leader is put."""
    core = write(Storage(SimulatedDisk(1), SEGMENT_BYTES), index - 1)
    taken = image.capture(core.machine, term, {"a": True, "b": True}, "c")
    writer = snapshot.Writer(disk, snapshot.INCOMING)
    for chunk in taken.chunks():
        writer.write(chunk)
    return writer.finish()


@pytest.mark.parametrize("crash_after", [*range(16), None])
@pytest.mark.parametrize("last", [5, 40])
def test_a_snapshot_of_the_leader_takes_the_place_of_everything(last, crash_after):
    disk = SimulatedDisk(3)
    storage = Storage(disk, SEGMENT_BYTES, "a", Group.founded("c", ["a", "b", "c"]))
    storage.recover()
    storage.append(entries(1, *range(1, last + 1)), HardState(1, "a", 3))
    size_bytes = received(disk, 20, 4)
    disk.crash_after = crash_after
    with contextlib.suppress(Crashed):
        storage.adopt(20, size_bytes)
        storage.append([], HardState(4, "", 20))
        assert crash_after is None or disk.crash_after >= 0
    disk.restart()
    recovered = Storage(disk, SEGMENT_BYTES, "a").recover()
    if recovered.snapshot_index == 0:
        assert (crash_after is not None, recovered.entries.last_index, recovered.hard) == (
            True, last, HardState(1, "a", 3)
        )  # fmt: skip
        return
    assert (recovered.machine.applied, recovered.entries.last_index, recovered.entries.last_term) == (20, 20, 4)
    assert recovered.members == {"a": True, "b": True}
    assert recovered.hard.term in (1, 4)

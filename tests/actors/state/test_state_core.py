"""The core's batches, and when history is compacted: no loop, no disk."""

from random import Random

import msgspec
import pytest

from actors.state import answers, image
from actors.state import core as core_module
from actors.state.commands import GrantCommand, TxnCommand, decode
from actors.state.compactor import CROWDED_BYTES, FULL_BYTES, Compactor
from actors.state.core import Core
from actors.state.machine import Machine
from actors.state.messages import MAX_REQUEST_BYTES, Compare, Put, Txn
from actors.state.raft import node as node_module
from actors.state.raft.entries import Entries
from actors.state.raft.node import Node
from actors.state.raft.records import Append, HardState
from bus.errors import Overloaded, RemoteError
from tests.actors.state.alone import new_core, work


def put(key, size_bytes=0):
    return TxnCommand(Txn([], [Put(key, bytes(size_bytes))]))


def test_nothing_is_applied_before_it_is_persisted():
    core = new_core()
    assert core.ready() is None
    index, term = core.propose(put(b"k"))
    ready = core.ready()
    assert [(entry.index, entry.term, decode(entry.data)) for entry in ready.entries] == [(2, 1, put(b"k"))]
    assert (core.machine.applied, core.pending, core.ready()) == (1, 1, None)
    core.persisted(ready)
    (applied,) = core.apply(core.ready().committed)
    assert (applied.index, applied.term) == (index, term) == (2, 1)
    assert (applied.outcome.revision, [kv.key for kv in applied.outcome.changes]) == (2, [b"k"])
    assert (core.machine.applied, core.pending) == (2, 0)


def test_what_is_proposed_while_a_batch_is_written_goes_into_the_next():
    core = new_core()
    core.propose(put(b"a"))
    first = core.ready()
    core.propose(put(b"b"))
    core.propose(put(b"c"))
    assert core.ready() is None
    core.persisted(first)
    second = core.ready()
    assert [entry.index for entry in second.committed] == [2]
    assert [entry.index for entry in second.entries] == [3, 4]


def test_a_batch_is_bounded_and_the_rest_follows(monkeypatch):
    monkeypatch.setattr(node_module, "PERSIST_BYTES", 1000)
    core = new_core()
    for number in range(10):
        core.propose(put(b"%d" % number, 300))
    core.propose(put(b"large", 5000))
    sizes = []
    while (ready := core.ready()) is not None:
        if ready.must_persist:
            sizes.append(len(ready.entries))
            core.persisted(ready)
        list(core.apply(ready.committed))
    assert sizes == [3, 3, 3, 1, 1]


def test_too_much_at_once_is_refused(monkeypatch):
    core = new_core()
    with pytest.raises(RemoteError) as refused:
        core.propose(put(b"k", MAX_REQUEST_BYTES))
    assert refused.value.kind == "request_too_large"
    monkeypatch.setattr(node_module, "UNCOMMITTED_BYTES", 2000)
    core.propose(put(b"a", 1500))
    with pytest.raises(Overloaded) as overloaded:
        core.propose(put(b"b", 1500))
    assert overloaded.value.retry_after_ms > 0
    work(core)
    core.propose(put(b"b", 1500))


def test_what_the_disk_refused_has_not_happened():
    core = new_core()
    core.propose(put(b"a"))
    ready = core.ready()
    core.propose(put(b"b"))
    core.abandon(ready)
    assert (core.pending, core.ready()) == (0, None)
    assert core.propose(put(b"c")) == (2, 1)
    work(core)
    assert core.machine.store.keys_in(b"\0", b"\0") == [b"c"]


def test_who_does_not_lead_refuses_and_says_who_does():
    core = Core(Machine(), Node("a", {"a": True, "b": True}, Entries(), HardState(0, "", 0), randomness=Random(0)))
    with pytest.raises(RemoteError) as refused:
        core.propose(put(b"k"))
    assert (refused.value.kind, refused.value.detail) == ("not_leader", {"leader": ""})
    core.step("b", Append(1, 0, 0, [], 0))
    with pytest.raises(RemoteError) as refused:
        core.propose(put(b"k"))
    assert refused.value.detail == {"leader": "b"}


def test_little_of_what_is_applied_stays_in_memory(monkeypatch):
    monkeypatch.setattr(core_module, "TRIM_BYTES", 10_000)
    core = new_core()
    for number in range(200):
        core.propose(put(b"%d" % number, 1000))
        work(core)
    assert core.node.log.last_index - core.node.log.offset < 20
    assert core.node.log.applied == 201


def repeat(core, command):
    core.propose(command)
    (applied,) = work(core)
    return applied.outcome


def test_a_repeated_command_is_answered_and_not_done_again():
    core = new_core()
    create = TxnCommand(Txn([Compare(b"k", "mod", "=", 0)], [Put(b"k", b"1")]), "id-1")
    first, again = repeat(core, create), repeat(core, create)
    assert (again.result, again.revision, again.changes) == (first.result, first.revision, [])
    assert not repeat(core, msgspec.structs.replace(create, id="id-2")).result.succeeded
    grant = GrantCommand(7, 60, "id-3")
    assert (repeat(core, grant).result, repeat(core, grant).result) == (None, None)
    assert repeat(core, GrantCommand(7, 60, "id-4")).result.kind == "lease_exists"


def test_a_repeat_too_old_to_tell_is_refused(monkeypatch):
    monkeypatch.setattr(answers, "MAX_ANSWERS", 3)
    core = new_core()
    commands = [TxnCommand(Txn([], [Put(b"k", b"%d" % number)]), f"id-{number}") for number in range(5)]
    for command in commands:
        repeat(core, command)
    late = msgspec.structs.replace(commands[0], repeats_since=1)
    assert repeat(core, late).result.kind == "unknown_outcome"
    assert repeat(core, msgspec.structs.replace(commands[4], repeats_since=1)).revision == 6
    fresh = msgspec.structs.replace(commands[0], id="id-new", repeats_since=5)
    assert repeat(core, fresh).revision == 7
    restored = image.restore(list(core.capture("").chunks())).machine
    assert restored.answers.all() == core.machine.answers.all()
    assert restored.answers.forgotten_revision == core.machine.answers.forgotten_revision


def test_history_is_compacted_to_where_it_was_an_interval_ago():
    compactor = Compactor(300, now_s=0.0, revision=10)
    wanted = {}
    compact_revision = 0
    for second in range(1, 1000):
        target = compactor.tick(float(second), 10 + second, compact_revision, 0)
        if target is not None:
            wanted[second] = compact_revision = target
    assert wanted == {300: 10, 600: 310, 900: 610}


def test_an_idle_store_is_not_compacted_again():
    compactor = Compactor(10, now_s=0.0, revision=5)
    assert [compactor.tick(float(second), 5, 5, 0) for second in range(1, 50)] == [None] * 49


def test_too_much_history_is_cut_shorter():
    compactor = Compactor(300, now_s=0.0, revision=1)
    for second in range(1, 100):
        assert compactor.tick(float(second), second, 0, 0) is None
    assert compactor.tick(100.0, 100, 0, CROWDED_BYTES + 1) == 70
    assert compactor.tick(101.0, 101, 70, FULL_BYTES + 1) == 101

"""The core's batches, and when history is compacted: no loop, no disk."""

import pytest

from actors.state import core as core_module
from actors.state.commands import TxnCommand, decode
from actors.state.compactor import CROWDED_BYTES, FULL_BYTES, Compactor
from actors.state.core import Core
from actors.state.machine import Machine
from actors.state.messages import MAX_REQUEST_BYTES, Put, Txn
from bus.errors import Overloaded, RemoteError


def put(key, size_bytes=0):
    return TxnCommand(Txn([], [Put(key, bytes(size_bytes))]))


def test_nothing_is_applied_before_it_is_persisted():
    core = Core(Machine(), 1)
    assert core.ready() is None
    index = core.propose(put(b"k"))
    ready = core.ready()
    assert [(entry.index, entry.term, decode(entry.data)) for entry in ready.entries] == [(1, 1, put(b"k"))]
    assert (core.machine.applied, core.pending) == (0, 1)
    (applied,) = core.advance(ready)
    assert (applied.index, applied.outcome.revision, [kv.key for kv in applied.outcome.changes]) == (index, 2, [b"k"])
    assert (core.machine.applied, core.pending) == (1, 0)


def test_what_is_proposed_while_a_batch_is_written_goes_into_the_next():
    core = Core(Machine(), 1)
    core.propose(put(b"a"))
    first = core.ready()
    core.propose(put(b"b"))
    core.propose(put(b"c"))
    assert core.ready() is None
    core.advance(first)
    second = core.ready()
    assert [entry.index for entry in second.entries] == [2, 3]
    assert [applied.index for applied in core.advance(second)] == [2, 3]


def test_a_batch_is_bounded_and_the_rest_follows(monkeypatch):
    monkeypatch.setattr(core_module, "MAX_BATCH_BYTES", 1000)
    core = Core(Machine(), 1)
    for number in range(10):
        core.propose(put(b"%d" % number, 300))
    core.propose(put(b"large", 5000))
    sizes = []
    while (ready := core.ready()) is not None:
        sizes.append(len(ready.entries))
        core.advance(ready)
    assert sizes == [2, 2, 2, 2, 2, 1]


def test_too_much_at_once_is_refused(monkeypatch):
    core = Core(Machine(), 1)
    with pytest.raises(RemoteError) as refused:
        core.propose(put(b"k", MAX_REQUEST_BYTES))
    assert refused.value.kind == "request_too_large"
    monkeypatch.setattr(core_module, "MAX_PENDING_BYTES", 2000)
    core.propose(put(b"a", 1500))
    with pytest.raises(Overloaded) as overloaded:
        core.propose(put(b"b", 1500))
    assert overloaded.value.retry_after_ms > 0
    core.advance(core.ready())
    core.propose(put(b"b", 1500))


def test_what_the_disk_refused_has_not_happened():
    core = Core(Machine(), 1)
    core.propose(put(b"a"))
    ready = core.ready()
    core.propose(put(b"b"))
    assert core.abandon(ready) == [1, 2]
    assert (core.pending, core.ready()) == (0, None)
    assert core.propose(put(b"c")) == 1
    core.advance(core.ready())
    assert core.machine.store.keys_in(b"\0", b"\0") == [b"c"]


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

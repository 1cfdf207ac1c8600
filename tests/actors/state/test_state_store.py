"""The store against a naive model, under any sequence of commands."""

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.state import image, txn
from actors.state.commands import CompactCommand, GrantCommand, RevokeCommand, TxnCommand, decode, encode
from actors.state.machine import Machine
from actors.state.messages import Compare, DeleteRange, KeyValue, Put, Range, Txn, TxnRequest
from bus import record
from bus.errors import ProtocolViolation, RemoteError
from tests.actors.state.state_model import ModelStore, comparable

KEYS = [b"a", b"ab", b"abc", b"b", b"b\x00", b"ba", b"c", b"\xff", b"\xff\xff"]
keys = st.sampled_from(KEYS)
ends = st.sampled_from([b"", b"", b"\0", b"ac", b"b", b"c", b"d"])
values = st.sampled_from([b"", b"1", b"2", b"x" * 100])
leases = st.sampled_from([0, 0, 0, 7, 8])

puts = st.builds(Put, keys, values, leases, st.booleans())
deletes = st.builds(DeleteRange, keys, ends, st.booleans())
ranges = st.builds(
    Range, keys, ends, st.integers(0, 3), st.just(0), st.booleans(), st.booleans(),
    st.sampled_from(["key", "key", "version", "create", "mod", "value"]), st.booleans(),
)  # fmt: skip
number_compares = st.builds(
    Compare, keys, st.sampled_from(["version", "create", "mod", "lease"]), st.sampled_from(["=", "!=", "<", ">"]),
    st.integers(0, 8), ends,
)  # fmt: skip
value_compares = st.builds(Compare, keys, st.just("value"), st.sampled_from(["=", "!=", "<", ">"]), values, ends)
compares = st.lists(number_compares | value_compares, max_size=2)
leaf_operations = st.lists(puts | puts | deletes | ranges, max_size=3)
flat = st.builds(Txn, compares, leaf_operations, leaf_operations)
txns = st.recursive(
    flat,
    lambda inner: st.builds(
        Txn, compares, st.lists(puts | deletes | ranges | inner, max_size=3),
        st.lists(puts | ranges | inner, max_size=2),
    ),
    max_leaves=3,
)  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.just("txn"), txns),
        st.tuples(st.just("txn"), st.builds(Txn, st.just([]), st.lists(puts, min_size=1, max_size=1))),
        st.tuples(st.just("grant"), st.sampled_from([7, 8])),
        st.tuples(st.just("revoke"), st.sampled_from([7, 8])),
        st.tuples(st.just("compact"), st.integers(0, 3)),
        st.tuples(st.just("prune"), st.integers(1, 4)),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=25,
)


class Pair:
    """The real machine and the model, fed with the same steps."""

    def __init__(self):
        self.machine = Machine()
        self.model = ModelStore()

    def apply(self, command):
        command = decode(encode(command))  # what is applied has always been through the log's encoding
        return self.machine.apply(self.machine.applied + 1, command)

    def step(self, kind, argument):
        getattr(self, kind)(argument)
        self.check()

    def txn(self, wanted):
        try:
            txn.check(wanted)
        except RemoteError as refusal:
            assert refusal.kind == "duplicate_key"
            return
        outcome = self.apply(TxnCommand(wanted))
        if isinstance(outcome.result, RemoteError):
            assert outcome.result.kind == "lease_not_found"
            assert outcome.changes == []
            return
        before = len(self.model.changes)
        assert comparable(outcome.result) == self.model.txn(wanted)
        assert outcome.changes == [kv for _, kv in self.model.changes[before:]]

    def grant(self, lease):
        outcome = self.apply(GrantCommand(lease, 60))
        if lease in self.model.leases:
            assert outcome.result.kind == "lease_exists"
        self.model.leases[lease] = 60

    def revoke(self, lease):
        outcome = self.apply(RevokeCommand(lease))
        if lease not in self.model.leases:
            assert outcome.result.kind == "lease_not_found"
        else:
            self.model.revoke(lease)

    def compact(self, back):
        revision = self.model.revision - back
        outcome = self.apply(CompactCommand(revision))
        if revision <= self.model.compact_revision:
            assert outcome.result.kind == "compacted"
        else:
            self.model.compact_revision = revision

    def prune(self, limit):
        self.machine.store.history.prune(limit)

    def restart(self, _):
        taken = image.capture(self.machine, 1)
        self.machine = image.restore(list(taken.chunks())).machine

    def check(self):
        store, model = self.machine.store, self.model
        assert store.revision == model.revision
        assert len(store) == len(model.at[model.revision])
        assert store.live_bytes == sum(len(kv.key) + len(kv.value) for kv in model.at[model.revision].values())
        for lease in model.leases:
            attached = [kv.key for kv in model.at[model.revision].values() if kv.lease == lease]
            assert store.leases.keys(lease) == sorted(attached)

    def check_history(self):
        model = self.model
        for revision in range(max(1, model.compact_revision), model.revision + 1):
            for wanted in (
                Range(b"a", b"\0", revision=revision),
                Range(b"a", b"\0", revision=revision, limit=2, descending=True),
                Range(b"ab", b"c", revision=revision, count_only=True),
                Range(b"b", revision=revision),
                Range(b"a", b"\0", revision=revision, limit=2, sort_target="mod", descending=True, keys_only=True),
            ):
                result = self.machine.store.range(wanted)
                assert (result.kvs, result.count, result.more) == model.range(wanted), wanted
        kept = [kv for revision, kv in model.changes if revision >= model.compact_revision]
        self.machine.store.history.prune(1_000_000)
        assert self.machine.store.history.changes_since(model.compact_revision) == kept


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_store_agrees_with_the_model(sequence):
    pair = Pair()
    for kind, argument in sequence:
        pair.step(kind, argument)
    pair.check_history()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_pruning_frees_all_that_is_compacted(sequence):
    pair = Pair()
    for kind, argument in sequence:
        pair.step(kind, argument)
    for key in list(pair.machine.store.keys_in(b"\0", b"\0")):
        pair.machine.store.delete(key)
        pair.machine.store.commit()
    pair.machine.store.put(b"last", b"")
    pair.machine.store.commit()
    pair.machine.store.compact(pair.machine.store.revision)
    while pair.machine.store.history.prune(3):
        pass
    history = pair.machine.store.history
    assert (len(history), history.superseded_bytes, history._past, len(history._gone)) == (1, 0, {}, 0)


def machine_with(*txns_in_order):
    machine = Machine()
    for each in txns_in_order:
        machine.apply(machine.applied + 1, TxnCommand(each))
    return machine


def put_txn(key, value, **fields):
    return Txn([], [Put(key, value, **fields)])


def kind_of(refused):
    return refused.value.kind


def test_reading_beyond_now_and_before_compaction_is_refused():
    machine = machine_with(put_txn(b"k", b"1"), put_txn(b"k", b"2"), put_txn(b"k", b"3"))
    store = machine.store
    store.compact(3)
    with pytest.raises(RemoteError) as refused:
        store.range(Range(b"k", revision=2))
    assert (kind_of(refused), refused.value.detail) == ("compacted", {"compact_revision": 3})
    assert store.range(Range(b"k", revision=3)).kvs == [KeyValue(b"k", b"2", 2, 3, 2)]
    with pytest.raises(RemoteError) as refused:
        store.range(Range(b"k", revision=5))
    assert kind_of(refused) == "future_revision"


def test_a_refused_txn_changes_nothing():
    machine = machine_with(put_txn(b"k", b"1"))
    outcome = machine.apply(2, TxnCommand(Txn([], [Put(b"k", b"2"), DeleteRange(b"x"), Put(b"l", b"", lease=99)])))
    assert outcome.result.kind == "lease_not_found"
    outcome = machine.apply(3, TxnCommand(Txn([], [Put(b"k", b"2"), Range(b"k", revision=9)])))
    assert outcome.result.kind == "future_revision"
    assert machine.store.revision == 2
    assert machine.store.get(b"k").value == b"1"


def test_a_read_in_a_txn_sees_its_writes_unless_it_names_a_revision():
    machine = machine_with(put_txn(b"k", b"1"))
    outcome = machine.apply(2, TxnCommand(Txn([], [Put(b"k", b"2"), Range(b"k"), Range(b"k", revision=2)])))
    _, now, before = outcome.result.responses
    assert (now.kvs[0].value, before.kvs[0].value) == (b"2", b"1")


def test_compares_of_nested_txns_see_the_store_before_the_txn():
    inner = Txn([Compare(b"k", "version", "=", 0)], [Put(b"seen", b"before")], [Put(b"seen", b"after")])
    machine = machine_with(Txn([], [Put(b"k", b""), inner]))
    assert machine.store.get(b"seen").value == b"before"


@pytest.mark.parametrize(
    ("operations", "is_duplicate"),
    [
        ([Put(b"k", b""), Put(b"k", b"")], True),
        ([Put(b"k", b""), DeleteRange(b"k")], True),
        ([DeleteRange(b"a", b"z"), Put(b"k", b"")], True),
        ([Put(b"k", b""), DeleteRange(b"l", b"\0")], False),
        ([DeleteRange(b"a", b"z"), DeleteRange(b"b", b"c")], False),
        ([Put(b"k", b""), Txn([], [Put(b"k", b"")])], True),
        ([Txn([], [Put(b"k", b"")], [Put(b"k", b"")])], False),
        ([Txn([], [Put(b"k", b"")]), Txn([], [], [Put(b"k", b"")])], True),
        ([Txn([], [DeleteRange(b"k")]), Put(b"k", b"")], True),
        ([Txn([], [Put(b"k", b"1"), Put(b"k", b"2")])], True),
    ],
)
def test_a_key_is_written_once(operations, is_duplicate):
    for branches in ((operations, []), ([], operations)):
        if is_duplicate:
            with pytest.raises(RemoteError) as refused:
                txn.check(Txn([], *branches))
            assert kind_of(refused) == "duplicate_key"
        else:
            txn.check(Txn([], *branches))


def nested(depth):
    return Txn([], [nested(depth - 1)] if depth else [])


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (Txn([], [Put(b"%d" % number, b"") for number in range(129)]), "too_many_operations"),
        (Txn([], [], [Put(b"%d" % number, b"") for number in range(129)]), "too_many_operations"),
        (Txn([Compare(b"k", "mod", "=", 0)] * 129, []), "too_many_operations"),
        (nested(129), "too_many_operations"),
        (Txn([], [Put(b"", b"")]), "invalid"),
        (Txn([], [Txn([], [DeleteRange(b"")])]), "invalid"),
        (Txn([Compare(b"", "mod", "=", 0)], []), "invalid"),
        (Txn([Compare(b"k", "color", "=", 0)], []), "invalid"),
        (Txn([Compare(b"k", "mod", "~", 0)], []), "invalid"),
        (Txn([Compare(b"k", "mod", "=", b"")], []), "invalid"),
        (Txn([Compare(b"k", "value", "=", 1)], []), "invalid"),
        (Txn([], [Range(b"k", sort_target="color")]), "invalid"),
        (Txn([], [Range(b"k", limit=-1)]), "invalid"),
    ],
)
def test_what_no_store_can_run_is_refused(wanted, kind):
    with pytest.raises(RemoteError) as refused:
        txn.check(wanted)
    assert kind_of(refused) == kind


def test_128_operations_are_allowed():
    txn.check(Txn([], [Put(b"%d" % number, b"") for number in range(128)]))
    txn.check(nested(127))


def test_a_request_nested_without_end_is_refused_at_the_edge():
    depth = 100_000
    body = b"\x91" + b"\x94\xa3txn\x90\x91" * depth + b"\x94\xa3txn\x90\x90\x90" + b"\x90" * depth
    with pytest.raises(ProtocolViolation):
        record.decode(body, TxnRequest)


def test_only_reads_need_no_log():
    assert txn.is_read_only(Txn([Compare(b"k", "mod", "=", 0)], [Range(b"k"), Txn([], [Range(b"l")])]))
    assert not txn.is_read_only(Txn([], [], [Txn([], [DeleteRange(b"l")])]))


def test_an_image_that_is_not_whole_is_refused():
    machine = machine_with(*(put_txn(b"%d" % number, b"") for number in range(10)))
    chunks = list(image.capture(machine, 3).chunks())
    found = image.restore(chunks)
    restored, term = found.machine, found.term
    assert (term, restored.applied, len(restored.store)) == (3, 10, 10)
    for broken in (chunks[:-1], chunks[1:], [chunks[0], *chunks], [b"\xc1"], []):
        with pytest.raises(image.BadImage):
            image.restore(broken)


def calls_of(work):
    """Return how many calls, of functions in C too, something takes: its cost, on a machine however busy."""
    count = 0

    def counted(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_a_put_costs_the_same_however_much_history_there_is():
    machine = Machine()
    wanted = Txn([Compare(b"hot", "mod", ">", 0)], [Put(b"hot", b"x" * 100)], [Range(b"hot")])

    def put():
        machine.apply(machine.applied + 1, TxnCommand(wanted))

    machine.apply(1, TxnCommand(Txn([], [Put(b"hot", b"")])))
    put()
    first = min(calls_of(put) for _ in range(5))
    for _ in range(5_000):
        put()
    assert min(calls_of(put) for _ in range(5)) <= first

"""Watches: every change once and in order, whatever is written, compacted and read when."""

import asyncio
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.state import image, service, watch
from actors.state.machine import Machine
from actors.state.messages import KeyValue
from actors.state.store import Store, bounds_of, within
from actors.state.watch import WatchHub
from actors.state.watch_index import WatchIndex, prefix_end
from bus.errors import RemoteError

KEYS = [b"a", b"ab", b"abc", b"b", b"c"]
RANGES = [(b"a", b""), (b"c", b""), (b"a", b"b"), (b"ab", b"ac"), (b"ab", b"c"), (b"b", b"\0"), (b"\0", b"\0")]


class World:
    """A store with watchers, and what each of them should and did see."""

    def __init__(self):
        self.store = Store()
        self.hub = WatchHub(self.store)
        self.changes = []  # all that ever happened
        self.readers = []

    def write(self, keys, delete):
        """Change several keys under one revision."""
        for key in dict.fromkeys(keys):
            if delete and self.store.get(key) is not None:
                self.store.delete(key)
            else:
                self.store.put(key, b"%d" % len(self.changes))
        changes = self.store.commit()
        self.changes += changes
        self.hub.publish(self.store.revision, changes)

    def compact(self, back):
        revision = self.store.revision - back
        if revision > self.store.compact_revision:
            self.store.compact(revision)
        self.store.history.prune(2)

    def open(self, place, start_back, prev_kv):
        start = max(0, self.store.revision + 1 - start_back) if start_back is not None else 0
        key, range_end = RANGES[place]
        try:
            self.readers.append(Reader(self, key, range_end, start, prev_kv))
        except RemoteError as refusal:
            assert refusal.kind == "compacted" and 0 < start < self.store.compact_revision


class Reader:
    """Takes batches and checks each of them."""

    def __init__(self, world, key, range_end, start, prev_kv):
        self.world = world
        self.key, self.range_end = key, range_end
        self.watcher = world.hub.watch(key, range_end, start, prev_kv)
        self.seen_revision = (start or world.store.revision + 1) - 1
        self.is_over = False
        self.was_woken = False
        self.watcher.wake = self.wake

    def wake(self):
        self.was_woken = True

    def concerns(self, key):
        return within(key, bounds_of(self.key, self.range_end)) if self.range_end else key == self.key

    def owed(self, revision):
        return [
            kv
            for kv in self.world.changes
            if self.seen_revision < kv.mod_revision <= revision and self.concerns(kv.key)
        ]

    def take(self):
        if self.is_over:
            return False
        try:
            batch = self.watcher.take()
        except RemoteError as refusal:
            assert refusal.kind == "compacted"
            assert self.seen_revision + 1 < self.world.store.compact_revision
            self.is_over = True
            return False
        if batch is None:
            assert self.owed(self.world.store.revision) == [], "there was something to take"
            assert self.watcher.progress().revision == self.world.store.revision
            return False
        assert batch.revision > self.seen_revision
        assert [event.kv for event in batch.events] == self.owed(batch.revision)
        for event in batch.events:
            self.check(event)
        self.seen_revision = batch.revision
        return True

    def check(self, event):
        assert event.deleted == (event.kv.version == 0)
        earlier = [
            kv for kv in self.world.changes if kv.key == event.kv.key and kv.mod_revision < event.kv.mod_revision
        ]
        if self.watcher.prev_kv and event.prev_kv is not None:
            assert event.prev_kv == earlier[-1]
        elif self.watcher.prev_kv and event.kv.mod_revision > self.world.store.compact_revision:
            assert not earlier or earlier[-1].version == 0
        else:
            assert event.prev_kv is None

    def drain(self):
        while self.take():
            pass


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=4), st.booleans()),
        st.tuples(st.just("write"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=1), st.booleans()),
        st.tuples(
            st.just("open"), st.integers(0, len(RANGES) - 1), st.none() | st.integers(-2, 12), st.booleans()
        ),
        st.tuples(st.just("compact"), st.integers(0, 8)),
        st.tuples(st.just("take"), st.integers(0, 5)),
        st.tuples(st.just("drain"), st.integers(0, 5)),
    ),
    max_size=60,
)  # fmt: skip


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(watch, "MAX_QUEUED_EVENTS", 3)
    monkeypatch.setattr(watch, "MAX_BATCH_EVENTS", 2)
    monkeypatch.setattr(watch, "SCAN_CHANGES", 4)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_every_change_once_and_in_order(small_limits, sequence):
    world = World()
    for kind, *arguments in sequence:
        if kind in ("take", "drain"):
            if arguments[0] < len(world.readers):
                getattr(world.readers[arguments[0]], kind)()
        else:
            getattr(world, kind)(*arguments)
    for reader in world.readers:
        reader.drain()
        world.hub.cancel(reader.watcher)
    assert len(world.hub) == 0


def put(world, key, value=b"v"):
    world.store.put(key, value)
    changes = world.store.commit()
    world.changes += changes
    world.hub.publish(world.store.revision, changes)


def test_a_watcher_is_woken_once_for_what_it_has_not_taken():
    world = World()
    woken = []
    watcher = world.hub.watch(b"k")
    watcher.wake = lambda: woken.append(world.store.revision)
    put(world, b"other")
    put(world, b"k")
    put(world, b"k")
    assert woken == [3]
    assert [event.kv.mod_revision for event in watcher.take().events] == [3, 4]
    assert watcher.take() is None
    put(world, b"k")
    assert woken == [3, 5]


def test_a_slow_watcher_holds_on_to_little_and_reads_the_rest_from_history():
    world = World()
    watcher = world.hub.watch(b"k", prefix_end(b"k"))
    for number in range(10 * watch.MAX_QUEUED_EVENTS):
        put(world, b"k%d" % (number % 7), b"%d" % number)
    assert watcher._queued_events == 0 and not watcher._queue
    values = []
    while (batch := watcher.take()) is not None:
        assert len(batch.events) <= watch.MAX_BATCH_EVENTS
        values += [int(event.kv.value) for event in batch.events]
    assert values == list(range(10 * watch.MAX_QUEUED_EVENTS))


def test_a_slow_watcher_of_large_values_is_bounded_by_bytes():
    world = World()
    watcher = world.hub.watch(b"k")
    for _ in range(5):
        put(world, b"k", bytes(watch.MAX_QUEUED_BYTES // 2))
        assert watcher._queued_bytes <= watch.MAX_QUEUED_BYTES
    sizes = []
    while (batch := watcher.take()) is not None:
        sizes.append(len(batch.events))
    assert sum(sizes) == 5 and max(sizes) <= 2


def test_a_watch_of_what_is_gone_says_so():
    world = World()
    for _ in range(5):
        put(world, b"k")
    world.store.compact(4)
    with pytest.raises(RemoteError) as refused:
        world.hub.watch(b"k", start_revision=3)
    assert (refused.value.kind, refused.value.detail) == ("compacted", {"compact_revision": 4})
    watcher = world.hub.watch(b"k", start_revision=4)
    assert [event.kv.mod_revision for event in watcher.take().events] == [4, 5, 6]


@pytest.mark.parametrize("range_end", [b"", b"l"])
@pytest.mark.parametrize("is_restored", [False, True])
def test_a_deletion_at_the_compaction_revision_can_still_be_watched(range_end, is_restored):
    world = World()
    put(world, b"k")
    world.write([b"k"], delete=True)
    put(world, b"other")
    world.store.compact(3)
    world.store.history.prune(100)
    if is_restored:
        machine = image.restore(list(image.capture(Machine(world.store), 1).chunks())).machine
        world.hub = WatchHub(machine.store)
    watcher = world.hub.watch(b"k", range_end, start_revision=3)
    assert [(event.kv.mod_revision, event.deleted) for event in watcher.take().events] == [(3, True)]
    world.store.compact(4)
    world.store.history.prune(100)
    assert world.store.history._past == {}


def test_a_watch_may_begin_in_the_future():
    world = World()
    watcher = world.hub.watch(b"k", start_revision=4)
    for _ in range(4):
        put(world, b"k")
    assert [event.kv.mod_revision for event in watcher.take().events] == [4, 5]


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff", b"\0"), (b"\xff\xff", b"\0"), (b"a/", b"a0")]
)
def test_prefix_end(prefix, end):
    assert prefix_end(prefix) == end


some_keys = st.binary(min_size=1, max_size=3)
places = st.lists(st.tuples(some_keys, st.just(b"") | st.just(b"\0") | some_keys), max_size=30)


@settings(deadline=None)
@given(places, st.lists(some_keys, min_size=1, max_size=10), st.data())
def test_the_index_finds_what_a_scan_finds(added, looked_up, data):
    index = WatchIndex()
    members = dict(enumerate(added))
    for member, (key, range_end) in members.items():
        index.add(key, range_end, member)
    for key in looked_up:
        if members and data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(members)))
            index.remove(*members.pop(gone), gone)
        expected = [
            member
            for member, (start, end) in members.items()
            if (within(key, bounds_of(start, end)) if end else key == start)
        ]
        assert sorted(index.matching(key)) == expected


def test_a_put_among_many_watches_looks_at_few(monkeypatch):
    world = World()
    for number in range(10_000):
        world.hub.watch(b"/key/%d" % number)
        world.hub.watch(b"/range/%05d" % number, b"/range/%05d" % (number + 2))
    asked = []
    monkeypatch.setattr(watch.Watcher, "push", lambda watcher, revision, events, size: asked.append(watcher.key))
    world.hub.publish(2, [KeyValue(b"/key/77", b"", 2, 2, 1), KeyValue(b"/range/00500", b"", 2, 2, 1)])
    assert sorted(asked) == [b"/key/77", b"/range/00499", b"/range/00500"]
    index = world.hub._index
    assert len(index._tree._greatest) == 10_000
    visited = []
    original = index._tree._intervals

    class Counting(list):
        def __getitem__(self, position):
            visited.append(position)
            return list.__getitem__(self, position)

    index._tree._intervals = Counting(original)
    assert len(list(index.matching(b"/range/00500"))) == 2
    assert len(visited) < 40


def test_what_comes_together_with_the_end_of_a_wait_is_not_missed():
    """A member that was stopped finds both when it goes on; it used to end over it."""

    async def scenario():
        loop, awake = asyncio.get_running_loop(), asyncio.Event()
        waiting = loop.create_task(service._happens(awake, 0.005))
        await asyncio.sleep(0)
        loop.call_later(0.006, awake.set)
        time.sleep(0.02)  # noqa: ASYNC251 - the loop stands still, as under SIGSTOP
        return await waiting

    assert asyncio.run(scenario()) is True

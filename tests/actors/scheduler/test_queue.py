"""The scheduling queue: order, backoff, and what brings an unschedulable pod back."""

from actors.scheduler.cluster_events import NODE_ADDED, POD_DELETED
from actors.scheduler.queue import (
    INITIAL_BACKOFF_S,
    MAX_BACKOFF_S,
    UNSCHEDULABLE_FLUSH_S,
    SchedulingQueue,
    State,
    backoff_s,
)

EVENTS = {"Fit": frozenset({NODE_ADDED, POD_DELETED}), "Affinity": frozenset({NODE_ADDED})}


def make() -> SchedulingQueue:
    return SchedulingQueue(EVENTS)


def pop_all(queue: SchedulingQueue, now_s: float) -> list[str]:
    popped = []
    while (key := queue.pop(now_s)) is not None:
        popped.append(key)
    return popped


def test_higher_priority_first_then_first_come_first_served():
    queue = make()
    for at_s, (key, priority) in enumerate([("low", 0), ("high", 10), ("also-low", 0), ("also-high", 10)]):
        queue.add(key, priority, float(at_s))
    assert pop_all(queue, 9.0) == ["high", "also-high", "low", "also-low"]


def test_a_removed_pod_is_never_popped():
    queue = make()
    queue.add("a", 0, 0.0)
    queue.add("b", 0, 0.0)
    queue.remove("a")
    assert pop_all(queue, 0.0) == ["b"]
    assert "a" not in queue


def test_backoff_doubles_and_is_capped():
    assert [backoff_s(n) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert backoff_s(5) == MAX_BACKOFF_S == backoff_s(10_000)


def test_a_failed_binding_waits_out_its_backoff():
    queue = make()
    queue.add("a", 0, 0.0)
    assert queue.pop(0.0) == "a"
    queue.retry("a", 0.0)
    assert queue.state("a") is State.BACKOFF
    assert queue.pop(INITIAL_BACKOFF_S - 0.01) is None
    assert queue.next_wake_s() == INITIAL_BACKOFF_S
    assert queue.pop(INITIAL_BACKOFF_S) == "a"


def test_only_an_event_that_helps_brings_an_unschedulable_pod_back():
    queue = make()
    for key, plugin in (("fit", "Fit"), ("affinity", "Affinity")):
        queue.add(key, 0, 0.0)
        assert queue.pop(0.0) == key
        queue.unschedulable(key, frozenset({plugin}), 0.0)
    assert queue.move(POD_DELETED, 60.0) == 1
    assert pop_all(queue, 60.0) == ["fit"]
    assert queue.state("affinity") is State.UNSCHEDULABLE
    assert queue.move(NODE_ADDED, 61.0) == 1
    assert pop_all(queue, 61.0) == ["affinity"]


def test_an_event_during_the_backoff_does_not_shorten_it():
    queue = make()
    queue.add("a", 0, 0.0)
    queue.pop(0.0)
    queue.unschedulable("a", frozenset({"Fit"}), 0.0)
    queue.move(NODE_ADDED, 0.5)
    assert queue.state("a") is State.BACKOFF
    assert queue.pop(0.9) is None
    assert queue.pop(1.0) == "a"


def test_an_unschedulable_pod_is_flushed_in_the_end_even_if_its_event_was_lost():
    queue = make()
    queue.add("a", 0, 0.0)
    queue.pop(0.0)
    queue.unschedulable("a", frozenset({"Fit"}), 0.0)
    assert queue.pop(UNSCHEDULABLE_FLUSH_S - 1) is None
    assert queue.next_wake_s() == UNSCHEDULABLE_FLUSH_S
    assert queue.pop(UNSCHEDULABLE_FLUSH_S) == "a"


def test_a_gated_pod_waits_for_its_spec():
    queue = make()
    queue.add("a", 0, 0.0, gated=True)
    assert queue.pop(1e6) is None
    assert queue.next_wake_s() is None
    queue.add("a", 0, 1e6)
    assert queue.pop(1e6) == "a"


def test_a_changed_spec_is_tried_at_once():
    queue = make()
    queue.add("a", 0, 0.0)
    queue.pop(0.0)
    queue.unschedulable("a", frozenset({"Affinity"}), 0.0)
    queue.add("a", 0, 0.1)
    assert pop_all(queue, 0.1) == ["a"]
    assert queue.move(NODE_ADDED, 5.0) == 0


def test_a_pod_removed_while_in_flight_is_not_handed_back():
    queue = make()
    queue.add("a", 0, 0.0)
    queue.pop(0.0)
    queue.remove("a")
    queue.retry("a", 0.0)
    queue.unschedulable("a", frozenset({"Fit"}), 0.0)
    assert queue.pop(1e6) is None
    assert sum(queue.counts().values()) == 0

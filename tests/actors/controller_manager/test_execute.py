"""The executor and the shell against the in-memory world, without faults but those that a test asks for."""

import asyncio
import random
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry

from actors.api import errors
from actors.api.config import ClusterConfig
from actors.api.election import NotLeader
from actors.controller_manager.actions import (
    Batch,
    Confirm,
    ConfirmAbsent,
    Create,
    Delete,
    Emit,
    Patch,
    RequeueAfter,
    Update,
)
from actors.controller_manager.controller import Controller, Surroundings
from actors.controller_manager.execute import Executor
from actors.controller_manager.expectations import UNKNOWN_OUTCOME_TIMEOUT_S, Expectations
from actors.controller_manager.measures import Measures
from bus import DeadlineExceeded
from runtime.clock import ManualClock, SystemClock

from .objects import pod
from .simulation import Recorded, SimulatedCaches
from .world import Faults, World

KEY = "default/web"


class Bench:
    """An executor with a cache of Pods that shows what `shown` holds."""

    def __init__(self):
        self.clock = ManualClock()
        self.world = World(self.clock, Faults(random.Random(0)))
        self.recorder = Recorded()
        self.expectations = Expectations()
        self.shown = {}
        self.leads = True
        self.executor = Executor(
            self.world,
            self.recorder,
            self.fence,
            self.clock,
            structlog.get_logger(),
            self.expectations,
            {"pods"},
            lambda resource, key: self.shown.get(key),
            random.Random(1),
        )

    def fence(self):
        if not self.leads:
            raise NotLeader("test")

    def run(self, *actions):
        return asyncio.run(self.executor.run(KEY, actions))

    @property
    def awaited(self):
        return self.expectations.pending(KEY, self.clock.monotonic())


@pytest.fixture
def bench():
    return Bench()


def new_pod(**more):
    return {"metadata": {"generateName": "web-", "namespace": "default", **more}, "spec": {}}


def raising(error):
    async def fail(*args, **more):
        raise error

    return fail


def test_a_creation_gets_its_name_here_and_is_awaited(bench):
    done = Emit(pod("web"), "Normal", "SuccessfulCreate", "Created pod: {name}")
    outcome = bench.run(Create("pods", new_pod(), done=done))
    (made,) = bench.world.all("pods")
    name = made["metadata"]["name"]
    assert name.startswith("web-")
    assert len(name) == len("web-") + 5
    assert bench.recorder.events == [("web", "SuccessfulCreate", f"Created pod: {name}")]
    assert (outcome.retry, outcome.failure) == (False, None)
    assert bench.awaited > 0
    assert bench.expectations.observe("pods", f"default/{name}", made) == {KEY}


def test_a_long_prefix_leaves_room_for_the_suffix(bench):
    bench.run(Create("pods", new_pod(generateName="x" * 80)))
    (made,) = bench.world.all("pods")
    assert len(made["metadata"]["name"]) == 63


def test_what_follows_a_refused_write_does_not_happen(bench):
    bench.world.create = raising(errors.forbidden("pods", "web", "exceeded quota"))
    failed = Emit(pod("web"), "Warning", "FailedCreate", "Error creating: {error}")
    outcome = bench.run(Create("pods", new_pod(), failed=failed), Emit(pod("web"), "Normal", "Never", ""))
    assert outcome.retry
    assert (outcome.failure.verb, outcome.failure.reason) == ("create", "Forbidden")
    assert [reason for _, reason, _ in bench.recorder.events] == ["FailedCreate"]
    assert "exceeded quota" in bench.recorder.events[0][2]
    assert bench.awaited == 0


def test_a_timer_is_kept_even_then(bench):
    bench.world.create = raising(errors.forbidden("pods", "web", "no"))
    assert bench.run(Create("pods", new_pod()), RequeueAfter(9.0)).requeue_after_s == 9.0


def test_slow_start_asks_once_when_all_would_be_refused(bench):
    asked = []

    async def refuse(resource, obj, namespace=None):
        asked.append(obj)
        raise errors.forbidden("pods", "", "quota")

    bench.world.create = refuse
    outcome = bench.run(Batch(tuple(Create("pods", new_pod()) for _ in range(50)), slow_start=True))
    assert len(asked) == 1
    assert outcome.failure.reason == "Forbidden"


def test_slow_start_grows_and_ends_with_the_group_that_failed(bench):
    create, asked = bench.world.create, []

    async def refuse_the_fifth(resource, obj, namespace=None):
        asked.append(obj)
        if len(asked) == 5:
            raise errors.forbidden("pods", "", "quota")
        return await create(resource, obj, namespace)

    bench.world.create = refuse_the_fifth
    assert bench.run(Batch(tuple(Create("pods", new_pod()) for _ in range(50)), slow_start=True)).retry
    assert len(asked) == 1 + 2 + 4


def test_a_tolerant_batch_does_not_stop_what_follows(bench):
    bench.world.create = raising(errors.forbidden("pods", "", "quota"))
    outcome = bench.run(Batch((Create("pods", new_pod()),), tolerant=True), Emit(pod("web"), "Normal", "After", ""))
    assert outcome.retry
    assert ("web", "After", "") in bench.recorder.events


def test_a_conflict_is_no_failure_and_waits_for_the_cache_to_move(bench):
    made = bench.world.put("pods", new_pod(name="a"))
    stale = {**made, "metadata": {**made["metadata"], "resourceVersion": "0"}}
    bench.shown["default/a"] = stale
    outcome = bench.run(Update("pods", stale))
    assert outcome.retry
    assert outcome.failure is None
    assert 0 < bench.awaited <= UNKNOWN_OUTCOME_TIMEOUT_S
    assert bench.expectations.observe("pods", "default/a", made) == {KEY}


def test_a_write_is_awaited_by_its_revision(bench):
    made = bench.world.put("pods", new_pod(name="a"))
    bench.shown["default/a"] = made
    bench.run(Patch("pods", "default", "a", {"metadata": {"labels": {"x": "y"}}}))
    assert bench.awaited > 0
    assert bench.expectations.observe("pods", "default/a", bench.world.all("pods")[0]) == {KEY}


def test_what_is_gone_already_counts_as_deleted(bench):
    outcome = bench.run(Delete("pods", "default", "a", "uid"))
    assert (outcome.retry, outcome.failure, bench.awaited) == (False, None, 0)


def test_a_deletion_is_awaited_where_the_cache_shows_the_object(bench):
    made = bench.world.put("pods", new_pod(name="a"))
    bench.shown["default/a"] = made
    bench.run(Delete("pods", "default", "a", made["metadata"]["uid"]))
    assert bench.awaited > 0
    assert bench.expectations.observe("pods", "default/a", None) == {KEY}


def test_a_creation_without_an_answer_is_looked_out_for_a_while(bench):
    bench.world.create = raising(DeadlineExceeded("no answer"))
    outcome = bench.run(Create("pods", new_pod()))
    assert outcome.retry
    assert outcome.failure is None
    assert bench.awaited == UNKNOWN_OUTCOME_TIMEOUT_S


def test_nothing_is_repeated_for_a_namespace_that_is_terminating(bench):
    refusal = errors.forbidden("pods", "a", "because it is being terminated")
    refusal.details["causes"] = [{"reason": "NamespaceTerminating", "message": "", "field": "metadata.namespace"}]
    bench.world.create = raising(refusal)
    outcome = bench.run(Create("pods", new_pod()))
    assert (outcome.retry, outcome.failure) == (False, None)


def test_nothing_is_written_by_one_who_does_not_lead(bench):
    bench.leads = False
    with pytest.raises(NotLeader):
        bench.run(Create("pods", new_pod()))
    assert bench.world.all("pods") == []


def test_confirmations_look_past_the_cache(bench):
    made = bench.world.put("pods", new_pod(name="a"))
    uid, after = made["metadata"]["uid"], Emit(pod("web"), "Normal", "After", "")
    assert not bench.run(Confirm("pods", "default", "a", uid), after).retry
    assert bench.run(Confirm("pods", "default", "a", "another"), after).retry
    assert bench.run(Confirm("pods", "default", "gone", uid), after).retry
    assert bench.run(ConfirmAbsent("pods", "default", "a"), after).retry
    assert not bench.run(ConfirmAbsent("pods", "default", "a", "another"), after).retry
    assert not bench.run(ConfirmAbsent("pods", "default", "gone"), after).retry
    assert len(bench.recorder.events) == 3


class Echo(Controller):
    """Writes a label on each Pod; fails as told."""

    name = "echo"

    def set_up(self):
        self.pods = self.watch("pods", lambda key, old, new: (key,))
        self.troubles = []
        self.decided = []

    async def decide(self, key, failure):
        self.decided.append(key)
        if self.troubles:
            raise self.troubles.pop()
        found = self.pods.get(key)
        if found is None or (found["metadata"].get("labels") or {}).get("seen"):
            return []
        return [Patch("pods", "default", found["metadata"]["name"], {"metadata": {"labels": {"seen": "yes"}}})]


async def shell(troubles, until):
    """Run the shell with its real queue until a condition holds."""
    world = World(ManualClock(), Faults(random.Random(0)))
    caches = SimulatedCaches(world)
    around = Surroundings(
        api=world,
        caches=caches,
        clock=SystemClock(),
        log=structlog.get_logger(),
        fence=lambda: None,
        recorder_of=lambda component: Recorded(),
        config=ClusterConfig(nodes={}),
        data_dir=Path("/nonexistent"),
        measures=Measures(CollectorRegistry()),
        rng=random.Random(0),
    )
    echo = Echo(around)
    echo.troubles += troubles
    world.put("pods", new_pod(name="a"))
    caches.found["pods"].relist()
    running = asyncio.ensure_future(echo.run())
    async with asyncio.timeout(5):
        while not until(world, echo) and not running.done():
            await asyncio.sleep(0.001)
            while caches.found["pods"].behind:
                caches.found["pods"].learn()
    if running.done():
        running.result()
    running.cancel()
    await asyncio.wait((running,))
    return world, echo


def labelled(world, echo):
    return (world.all("pods")[0]["metadata"].get("labels") or {}).get("seen") == "yes"


def test_the_shell_reconciles_what_its_cache_shows():
    asyncio.run(shell([], labelled))


def test_odd_data_costs_a_key_its_turn_and_not_the_process():
    _, echo = asyncio.run(shell([KeyError("spec"), TypeError("int")], labelled))
    assert len(echo.decided) >= 3


def test_a_failed_read_is_repeated():
    asyncio.run(shell([DeadlineExceeded("slow"), errors.internal("oops")], labelled))


def test_a_broken_invariant_ends_the_controller():
    with pytest.raises(ExceptionGroup):
        asyncio.run(shell([AssertionError("impossible")], lambda world, echo: False))

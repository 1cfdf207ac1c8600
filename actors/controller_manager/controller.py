"""The shell that every control loop shares: caches, queue, reconcile, execute, and once more.

A controller says what it watches and which keys a change concerns, and decides what to do for one key. All else is
here: a key is worked on by one worker at a time; it waits while its caches are behind its own writes; a failure brings
it back with a growing delay, a timer when it is due. Decisions are made from caches that hold still: `decide` reads
them without awaiting in between.

A bug that one object's shape brings out must not take all controllers down: `decide` failing with one of `DATA_ERRORS`
costs that key its turn, loudly. Anything else ends the process.

Neighbours: `execute` carries actions out, `caches` shares informers, `term` runs all controllers of a leader.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.api.client import ApiClient
from actors.api.config import ClusterConfig
from actors.api.election import NotLeader
from actors.api.errors import DATA_ERRORS, ApiError
from actors.controller_manager.actions import Action, Failure, Object
from actors.controller_manager.caches import Caches
from actors.controller_manager.execute import Executor, Outcome, Recorder
from actors.controller_manager.expectations import Expectations
from actors.controller_manager.measures import Measures
from bus import BusError
from runtime.clock import Clock
from runtime.informer import Informer
from runtime.workqueue import WorkQueue

# Keys of one controller that are worked on at the same time. They only overlap while they wait for the API server.
WORKERS = 8

# The part of the time that a controller may decide about keys that change all the time: a ReplicaSet of a thousand Pods
# that start is not counted anew for each of them. What is quickly decided is decided at once.
DECIDING_SHARE = 0.1
QUICK_S = 0.002
LONGEST_PAUSE_S = 1.0

KeysOf = Callable[[str, Object | None, Object | None], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a controller is given to live in."""

    api: ApiClient
    caches: Caches
    clock: Clock
    log: Any
    fence: Callable[[], None]
    recorder_of: Callable[[str], Recorder]  # by component, as "replicaset-controller"
    config: ClusterConfig
    data_dir: Path
    measures: Measures
    rng: random.Random


class Controller:
    """Base of every control loop."""

    name = ""
    workers = WORKERS
    rests = False  # whether a key that takes long is then left alone for a while: where a change is one of many alike

    def __init__(self, around: Surroundings):
        self.around = around
        self.clock = around.clock
        self.caches = around.caches
        self.recorder = around.recorder_of(f"{self.name}-controller")
        self.log = around.log.bind(controller=self.name)
        self.queue = WorkQueue(around.clock)
        self.expectations = Expectations()
        self._informers: list[Informer] = []
        self._shown: dict[str, Informer] = {}
        self._failures: dict[str, Failure] = {}
        self._resting: dict[str, asyncio.TimerHandle] = {}
        self._executor = Executor(
            around.api,
            self.recorder,
            around.fence,
            around.clock,
            self.log,
            self.expectations,
            self._shown.keys(),
            self.shown,
            around.rng,
        )
        self.set_up()

    def set_up(self) -> None:
        """Say what to watch, with `watch` or `cache`."""
        raise NotImplementedError

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        """Return what to do for a key. `failure`: why the last attempt was refused."""
        raise NotImplementedError

    def cache(self, resource: str, *, field_selector: str = "") -> Informer:
        """Return the shared cache of a resource, for reading; `run` waits for it."""
        informer = self.caches.informer(resource, field_selector=field_selector)
        if informer not in self._informers:
            self._informers.append(informer)
        return informer

    def watch(self, resource: str, keys_of: KeysOf, *, field_selector: str = "") -> Informer:
        """Reconcile `keys_of(key, old, new)` when a cache changes."""
        informer = self.cache(resource, field_selector=field_selector)
        self._shown[resource] = informer

        def changed(name: str, old: Object | None, new: Object | None) -> None:
            for key in keys_of(name, old, new):
                self.queue.add(key)
            for key in self.expectations.observe(resource, name, new):
                self.queue.add(key)

        informer.on_change(changed)
        return informer

    def shown(self, resource: str, name: str) -> Object | None:
        """Return what the watched cache of a resource shows under a key."""
        informer = self._shown.get(resource)
        return informer.get(name) if informer is not None else None

    async def run(self) -> None:
        """Work until cancelled; no timer outlives that."""
        try:
            for informer in self._informers:
                await informer.synced()
            await self.begin()
            async with asyncio.TaskGroup() as group:
                for number in range(self.workers):
                    group.create_task(self._work(), name=f"{self.name} {number}")
        finally:
            self.queue.shut_down()
            for timer in self._resting.values():
                timer.cancel()

    async def begin(self) -> None:
        """Called once, when the caches are filled and before the first key is worked on."""

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            pause_s = 0.0
            try:
                pause_s = await self._reconcile(key)
            finally:
                if pause_s:
                    loop = asyncio.get_running_loop()
                    self._resting[key] = loop.call_later(pause_s, self._rested, key)
                else:
                    self.queue.done(key)

    async def _reconcile(self, key: str) -> float:
        """Work on a key; return for how many seconds it is then left alone."""
        wait_s = self.expectations.pending(key, self.clock.monotonic())
        if wait_s > 0:
            self.queue.add_after(key, wait_s)
            return 0.0
        began = decided = self.clock.monotonic()
        try:
            actions = await self.decide(key, self._failures.get(key))
            decided = self.clock.monotonic()
            outcome = await self._executor.run(key, actions)
        except NotLeader:
            self.queue.add_rate_limited(key)
            return 0.0
        except (ApiError, BusError) as error:  # of a read within `decide`
            self.log.info("could not read", key=key, error=str(error))
            outcome = Outcome(retry=True)
        except DATA_ERRORS as error:
            self.log.error("could not decide", key=key, error=repr(error), exc_info=error)
            outcome = Outcome(retry=True)
        self._settle(key, outcome)
        self.around.measures.reconciled(self.name, outcome.retry, self.clock.monotonic() - began)
        return rest_s(decided - began, len(self._resting)) if self.rests else 0.0

    def _rested(self, key: str) -> None:
        del self._resting[key]
        self.queue.done(key)

    def _settle(self, key: str, outcome: Outcome) -> None:
        if outcome.failure is not None:
            self._failures[key] = outcome.failure
        elif not outcome.retry:
            self._failures.pop(key, None)
        if outcome.retry:
            self.queue.add_rate_limited(key)
            return
        self.queue.forget(key)
        if outcome.requeue_after_s is not None:
            self.queue.add_after(key, outcome.requeue_after_s)

    def inspect(self) -> dict[str, Any]:
        return {"waiting": len(self.queue), "awaited": len(self.expectations), "refused": len(self._failures)}


def rest_s(took_s: float, others: int) -> float:
    """Return how long a key rests that took so long to decide, when so many others rest already."""
    return min(took_s / DECIDING_SHARE * (1 + others), LONGEST_PAUSE_S) if took_s > QUICK_S else 0.0

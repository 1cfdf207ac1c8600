"""Controllers of one process over late caches, one step at a time, everything from one seed.

A step is: a cache learns of one change (or of all at once, as after a relist), a controller works on one key, a
kubelet moves one Pod on, or, when there is nothing else to do, the clock jumps to the next timer. A crash throws the
controllers and their caches away; new ones list the world afresh. The controllers, their executor and their
expectations are the real ones; only the queue (whose timers are the simulation's) and the caches' sources are not.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from actors.api.config import ClusterConfig
from actors.api.meta import rfc3339
from actors.controller_manager.caches import Caches
from actors.controller_manager.controller import Controller, Surroundings
from actors.controller_manager.measures import Measures
from runtime.clock import ManualClock
from runtime.informer import Informer
from runtime.workqueue import RetryLimiter

from .world import Crash, Faults, World

Object = dict[str, Any]

KUBELET_PACE = 0.1  # chance that a Pod moves while controllers have something to do


class SimulatedInformer(Informer):
    """A real cache that learns of changes when the simulation says so."""

    def __init__(self, world: World, resource: str):
        super().__init__(None, name=resource, log=structlog.get_logger())  # type: ignore[arg-type]
        self.world = world
        self.resource = resource
        self.seen = 0

    def relist(self) -> None:
        objects = self.world.objects[self.resource]
        for key in [key for key in self.keys() if key not in objects]:
            self._set(key, None)
        for key, found in objects.items():
            self._set(key, found)
        self.seen = len(self.world.log[self.resource])
        self._synced.set()

    @property
    def behind(self) -> int:
        return len(self.world.log[self.resource]) - self.seen

    def learn(self) -> None:
        key, found = self.world.log[self.resource][self.seen]
        self.seen += 1
        self._set(key, found)


class SimulatedCaches(Caches):
    def __init__(self, world: World):
        super().__init__(None, None, world.clock)  # type: ignore[arg-type]
        self.world = world
        self.found: dict[str, SimulatedInformer] = {}

    def informer(self, resource: str, *, field_selector: str = "", metadata_only: bool = False) -> Informer:
        if resource not in self.found:
            self.found[resource] = SimulatedInformer(self.world, resource)
            if metadata_only:
                self.found[resource].relist()
        return self.found[resource]


class SimulatedQueue:
    """The work queue's promises, on the simulation's clock."""

    def __init__(self, clock: ManualClock):
        self.clock = clock
        self.ready: list[str] = []
        self.timers: dict[str, float] = {}
        self.limiter = RetryLimiter()

    def add(self, key: str) -> None:
        self.timers.pop(key, None)
        if key not in self.ready:
            self.ready.append(key)

    def add_after(self, key: str, delay_s: float) -> None:
        if key not in self.ready:
            due = self.clock.monotonic() + delay_s
            self.timers[key] = min(due, self.timers.get(key, due))

    def add_rate_limited(self, key: str) -> None:
        self.add_after(key, self.limiter.delay_s(key))

    def forget(self, key: str) -> None:
        self.limiter.forget(key)

    def fire(self) -> None:
        for key in [key for key, due in self.timers.items() if due <= self.clock.monotonic()]:
            self.add(key)

    def __len__(self) -> int:
        return len(self.ready)


class Recorded:
    """What was told to users."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def event(self, obj: Object, kind: str, reason: str, message: str) -> None:
        self.events.append((obj["metadata"]["name"], reason, message))


class Simulation:
    def __init__(self, seed: int, controllers: list[type[Controller]], **faults: float):
        self.seed = seed
        self.rng = random.Random(seed)
        self.clock = ManualClock()
        self.world = World(self.clock, Faults(self.rng, **faults))
        self.classes = controllers
        self.recorder = Recorded()
        self.crashes = 0
        self.check: Callable[[], None] = lambda: None
        self.fates: dict[str, str] = {}  # image -> "never ready"

    def start(self) -> None:
        """Begin a term, as after a crash."""
        self.caches = SimulatedCaches(self.world)
        around = Surroundings(
            api=self.world,  # type: ignore[arg-type]
            caches=self.caches,
            clock=self.clock,
            log=structlog.get_logger(),
            fence=lambda: None,
            recorder_of=lambda component: self.recorder,
            config=ClusterConfig(nodes={}),
            data_dir=Path("/nonexistent"),
            measures=Measures(CollectorRegistry()),
            rng=self.rng,
        )
        self.controllers = [controller(around) for controller in self.classes]
        for controller in self.controllers:
            controller.queue = SimulatedQueue(self.clock)  # type: ignore[assignment]
        for informer in list(self.caches.found.values()):
            informer.relist()

    async def begin(self) -> None:
        self.start()
        for controller in self.controllers:
            await controller.begin()

    def run(self, limit: int = 20_000) -> None:
        """Step until nothing is left to do. A failure names the seed and the step."""
        asyncio.run(self._run(limit))

    def run_some(self, steps: int) -> None:
        """Step that often, and stop in the middle of whatever is going on."""
        asyncio.run(self._run(self.rng.randrange(steps), unfinished=True))

    async def _run(self, limit: int, unfinished: bool = False) -> None:
        await self.begin()
        for step in range(limit):
            try:
                moved = await self._step()
                self.check()
            except Crash:
                self.crashes += 1
                await self.begin()
                continue
            except AssertionError as error:
                raise AssertionError(f"seed {self.seed}, step {step}: {error}") from error
            if not moved:
                return
        if unfinished:
            return
        raise AssertionError(f"seed {self.seed}: not converged after {limit} steps; queues {self._queues()}")

    def _queues(self) -> dict[str, Any]:
        return {found.name: (found.queue.ready, found.queue.timers) for found in self.controllers}  # type: ignore[attr-defined]

    async def _step(self) -> bool:
        choices: list[Callable[[], Any]] = []
        for informer in self.caches.found.values():
            if informer.behind:
                choices += [informer.learn] * 2
                if self.rng.random() < 0.05:
                    choices.append(informer.relist)
        for controller in self.controllers:
            choices += [lambda c=controller, k=key: self._work(c, k) for key in controller.queue.ready]  # type: ignore
        moves = [lambda p=pod: self.move(p) for pod in self.world.all("pods") if self._may_move(pod)]
        if moves and (not choices or self.rng.random() < KUBELET_PACE):
            choices = moves
        if not choices:
            return self._jump()
        result = self.rng.choice(choices)()
        if result is not None:
            await result
        return True

    async def _work(self, controller: Controller, key: str) -> None:
        controller.queue.ready.remove(key)  # type: ignore[attr-defined]
        await controller._reconcile(key)

    def _jump(self) -> bool:
        """Nothing happens until the next timer."""
        timers = [due for found in self.controllers for due in found.queue.timers.values()]  # type: ignore[attr-defined]
        if not timers:
            return False
        self.clock.advance(max(min(timers) - self.clock.monotonic(), 0.0))
        for controller in self.controllers:
            controller.queue.fire()  # type: ignore[attr-defined]
        return True

    # Scheduler and kubelet.

    def _may_move(self, pod: Object) -> bool:
        if "deletionTimestamp" in pod["metadata"] or not pod["spec"].get("nodeName"):
            return True
        conditions = (pod.get("status") or {}).get("conditions")
        return not conditions and self.fates.get(pod["spec"]["containers"][0]["image"]) != "never ready"

    def move(self, pod: Object) -> None:
        key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if "deletionTimestamp" in pod["metadata"]:
            if not pod["metadata"].get("finalizers"):
                self.world._drop("pods", pod)
        elif not pod["spec"].get("nodeName"):
            self.world.edit("pods", key, {"spec": {"nodeName": f"w{self.rng.randrange(3)}"}})
        else:
            address = f"10.244.0.{self.world.revision % 250}"
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(self.clock.wall())}
            status = {"phase": "Running", "podIP": address, "conditions": [ready]}
            self.world.edit("pods", key, {"status": status}, "status")

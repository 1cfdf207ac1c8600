"""The scheduler: gives each new pod a node.

Watches nodes, pods, namespaces and volumes; while it leads, it decides in `core` and writes Bindings, many in flight at
once. Every scheduler of the cluster keeps its arrays warm, so that a new leader decides at once.

Sends to: the API server (Bindings, PodScheduled conditions, Events, the Lease kube-system/kube-scheduler).
Receives: nothing but control. Crashes when an invariant breaks; all it knows is read again from the API server.
An unanswered binding is looked up before the pod is tried again, so a crash or a lost answer binds no pod twice.
"""

import asyncio
import functools
import random
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from actors.api.client import ApiClient
from actors.api.config import of_settings
from actors.api.election import LeaderElector, NotLeader
from actors.api.errors import ApiError
from actors.api.events import EventRecorder, Outbox
from actors.scheduler.binding import BindingRefused, bind, condition_patch
from actors.scheduler.core import SCHEDULER_NAME, Bind, NotScheduled, SchedulerCore
from bus import BusError
from runtime.actor import Actor, Setup
from runtime.informer import Informer

LEASE = "kube-scheduler"
MAX_IN_FLIGHT = 128  # bindings without an answer; with more, all other requests wait longer at the API server
BATCH = 64  # decisions before the loop may read again: some 3 ms
MAX_REPORTS_IN_FLIGHT = 32  # conditions being written; more wait, bindings do not
LIVE_PODS = "status.phase!=Succeeded,status.phase!=Failed"  # ended pods hold nothing

Object = dict[str, Any]


class SchedulerActor(Actor):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.api = ApiClient.of_node(self.client, setup.directory, setup.node)
        self.core = SchedulerCore(seed=setup.settings.get("seed", random.SystemRandom().getrandbits(63)))
        self.outbox = Outbox(self.api, self.clock)
        self.recorder = EventRecorder(self.outbox, SCHEDULER_NAME, setup.node, self.clock)
        controllers = of_settings(setup.settings).controllers
        self.elector = LeaderElector(
            self.api,
            LEASE,
            self.name,  # without the pid: one process of a name lives at a time, the next one leads on at once
            self.clock,
            self.log,
            lease_duration_s=controllers.lease_duration_s,
            renew_deadline_s=controllers.renew_deadline_s,
            retry_period_s=controllers.retry_period_s,
        )
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._reports = asyncio.Semaphore(MAX_REPORTS_IN_FLIGHT)
        self._in_flight = 0
        self._informers = self._make_informers()
        self._make_metrics()

    async def start(self) -> None:
        for informer in self._informers:
            self.spawn(informer.run(), f"informer {informer.name}")
        self.spawn(self.elector.run(self._lead), "election")

    async def stop(self) -> None:
        await self.elector.release()
        await self.outbox.flush()

    def inspect(self) -> dict[str, Any]:
        return {
            "leader": self.elector.is_leader,
            "nodes": len(self.core.arrays),
            "queue": self.core.queue.counts(),
            "assumed": self.core.cache.assumed_count,
            "in_flight": self._in_flight,
            "synced": all(informer.has_synced for informer in self._informers),
            "events_dropped": self.recorder.dropped + self.outbox.dropped,
        }

    def _make_informers(self) -> list[Informer]:
        nodes = Informer(self.api.source("nodes"), name="nodes", log=self.log, clock=self.clock)
        namespaces = Informer(self.api.source("namespaces"), name="namespaces", log=self.log, clock=self.clock)
        source = self.api.source("pods", field_selector=LIVE_PODS)
        self._pods = Informer(source, name="pods", log=self.log, clock=self.clock)
        nodes.on_change(self._on_node)
        namespaces.on_change(self._on_namespace)
        self._pods.on_change(self._on_pod)
        return [nodes, namespaces, self._pods, *self._make_volume_informers()]

    def _make_volume_informers(self) -> list[Informer]:
        view = self.core.volumes
        learn: dict[str, Callable[[str, Object | None], None]] = {
            "persistentvolumeclaims": view.claim_changed,
            "persistentvolumes": view.volume_changed,
            "storageclasses.storage.k8s.io": view.class_changed,
        }
        informers = []
        for resource, tell in learn.items():
            informer = Informer(self.api.source(resource), name=resource, log=self.log, clock=self.clock)
            informer.on_change(functools.partial(self._on_volumes, tell))
            informers.append(informer)
        return informers

    def _on_volumes(
        self, tell: Callable[[str, Object | None], None], key: str, old: Object | None, new: Object | None
    ) -> None:
        tell(key, new)
        self.core.volumes_changed(self.clock.monotonic())
        self._wake.set()

    def _make_metrics(self) -> None:
        registry = self.metrics
        self._attempts = Counter("scheduler_schedule_attempts", "Decisions by result.", ["result"], registry=registry)
        self._decision_s = Histogram(
            "scheduler_scheduling_algorithm_duration_seconds",
            "Time to decide about one pod, as the mean of its batch.",
            buckets=(1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1),
            registry=registry,
        )
        pending = Gauge("scheduler_pending_pods", "Pods in the queue by state.", ["queue"], registry=registry)
        for state in self.core.queue.counts():
            pending.labels(state).set_function(functools.partial(self._pending_count, state))

    def _pending_count(self, state: str) -> float:
        return self.core.queue.counts()[state]

    def _on_node(self, key: str, old: Object | None, new: Object | None) -> None:
        self.core.node_changed(old, new, self.clock.monotonic())
        self._wake.set()

    def _on_namespace(self, key: str, old: Object | None, new: Object | None) -> None:
        labels = None if new is None else new["metadata"].get("labels") or {}
        self.core.namespace_changed(key, labels, self.clock.monotonic())
        self._wake.set()

    def _on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        self.core.pod_changed(key, old, new, self.clock.monotonic())
        self._wake.set()

    async def _lead(self) -> None:
        """Decide and act for as long as this process leads; cancelled when it does no more."""
        for informer in self._informers:
            await informer.synced()
        while True:
            await self._until_room()
            now_s = self.clock.monotonic()
            self._wake.clear()
            for key in self.core.expire(now_s):
                self.log.warning("a binding never showed up in the watch", pod=key)
            decided = self._decide(now_s, min(BATCH, MAX_IN_FLIGHT - self._in_flight))
            if decided:
                await asyncio.sleep(0)  # lets answers and watch events in between two batches
            else:
                await self._until_woken(now_s)

    def _decide(self, now_s: float, limit: int) -> int:
        decisions = self.core.schedule(now_s, limit)
        for decision in decisions:
            if isinstance(decision, Bind):
                self._attempts.labels("scheduled").inc()
                self._in_flight += 1
                self.spawn(self._bind(decision), f"bind {decision.key}")
            else:
                self._attempts.labels("unschedulable").inc()
                self.spawn(self._report(decision), f"report {decision.key}")
        if decisions:
            self._decision_s.observe((self.clock.monotonic() - now_s) / len(decisions))
        return len(decisions)

    async def _until_room(self) -> None:
        while self._in_flight >= MAX_IN_FLIGHT:
            self._room.clear()
            await self._room.wait()

    async def _until_woken(self, now_s: float) -> None:
        wake_s = self.core.next_wake_s()
        delay_s = None if wake_s is None else max(0.0, wake_s - now_s)
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _bind(self, decision: Bind) -> None:
        try:
            self.elector.fence()
            await bind(self.api, decision.pod, decision.node)
        except (BindingRefused, NotLeader, BusError) as error:
            self.log.info("not bound", pod=decision.key, node=decision.node, error=str(error))
            self.core.binding_failed(decision.key, self.clock.monotonic())
        else:
            self.core.binding_acknowledged(decision.key, self.clock.monotonic())
            message = f"Successfully assigned {decision.key} to {decision.node}"
            self.recorder.event(decision.pod, "Normal", "Scheduled", message)
        finally:
            self._in_flight -= 1
            self._room.set()
            self._wake.set()

    async def _report(self, decision: NotScheduled) -> None:
        """Tell users, best effort: the next attempt says it again."""
        async with self._reports:
            pod = self._pods.get(decision.key)
            if pod is None or pod["spec"].get("nodeName") or not self.elector.is_leader:
                return
            patch = condition_patch(pod, decision.reason, decision.message, self.clock)
            if decision.reason == "Unschedulable":
                self.recorder.event(pod, "Warning", "FailedScheduling", decision.message)
            if patch is None:
                return
            metadata = pod["metadata"]
            try:
                await self.api.patch(
                    "pods", metadata["name"], patch, metadata["namespace"], subresource="status", kind="strategic"
                )
            except (ApiError, BusError) as error:
                self.log.debug("condition not written", pod=decision.key, error=str(error))

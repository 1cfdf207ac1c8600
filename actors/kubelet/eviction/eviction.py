"""Keeps a node from running out: looks now and then, gives back what nobody needs, and evicts one pod at a time.

Neighbours: `node_kubelet` runs it and asks `conditions` for the Node; `admission` asks it about new pods; `worker` ends
the pods that it names.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from actors.api.config import KubeletConfig
from actors.kubelet import pod as pods
from actors.kubelet.eviction import local_storage
from actors.kubelet.eviction.garbage import ImageGarbage, Limits, dead_containers, dead_sandboxes
from actors.kubelet.eviction.pressure import Pressure, Verdict
from actors.kubelet.eviction.ranking import message, ranked
from actors.kubelet.eviction.thresholds import CONDITIONS, RESOURCES, Amount, Threshold, signals_of, thresholds_of
from actors.kubelet.observer import Observer
from actors.kubelet.runtime import RuntimeDriver, RuntimeFault
from actors.kubelet.stats.machine import disk_of
from actors.kubelet.stats.sampler import Sampler
from actors.kubelet.stats.usage import Disk
from actors.kubelet.status.pod_status import EVICTED, Ending
from actors.kubelet.volumes import image_volumes
from actors.kubelet.worker.worker import PodWorker
from runtime.clock import Clock

LOOK_S = 10.0  # Kubernetes' housekeeping interval
GARBAGE_S = 60.0  # between two looks at dead containers; images are looked at each IMAGES_S
IMAGES_S = 300.0
EVERYTHING = 1 << 62
CRITICAL_GRACE_S = 1.0  # what a hard threshold leaves a pod
ENDING_LIMIT_S = 30.0  # what an evicted pod takes is not free before it has ended; Kubernetes waits as long for that

Workers = Callable[[], Iterable[PodWorker]]
TellNode = Callable[[str, str, str], None]  # (kind, reason, message)


class Eviction:
    def __init__(
        self,
        config: KubeletConfig,
        workers: Workers,
        sampler: Sampler,
        driver: RuntimeDriver,
        observer: Observer,
        images_dir: Path | None,
        data_dir: Path,
        tell_node: TellNode,
        changed: Callable[[], None],
        clock: Clock,
        log: Any,
    ):
        """`changed` is called when a condition of the node turned; `images_dir` is None with a simulated runtime."""
        self._workers, self._sampler, self._driver, self._observer = workers, sampler, driver, observer
        self._images_dir, self._data_dir = images_dir, data_dir
        self._tell_node, self._changed, self._clock, self._log = tell_node, changed, clock, log
        self._pressure = Pressure(thresholds_of(config), config.eviction_pressure_transition_period_s)
        self._max_grace_s = config.eviction_max_pod_grace_period_s
        limits = Limits(config.image_gc_high_threshold_percent, config.image_gc_low_threshold_percent)
        self._images = ImageGarbage(driver, limits, self._image_volumes, log)
        self._evicted: PodWorker | None = None  # the last one, until it has ended
        self._next_s = 0.0  # when another one may be chosen, though the last has not ended
        self.conditions: frozenset[str] = frozenset()
        self.evictions: Counter[str] = Counter()  # by signal

    def _image_volumes(self) -> list[str]:
        return [name for worker in self._workers() for name in image_volumes.references(worker.pod)]

    async def run(self) -> None:
        """Look for ever. A runtime that is away is asked again at the next look."""
        while True:
            try:
                acted = await self.look()
            except RuntimeFault as error:
                self._log.debug("could not look for garbage", error=str(error))
                acted = False
            await asyncio.sleep(1.0 if acted else LOOK_S)

    async def run_garbage(self) -> None:
        due_s = self._clock.monotonic() + IMAGES_S
        while True:
            await asyncio.sleep(GARBAGE_S)
            try:
                await self._remove_sandboxes()
                if self._clock.monotonic() >= due_s:
                    due_s = self._clock.monotonic() + IMAGES_S
                    await self._collect_images()
            except RuntimeFault as error:
                self._log.debug("could not collect garbage", error=str(error))

    async def look(self) -> bool:
        """Look once; tell whether a pod was evicted, or is still ending."""
        if await self._evict_excess():
            return True
        verdict, signals = self._observe()
        if self._is_one_ending():
            return True
        if verdict.due is None:
            return False
        due = verdict.due
        self._log.warning("the node is low on a resource", signal=due.signal, available=signals[due.signal].available)
        self._tell_node("Warning", "EvictionThresholdMet", f"Attempting to reclaim {RESOURCES[due.signal]}")
        if CONDITIONS[due.signal] == "DiskPressure" and await self._reclaim_disk():
            verdict, signals = self._observe()
            if verdict.due is None or verdict.due != due:
                return False
        return await self._evict_one(due, signals[due.signal])

    # -- observing

    def _observe(self) -> tuple[Verdict, dict[str, Amount]]:
        signals = signals_of(self._sampler.sample().node, self._images_disk())
        verdict = self._pressure.look(signals, self._clock.monotonic())
        if verdict.conditions != self.conditions:
            self.conditions = verdict.conditions
            self._changed()
        return verdict, signals

    def _images_disk(self) -> Disk | None:
        """Return the file system of images, if it is another than the node's."""
        if self._images_dir is None or not self._images_dir.exists():
            return None
        if self._images_dir.stat().st_dev == self._data_dir.stat().st_dev:
            return None
        return disk_of(self._images_dir)

    # -- giving back

    async def _reclaim_disk(self) -> bool:
        """Remove what nobody needs: containers of pods that have ended, and unused images."""
        for worker in [item for item in self._workers() if item.has_ended]:
            for identity in dead_containers(self._observer.pod(worker.uid)):
                await self._driver.remove_container(identity)
                self._observer.forget(identity)
        return await self._images.free(EVERYTHING, self._clock.wall(), min_age_s=0.0) > 0

    async def _remove_sandboxes(self) -> None:
        for worker in list(self._workers()):
            for identity in dead_sandboxes(self._observer.pod(worker.uid)):
                await self._driver.remove_sandbox(identity)
                self._observer.forget(identity)

    async def _collect_images(self) -> None:
        if self._images_dir is None:
            return
        lacking = await self._images.collect(disk_of(self._images_dir), self._clock.wall())
        if lacking:
            self._tell_node("Warning", "FreeDiskSpaceFailed", lacking)

    # -- evicting

    async def _evict_one(self, due: Threshold, amount: Amount) -> bool:
        resource = RESOURCES[due.signal]
        on_disk = CONDITIONS[due.signal] == "DiskPressure"
        sample = await self._sampler.with_disk() if on_disk else self._sampler.sample()
        usages = {usage.uid: usage for usage in sample.pods}
        alive = {worker.uid: worker for worker in self._workers() if not worker.is_ending}
        order = ranked((worker.pod for worker in alive.values()), usages, resource)
        if not order:
            self._log.warning("nothing is left to evict", resource=resource)
            return False
        chosen = order[0]
        text = message(due, amount, chosen, usages.get(pods.uid(chosen)))
        grace_s = CRITICAL_GRACE_S if due.is_hard else float(self._max_grace_s)
        self._evicted = alive[pods.uid(chosen)]
        self._next_s = self._clock.monotonic() + grace_s + ENDING_LIMIT_S
        self._evicted.end(Ending(EVICTED, text, grace_s, is_disruption=True))
        self.evictions[due.signal] += 1
        return True

    def _is_one_ending(self) -> bool:
        """Tell whether the pod that was evicted last still uses what the node lacks."""
        if self._evicted is not None and (self._evicted.has_ended or self._clock.monotonic() >= self._next_s):
            self._evicted = None
        return self._evicted is not None

    async def _evict_excess(self) -> bool:
        """End the pods that broke a limit of their own."""
        if self._images_dir is None:
            return False
        limited = {
            item.uid: item for item in self._workers() if not item.is_ending and local_storage.is_limited(item.pod)
        }
        if not limited:
            return False
        acted = False
        for usage in (await self._sampler.with_disk()).pods:
            worker = limited.get(usage.uid)
            broken = local_storage.excess(worker.pod, usage) if worker is not None else None
            if worker is not None and broken is not None and not worker.is_ending:
                worker.end(Ending(EVICTED, broken.message, CRITICAL_GRACE_S))
                self.evictions[broken.signal] += 1
                acted = True
        return acted

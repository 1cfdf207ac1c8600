"""Samples of what the pods of a node use: one now and then, so that there are rates, and fresh ones when asked.

A sample costs three small files a container, and two a pod. Disks are looked at only when somebody wants to know
(`with_disk`), by walking emptyDirs and logs in a thread.

Neighbours: `node_kubelet` runs it; `serving` and `eviction` ask.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from actors.api.quantity import bytes_of, cpu_millis
from actors.kubelet import pod as pods
from actors.kubelet.container_spec import log_directory
from actors.kubelet.observed import PodRuntime
from actors.kubelet.places import Places
from actors.kubelet.runtime import ContainerState, RuntimeDriver, RuntimeFault
from actors.kubelet.simulated.rules import PREFIX
from actors.kubelet.stats.cgroups import CgroupReader
from actors.kubelet.stats.machine import directory_bytes, node_usage
from actors.kubelet.stats.network import interfaces
from actors.kubelet.stats.usage import (
    NS_PER_S,
    Claimed,
    ContainerUsage,
    Interface,
    NodeUsage,
    PodUsage,
    Sample,
    Usage,
    Work,
    counters,
    rates_between,
)
from actors.kubelet.volumes.space import space_of
from runtime.clock import Clock

SAMPLE_S = 15.0  # metrics-server's resolution; a rate is over at least FRESH_S
FRESH_S = 2.0  # a sample younger than this is given again

Watched = tuple[pods.Pod, PodRuntime]


class Reader(Protocol):
    """Reads what a pod uses. None when there is nothing of it."""

    def pod(self, pod: pods.Pod, runtime: PodRuntime) -> PodUsage | None: ...

    def node(self) -> NodeUsage: ...

    def rates(self, sample: Sample) -> dict[str, int] | None:
        """Return the rates, where one moment is enough to know them."""

    def work(self, pod: PodUsage, container: ContainerUsage) -> Work:
        """Return what a container has done besides computing."""


class KernelReader:
    def __init__(self, cgroup_of: Callable[[str], str], data_dir: Path, cgroups: CgroupReader | None = None):
        self._cgroup_of, self._data_dir, self._cgroups = cgroup_of, data_dir, cgroups or CgroupReader()

    def pod(self, pod: pods.Pod, runtime: PodRuntime) -> PodUsage | None:
        parent = self._cgroup_of(pods.uid(pod))
        whole = self._cgroups.read(parent)
        if whole is None:
            return None
        found = []
        for status in runtime.containers:
            container = status.container
            if container.state is not ContainerState.RUNNING:
                continue
            usage = self._cgroups.read(f"{parent}/{container.id}")
            if usage is not None:
                found.append(
                    ContainerUsage(container.name, container.id, usage, status.started_ns, image=container.image)
                )
        return replace(_pod_usage(pod, whole, found), interfaces=self._interfaces(parent, runtime))

    def _interfaces(self, parent: str, runtime: PodRuntime) -> tuple[Interface, ...]:
        sandbox = runtime.ready_sandbox
        if sandbox is None or sandbox.host_network:
            return ()
        pid = self._cgroups.process(f"{parent}/{sandbox.sandbox.id}")
        return interfaces(pid) if pid else ()

    def node(self) -> NodeUsage:
        return replace(node_usage(self._data_dir), interfaces=interfaces("self"))

    def rates(self, sample: Sample) -> dict[str, int] | None:
        return None

    def work(self, pod: PodUsage, container: ContainerUsage) -> Work:
        return self._cgroups.work(f"{self._cgroup_of(pod.uid)}/{container.id}")


class SimulatedReader:
    """Simulated containers use what they request, or what `simulated.kubus.dev/cpu` and `/memory` say."""

    def __init__(self, clock: Clock, capacity_bytes: int, cpus: int):
        self._clock, self._capacity_bytes, self._cpus = clock, capacity_bytes, cpus
        self._used = (0.0, 0)  # core-seconds, bytes: of the pods read since the node was
        self._rates: dict[str, int] = {"": 0}

    def pod(self, pod: pods.Pod, runtime: PodRuntime) -> PodUsage | None:
        found = []
        for container in pods.containers(pod):
            status = runtime.newest(container["name"])
            if status is None or status.container.state is not ContainerState.RUNNING:
                continue
            cores, memory = _simulated_use(pod, container)
            ran_s = max(0.0, self._clock.wall() - status.started_ns / NS_PER_S)
            usage = Usage(int(cores * ran_s * NS_PER_S), memory, memory, memory, processes=1)
            found.append(ContainerUsage(container["name"], status.container.id, usage, status.started_ns))
            self._used = (self._used[0] + cores * ran_s, self._used[1] + memory)
            for counter in (status.container.id, pods.uid(pod), ""):
                self._rates[counter] = self._rates.get(counter, 0) + int(cores * NS_PER_S)
        if not found:
            return None
        used = [item.usage for item in found]
        memory = sum(item.working_set_bytes for item in used)
        return _pod_usage(pod, Usage(sum(item.cpu_ns for item in used), memory, memory, memory), found)

    def node(self) -> NodeUsage:
        cores, memory = self._used
        self._used = (0.0, 0)
        usage = Usage(int(cores * NS_PER_S), memory, memory, memory)
        return NodeUsage(usage, self._capacity_bytes - memory, self._capacity_bytes, cpus=self._cpus)

    def rates(self, sample: Sample) -> dict[str, int] | None:
        found, self._rates = self._rates, {"": 0}
        return found

    def work(self, pod: PodUsage, container: ContainerUsage) -> Work:
        return Work()


def _simulated_use(pod: pods.Pod, container: pods.ContainerDict) -> tuple[float, int]:
    rules, requests = pods.annotations(pod), (container.get("resources") or {}).get("requests") or {}
    cpu = rules.get(PREFIX + "cpu") or requests.get("cpu") or 0
    memory = rules.get(PREFIX + "memory") or requests.get("memory") or 0
    try:
        return cpu_millis(cpu) / 1000, bytes_of(memory)
    except ValueError:
        return 0.0, 0


def _pod_usage(pod: pods.Pod, usage: Usage, containers: Iterable[ContainerUsage]) -> PodUsage:
    started = (pod.get("status") or {}).get("startTime") or ""
    return PodUsage(pods.uid(pod), pods.namespace(pod), pods.name(pod), usage, tuple(containers), started)


class Sampler:
    def __init__(
        self,
        reader: Reader,
        watched: Callable[[], Iterable[Watched]],
        driver: RuntimeDriver,
        places: Places,
        clock: Clock,
        log: Any,
        claimed: Callable[[pods.Pod], Mapping[str, tuple[str, Path]]] = lambda pod: {},
    ):
        """`watched` gives the pods that may use something, as the API and as the runtime have them; `claimed` by volume
        the claim of a pod and its place."""
        self._claimed = claimed
        self._reader, self._watched, self._driver = reader, watched, driver
        self._places, self._clock, self._log = places, clock, log
        self._latest: Sample | None = None
        self._before: tuple[float, dict[str, int]] | None = None  # monotonic time and counters that rates begin at

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            self._take()
            await asyncio.sleep(SAMPLE_S)

    def sample(self) -> Sample:
        """Return a sample that is at most FRESH_S old."""
        if self._latest is None or self._clock.wall() - self._latest.time_s > FRESH_S:
            return self._take()
        return self._latest

    def work(self, sample: Sample) -> dict[str, Work]:
        """Return what containers have done besides computing, by their ids."""
        return {item.id: self._reader.work(pod, item) for pod in sample.pods for item in pod.containers}

    async def with_disk(self) -> Sample:
        """Return a fresh sample with what pods take up on the disk."""
        sample = self.sample()
        layers = await self._layers()
        known = {pods.uid(pod): pod for pod, _ in self._watched()}
        found = await asyncio.to_thread(self._measure, sample.pods, known, layers)
        return replace(sample, pods=found)

    def _take(self) -> Sample:
        read = [self._reader.pod(pod, runtime) for pod, runtime in self._watched()]
        sample = Sample(self._clock.wall(), self._reader.node(), tuple(item for item in read if item is not None))
        now_s, counted = self._clock.monotonic(), counters(sample)
        known = self._reader.rates(sample)
        if known is not None:
            sample = replace(sample, window_s=SAMPLE_S, rates=known)
        elif self._before is not None:
            window_s = now_s - self._before[0]
            sample = replace(sample, window_s=window_s, rates=rates_between(self._before[1], counted, window_s))
        if self._before is None or now_s - self._before[0] >= SAMPLE_S / 2:
            self._before = (now_s, counted)
        self._latest = sample
        return sample

    async def _layers(self) -> dict[str, int]:
        """Return the bytes of containers' writable layers, as far as the runtime tells."""
        try:
            return {item.id: item.rootfs_bytes for item in await self._driver.stats()}
        except RuntimeFault as error:
            self._log.debug("the runtime tells nothing of its layers", error=str(error))
            return {}

    def _measure(
        self, found: Iterable[PodUsage], known: dict[str, pods.Pod], layers: dict[str, int]
    ) -> tuple[PodUsage, ...]:
        return tuple(self._with_disk(item, known[item.uid], layers) for item in found if item.uid in known)

    def _with_disk(self, usage: PodUsage, pod: pods.Pod, layers: dict[str, int]) -> PodUsage:
        logs = log_directory(self._places.logs, pod)
        containers = tuple(
            replace(item, rootfs_bytes=layers.get(item.id, 0), logs_bytes=directory_bytes(logs / item.name))
            for item in usage.containers
        )
        volumes = {
            volume["name"]: directory_bytes(self._places.volume(usage.uid, "empty-dir", volume["name"]))
            for volume in pod["spec"].get("volumes") or ()
            if "emptyDir" in volume and (volume["emptyDir"] or {}).get("medium") != "Memory"
        }
        return replace(usage, containers=containers, volumes=volumes, claims=self._claims(pod))

    def _claims(self, pod: pods.Pod) -> dict[str, Claimed]:
        found = {}
        for volume, (claim, path) in self._claimed(pod).items():
            space = space_of(path)
            if space is not None:
                found[volume] = Claimed(claim, space)
        return found

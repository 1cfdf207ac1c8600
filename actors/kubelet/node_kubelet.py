"""One node, assembled: its driver, what watches it, what acts on it, and its registration.

A kubelet process plays one such node, or with the simulated runtime many. Neighbours: `actor` makes it and feeds it the
API's changes; everything below is in the modules it imports.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.api.client import ApiClient
from actors.api.config import ClusterConfig, NodeConfig
from actors.api.events import EventRecorder, Outbox
from actors.api.quantity import bytes_of, cpu_millis
from actors.kubelet import pod as pods
from actors.kubelet.admission import Place, refusal, shortage
from actors.kubelet.backoff import restart_backoff
from actors.kubelet.container_spec import NodeFacts
from actors.kubelet.counts import Counts
from actors.kubelet.eviction.eviction import Eviction
from actors.kubelet.eviction.preemption import MESSAGE, REASON, victims
from actors.kubelet.images import Images
from actors.kubelet.logs.rotation import rotate_for_ever
from actors.kubelet.logs.termination_message import with_message
from actors.kubelet.machine import has_apparmor
from actors.kubelet.metrics import NodeCollectors, NodeMetrics, ProbeMetrics
from actors.kubelet.node import Machine, Observation, allocatable
from actors.kubelet.node_network import NodeNetwork
from actors.kubelet.node_pods import NodePods
from actors.kubelet.observer import Observer
from actors.kubelet.places import Places
from actors.kubelet.probes.checks import check
from actors.kubelet.probes.prober import Prober, Probing
from actors.kubelet.registration import Registration, unheard
from actors.kubelet.resize import feasibility
from actors.kubelet.runtime import Image, RuntimeDriver, RuntimeFault, RuntimeVersion
from actors.kubelet.shutdown import end_all
from actors.kubelet.simulated.driver import SimulatedDriver
from actors.kubelet.simulated.prober import SimulatedProber
from actors.kubelet.slots import AT_MOST, Slots, starts_at_once
from actors.kubelet.starter import Starter
from actors.kubelet.static_pods import StaticPods, is_mirror
from actors.kubelet.stats.sampler import KernelReader, Reader, Sampler, SimulatedReader
from actors.kubelet.status.pod_status import Ending
from actors.kubelet.status.writer import StatusWriter
from actors.kubelet.surroundings.objects import Objects
from actors.kubelet.surroundings.pod_files import Files, NoFiles, PodFiles
from actors.kubelet.surroundings.tokens import Tokens
from actors.kubelet.telling import field_path
from actors.kubelet.terminator import Terminator
from actors.kubelet.volumes.claims import Claims
from actors.kubelet.volumes.volume_metrics import VolumeMetrics
from actors.kubelet.worker.equipment import Equipment
from actors.kubelet.worker.worker import PodWorker
from runtime.clock import Clock
from runtime.informer import Informer
from runtime.workqueue import RetryLimiter

RUNTIME_GRACE_S = 5.0  # a runtime that restarts is back by then, and its pods have served all the time
RETRY_S = (0.1, 5.0)  # first and longest pause after the runtime failed
BY_NODE = "by-node"  # the index of pods that the nodes of one process share

Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]


def node_of(pod: pods.Pod) -> list[str]:
    """Return the node of a pod, for the index."""
    return [str(pod["spec"].get("nodeName") or "")]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the nodes of one process share."""

    cluster: ClusterConfig
    config: NodeConfig
    data_dir: Path
    owner: str  # of containers: the data dir's id
    api: ApiClient
    outbox: Outbox
    status_writes: asyncio.Semaphore  # of pods, under way at a time
    heartbeats: asyncio.Semaphore  # statuses of nodes and Leases, likewise: they wait behind no pod
    nodes: Informer
    pods: Informer  # with an index BY_NODE
    services: Informer | None  # None with simulated nodes
    spawn: Spawn
    clock: Clock
    log: Any


class NodeKubelet:
    def __init__(self, name: str, driver: RuntimeDriver, machine: Machine, shared: Shared):
        self.name = name
        self.driver = driver
        self._shared = shared
        self._machine = machine
        self._places = Places(shared.data_dir / "nodes" / name)
        self._owner = f"{shared.owner}/{name}"
        self._version = RuntimeVersion("", "")
        self._has_apparmor = shared.services is None or has_apparmor()
        self._counts = Counts()
        self._is_shutting_down = False
        self._patient_until_s = 0.0  # monotonic; until then a runtime that is away is not held against the node
        self.recorder = EventRecorder(shared.outbox, "kubelet", name, shared.clock)
        complete = functools.partial(with_message, places=self._places)
        self.observer = Observer(driver, self._pod_changed, complete, self._owner, shared.log)
        self.observer.on_reachable = self._runtime_changed
        self._network = NodeNetwork(
            name, driver.ensure_network, lambda: self.registration.node, lambda: self.observer.reachable,
            self._network_changed, shared.log,
        )  # fmt: skip
        self.writer = StatusWriter(shared.api, shared.status_writes, shared.log)
        equipment = self._equipment()
        self.pods = NodePods(equipment, lambda: shared.pods.has_synced)
        self.sampler = self._sampler(equipment.files)
        self.eviction = self._eviction()
        own = NodeMetrics(name, equipment.counts, self.observer, self.pods, self.eviction.evictions, driver)
        volumes = VolumeMetrics(equipment.files, self.pods.active)
        self.metrics = NodeCollectors((own, volumes), ProbeMetrics(equipment.prober))
        self.static = self._static()
        tell = self._tell_node if shared.services is not None else unheard  # a thousand simulated ones say nothing
        self.registration = Registration(
            name, machine, shared.config.kubelet, dict(shared.config.labels), list(shared.config.taints),
            self._observe, shared.nodes, shared.api, shared.heartbeats, tell, shared.clock, shared.log,
        )  # fmt: skip

    async def start(self) -> None:
        await self.driver.open()
        for work, what in (
            (self._observe_runtime(), "observer"),
            (self.registration.keep_status(), "status"),
            (self.registration.keep_lease(), "lease"),
            (self._network.keep(), "network"),
        ):
            self._shared.spawn(work, f"{what} of {self.name}")
        if self._shared.services is not None:
            rotating = rotate_for_ever(self.driver, self.observer.containers, self._shared.clock.wall, self._shared.log)
            self._shared.spawn(rotating, f"log rotation of {self.name}")
            self._shared.spawn(self.sampler.run(), f"usage of {self.name}")
            self._shared.spawn(self.eviction.run_garbage(), f"garbage of {self.name}")
        self._shared.spawn(self.eviction.run(), f"eviction on {self.name}")
        if self._shared.config.kubelet.pod_manifests:
            self._shared.spawn(self.static.run(), f"static pods of {self.name}")

    async def stop(self) -> None:
        if self._shared.config.kubelet.shutdown_groups:
            self._is_shutting_down = True
            await end_all(self.pods.workers, self._shared.config.kubelet)
        await self.driver.close()

    def pod_changed(self, key: str, old: pods.Pod | None, new: pods.Pod | None) -> None:
        """The API's pod has changed. A mirror only shows what a file on this node asks for."""
        if is_mirror(new or old or {"metadata": {}}):
            self.static.mirror_changed(key, new)
        else:
            self.pods.pod_changed(key, old, new)

    def node_changed(self) -> None:
        """The API's Node has changed: it may have its podCIDR now, or be gone."""
        self._network.look()
        if self.registration.node is None:
            self.registration.changed()

    def inspect(self) -> dict[str, Any]:
        return {
            "pods": len(self.pods),
            "runtime": f"{self._version.name}://{self._version.version}",
            "faults": self._faults(),
            "status_writes": self.writer.writes,
            "worker_faults": self._counts.worker_faults,
            "events_dropped": self.recorder.dropped + self._shared.outbox.dropped,
        }

    # -- parts ------------------------------------------------------------------------------------------------------

    def _equipment(self) -> Equipment:
        shared, driver = self._shared, self.driver
        files, prober, counts = self._files(), self._prober(), self._counts
        images = Images(driver, self.recorder_tell, shared.clock)
        node = NodeFacts(
            memory_bytes=bytes_of(self._machine.capacity["memory"]),
            owner=self._owner,
            seccomp_root=self._places.seccomp,
            cluster_domain=shared.cluster.network.domain,
            host_ips=tuple(self._machine.addresses),
        )
        starter = Starter(
            driver, self.observer, images, files, self._places, node, self.recorder_tell,
            lambda: self._network.fault, shared.api.get, self._slots(), counts, shared.clock,
        )  # fmt: skip
        return Equipment(
            driver=driver,
            observer=self.observer,
            prober=prober,
            images=images,
            files=files,
            starter=starter,
            terminator=Terminator(driver, self.observer, self.recorder_tell, shared.clock, self._machine.addresses),
            writer=self.writer,
            refusal=self._refusal,
            resize_refusal=self._resize_refusal,
            make_room=self._make_room,
            api=shared.api,
            backoff=restart_backoff(shared.config.kubelet.max_container_restart_period_s),
            limiter=RetryLimiter(base_s=0.05),
            tell=self.recorder_tell,
            counts=counts,
            spawn=shared.spawn,
            runtime_name=lambda: self._version.name,
            host_ips=tuple(self._machine.addresses),
            clock=shared.clock,
            log=shared.log,
        )

    def _slots(self) -> Slots:
        if isinstance(self.driver, SimulatedDriver):
            return Slots(AT_MOST)
        slots = Slots(starts_at_once())
        self._shared.outbox.give_way(slots.calm)
        return slots

    def _sampler(self, files: Files) -> Sampler:
        shared, capacity = self._shared, self._machine.capacity
        reader: Reader
        if isinstance(self.driver, SimulatedDriver):
            reader = SimulatedReader(shared.clock, bytes_of(capacity["memory"]), cpu_millis(capacity["cpu"]) // 1000)
        else:
            reader = KernelReader(self.driver.cgroup_of, shared.data_dir)
        watched = self.pods.watched
        return Sampler(reader, watched, self.driver, self._places, shared.clock, shared.log, files.claimed)

    def _eviction(self) -> Eviction:
        shared = self._shared
        simulated = isinstance(self.driver, SimulatedDriver)
        images_dir = None if simulated else self._places.root / "containerd" / "root"
        return Eviction(
            shared.config.kubelet, self.pods.workers, self.sampler, self.driver, self.observer, images_dir,
            shared.data_dir, self._tell_node, lambda: self.registration.changed(), shared.clock, shared.log,
        )  # fmt: skip

    def _static(self) -> StaticPods:
        shared = self._shared
        directory = Path(shared.config.kubelet.pod_manifests or "none")
        return StaticPods(
            directory, self.name, shared.api, self._mirrors, lambda: shared.nodes.get(self.name),
            self.pods.pod_changed, shared.log,
        )  # fmt: skip

    def _mirrors(self) -> list[pods.Pod] | None:
        if not self._shared.pods.has_synced:
            return None
        return [pod for pod in self._shared.pods.by_index(BY_NODE, self.name) if is_mirror(pod)]

    def _refusal(self, pod: pods.Pod) -> Ending | None:
        if self._is_shutting_down:
            return Ending("NodeShutdown", "Pod was rejected as the node is shutting down.")
        return refusal(pod, self._place())

    def _make_room(self, pod: pods.Pod) -> bool:
        """End others for a critical pod, as soon as their own grace allows; tell whether it will fit then."""
        chosen = [] if self._is_shutting_down else victims(pod, self._place())
        uids = {pods.uid(victim) for victim in chosen}
        leaving = [worker for worker in self.pods.workers() if worker.uid in uids]
        for worker in leaving:
            worker.end(Ending(REASON, MESSAGE, is_disruption=True))
        if leaving:
            self._shared.spawn(self._look_after(leaving, pods.uid(pod)), f"room for {pods.key(pod)}")
        return bool(leaving)

    async def _look_after(self, leaving: Sequence[PodWorker], uid: str) -> None:
        """Look at a pod again once others have ended."""
        await asyncio.gather(*(worker.told() for worker in leaving))
        self.pods.poke(uid)

    def _place(self) -> Place:
        return Place(
            node=self._shared.nodes.get(self.name),
            allocatable=self._allocatable(),
            others=self.pods.admitted(),
            request_of=self.pods.request_of,
            conditions=self.eviction.conditions,
            sysctls=self._shared.config.kubelet.allowed_unsafe_sysctls,
            has_apparmor=self._has_apparmor,
            has_strict_groups=isinstance(self.driver, SimulatedDriver),  # containerd 1.x has no word for them
        )

    def _resize_refusal(self, pod: pods.Pod) -> Ending | None:
        free = self._allocatable()
        others = Place(allocatable=free, others=self.pods.admitted())
        return feasibility(pod, shortage(pod, Place(allocatable=free)), shortage(pod, others))

    def _allocatable(self) -> Mapping[str, str]:
        node = self._shared.nodes.get(self.name)
        return ((node or {}).get("status") or {}).get("allocatable") or allocatable(self._machine)

    def _tell_node(self, kind: str, reason: str, message: str) -> None:
        node = self.registration.known
        if node is not None:
            self.recorder.event(node, kind, reason, message)

    def _files(self) -> Files:
        shared = self._shared
        if shared.services is None:
            return NoFiles()
        objects = Objects(shared.api, shared.spawn, self._objects_changed, shared.log, shared.clock)
        free = allocatable(self._machine)
        node, others = lambda: shared.nodes.get(self.name), lambda: self.pods.admitted()
        claims = Claims(shared.api, objects.get, node, others, self._objects_changed)
        return PodFiles(
            self._places, objects, claims, Tokens(shared.api, shared.clock, shared.log), shared.services,
            shared.cluster.network.domain, tuple(self._machine.addresses), lambda: free, self.driver, shared.log,
        )  # fmt: skip

    def _prober(self) -> Probing:
        if isinstance(self.driver, SimulatedDriver):
            return SimulatedProber()
        ask = functools.partial(check, self.driver)
        changed = lambda uid: self.pods.health_changed(uid)  # noqa: E731 - the pods are made of it
        return Prober(ask, changed, self._tell_of_probe, self._shared.clock, self._machine.addresses)

    def _tell_of_probe(self, pod: pods.Pod, container: str, reason: str, message: str) -> None:
        self.recorder_tell(pod, "Warning", reason, message, container)

    def recorder_tell(self, pod: pods.Pod, kind: str, reason: str, message: str, container: str = "") -> None:
        if "apiVersion" in pod:  # an orphan is in no API: nobody could read of it
            self.recorder.event(pod, kind, reason, message, field_path(pod, container) if container else "")

    # -- what happens -----------------------------------------------------------------------------------------------

    def _pod_changed(self, uid: str) -> None:
        self.pods.poke(uid)

    def _objects_changed(self, uid: str) -> None:
        self.pods.objects_changed(uid)

    def _runtime_changed(self) -> None:
        self._network.look()
        if self.observer.reachable:
            self.registration.changed()
            self.pods.look_at_all()
        else:
            self._patient_until_s = self._shared.clock.monotonic() + RUNTIME_GRACE_S
            asyncio.get_running_loop().call_later(RUNTIME_GRACE_S, self.registration.changed)

    async def _observe_runtime(self) -> None:
        if isinstance(self.driver, SimulatedDriver):
            await self._shared.pods.synced()
            for pod in self._shared.pods.by_index(BY_NODE, self.name):
                self.driver.restore(pod, self._owner)
        await self._learn_version()
        await self.observer.run()

    async def _learn_version(self) -> None:
        """Container ids in statuses carry the runtime's name: nothing is said before it is known."""
        pause_s = RETRY_S[0]
        while not self._version.name:
            try:
                self._version = await self.driver.version()
            except RuntimeFault as error:
                self.observer.fault = str(error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_S[1])

    def _network_changed(self) -> None:
        self.registration.settled.set()
        self.registration.changed()
        self.pods.look_at_all()

    # -- the node's status ------------------------------------------------------------------------------------------

    def _faults(self) -> list[str]:
        if self._is_shutting_down:
            return ["node is shutting down"]
        if not self.observer.reachable and self._shared.clock.monotonic() >= self._patient_until_s:
            return [f"container runtime is down: {self.observer.fault}"]
        if self._network.fault:
            return [f"container runtime network not ready: {self._network.fault}"]
        return []

    async def _observe(self) -> Observation:
        faults, images = self._faults(), await self._images()
        version = f"{self._version.name}://{self._version.version}" if self._version.name else ""
        return Observation(
            now_s=self._shared.clock.wall(),
            faults=faults,
            pressures=self.eviction.conditions,
            runtime=version,
            images=images,
        )

    async def _images(self) -> Sequence[Image]:
        if not self.observer.reachable:
            return ()
        try:
            return await self.driver.images()
        except RuntimeFault as error:
            self._shared.log.debug("could not list images", node=self.name, error=str(error))
            return ()

"""`SimulatedDriver`: a node's containers in memory, behind the same interface as containerd's.

Nothing outlives the process, as a machine that lost its power; `restore` gives a restarted kubelet back what the API
says was running, so that a kill of the kubelet is no kill of its containers, here too.

Cost: a record for each sandbox and container, and a timer only for what changes by itself.
"""

import asyncio
import dataclasses
import ipaddress
import itertools
import secrets
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

from actors.api.meta import parse_time
from actors.kubelet import pod as pods
from actors.kubelet.measure import Durations, Operations
from actors.kubelet.runtime import (
    CONTAINER_HASH,
    OWNER,
    RESTART_COUNT,
    Container,
    ContainerSpec,
    ContainerState,
    ContainerStats,
    ContainerStatus,
    EventKind,
    ExecResult,
    Image,
    ImageAuth,
    ImagePullFailed,
    NamespaceMode,
    NotInRuntime,
    PodSandbox,
    Resources,
    RuntimeEvent,
    RuntimeRefused,
    RuntimeState,
    RuntimeStatus,
    RuntimeVersion,
    SandboxSpec,
    SandboxStatus,
)
from actors.kubelet.simulated.rules import Behaviour, behaviour, is_pullable
from actors.kubelet.streaming.process import NoStreams
from runtime.clock import Clock

NAME, VERSION = "simulated", "1.0"
NS_PER_S = 1_000_000_000
KILLED = 137
TERMINATED = 143  # what a process that SIGTERM ended leaves
IMAGE_BYTES = 5_000_000


class SimulatedDriver:
    def __init__(self, start_latency_s: float, clock: Clock):
        self.streams = NoStreams()
        self._start_latency_s = start_latency_s
        self._clock = clock
        self.operations, self.cgroup_durations = Operations(), Durations()  # nothing outside is asked
        self._sandboxes: dict[str, SandboxStatus] = {}
        self._containers: dict[str, ContainerStatus] = {}
        self._behaviours: dict[str, Behaviour] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._followers: list[asyncio.Queue[RuntimeEvent]] = []
        self._addresses: Any = iter(())
        self._free: list[str] = []  # addresses that were given back
        self._used: set[str] = set()

    # -- life -------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    async def version(self) -> RuntimeVersion:
        return RuntimeVersion(NAME, VERSION)

    async def status(self) -> RuntimeStatus:
        return RuntimeStatus(runtime_ready=True, network_ready=True)

    async def ensure_network(self, pod_cidrs: Sequence[str]) -> None:
        networks = [ipaddress.ip_network(cidr) for cidr in pod_cidrs]
        hosts = itertools.chain.from_iterable(network.hosts() for network in networks)
        self._addresses = (str(host) for host in hosts)

    async def list(self) -> RuntimeState:
        containers = [status.container for status in self._containers.values()]
        return RuntimeState([status.sandbox for status in self._sandboxes.values()], containers)

    async def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self._followers.append(queue)
        return self._follow(queue)

    async def _follow(self, queue: "asyncio.Queue[RuntimeEvent]") -> AsyncGenerator[RuntimeEvent, None]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._followers.remove(queue)

    # -- sandboxes --------------------------------------------------------------------------------------------------

    async def run_sandbox(self, spec: SandboxSpec) -> str:
        identity = secrets.token_hex(32)
        host_network = spec.network is NamespaceMode.NODE
        sandbox = PodSandbox(
            identity, spec.pod_uid, spec.pod_name, spec.pod_namespace, spec.attempt, True, self._now_ns(),
            spec.annotations,
        )  # fmt: skip
        ips = () if host_network else (self._address(),)
        self._sandboxes[identity] = SandboxStatus(sandbox, ips, host_network)
        return identity

    async def sandbox_status(self, sandbox_id: str) -> SandboxStatus:
        return self._sandbox(sandbox_id)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        status = self._sandboxes.get(sandbox_id)
        if status is None or not status.sandbox.ready:
            return
        for identity in self._inside(sandbox_id):
            self._exit(identity, KILLED)
        self._free.extend(status.ips)
        self._used.difference_update(status.ips)
        stopped = dataclasses.replace(status.sandbox, ready=False)
        self._sandboxes[sandbox_id] = dataclasses.replace(status, sandbox=stopped, ips=())

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        for identity in self._inside(sandbox_id):
            await self.remove_container(identity)
        self._sandboxes.pop(sandbox_id, None)

    # -- containers -------------------------------------------------------------------------------------------------

    async def create_container(self, sandbox_id: str, spec: ContainerSpec) -> str:
        sandbox = self._sandbox(sandbox_id).sandbox
        identity = secrets.token_hex(32)
        container = Container(
            identity, sandbox_id, sandbox.pod_uid, sandbox.pod_name, sandbox.pod_namespace, spec.name, spec.attempt,
            ContainerState.CREATED, spec.image, spec.image_id, self._now_ns(), spec.annotations,
        )  # fmt: skip
        self._containers[identity] = ContainerStatus(container, image_ref=spec.image_id)
        self._behaviours[identity] = behaviour(sandbox.annotations, spec.name, spec.is_finite, self._start_latency_s)
        return identity

    async def start_container(self, container_id: str) -> None:
        self._container(container_id)
        rule = self._behaviours[container_id]
        if rule.start_latency_s:
            await asyncio.sleep(rule.start_latency_s)
        status = self._container(container_id)
        if rule.start_error:
            self._exit(container_id, 128, "StartError", rule.start_error)
            raise RuntimeRefused(rule.start_error)
        self._set(status, ContainerState.RUNNING, started_ns=self._now_ns())
        self._tell(EventKind.STARTED, container_id)
        if rule.run_s is not None:
            self._exit_later(container_id, rule.run_s, rule.exit_code)

    async def container_status(self, container_id: str) -> ContainerStatus:
        return self._container(container_id)

    async def stop_container(self, container_id: str, grace_s: float, signal: str = "") -> None:
        status = self._containers.get(container_id)
        if status is None or status.container.state is not ContainerState.RUNNING:
            return
        stop_s = self._behaviours[container_id].stop_s
        if stop_s > 0 and grace_s > 0:
            await asyncio.sleep(min(stop_s, grace_s))
        self._exit(container_id, TERMINATED if stop_s <= grace_s else KILLED)

    async def remove_container(self, container_id: str) -> None:
        self._exit(container_id, KILLED)
        if self._containers.pop(container_id, None) is not None:
            self._behaviours.pop(container_id, None)
            self._tell(EventKind.REMOVED, container_id)

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        self._container(container_id)

    async def resize_pod(self, pod_uid: str, resources: Resources) -> None:
        return None

    async def reopen_log(self, container_id: str) -> None:
        self._container(container_id)

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        status = self._container(container_id)
        if status.container.state is not ContainerState.RUNNING:
            raise RuntimeRefused(f"container {container_id} is not running")
        return ExecResult(0, b"", b"")

    def cgroup_of(self, pod_uid: str) -> str:
        return f"/simulated/pod{pod_uid}"

    async def stats(self) -> Sequence[ContainerStats]:
        return []

    # -- images -----------------------------------------------------------------------------------------------------

    async def image_status(self, reference: str) -> Image | None:
        if not is_pullable(reference):
            return None
        return Image(id=f"sha256:{reference}", tags=(reference,), digests=(), size_bytes=IMAGE_BYTES)

    async def pull_image(self, reference: str, auth: ImageAuth | None = None) -> str:
        if not is_pullable(reference):
            raise ImagePullFailed(f"failed to resolve reference {reference}: no such host")
        return f"sha256:{reference}"

    async def images(self) -> Sequence[Image]:
        return ()

    async def remove_image(self, image_id: str) -> None:
        return None

    async def image_layers(self, image_id: str, key: str) -> Sequence[str]:
        return ()

    async def release_image_layers(self, key: str) -> None:
        return None

    # -- restoring --------------------------------------------------------------------------------------------------

    def restore(self, pod: pods.Pod, owner: str) -> None:
        """Make again what the API says of a pod that an earlier life of this node ran."""
        statuses = [item for item in _all_statuses(pod) if item.get("containerID", "").startswith(f"{NAME}://")]
        if not statuses or pods.is_terminal(pod):
            return
        sandbox_id = secrets.token_hex(32)
        host_network = pods.is_host_network(pod)
        ips = () if host_network else tuple(item["ip"] for item in pod["status"].get("podIPs") or ())
        self._used.update(ips)
        annotations = pods.annotations(pod) | {OWNER: owner}
        sandbox = PodSandbox(
            sandbox_id, pods.uid(pod), pods.name(pod), pods.namespace(pod), 0, True, self._now_ns(), annotations
        )
        self._sandboxes[sandbox_id] = SandboxStatus(sandbox, ips, host_network)
        for status in statuses:
            self._restore_container(pod, sandbox, status, owner)

    def _restore_container(self, pod: pods.Pod, sandbox: PodSandbox, status: Mapping[str, Any], owner: str) -> None:
        container = pods.find_container(pod, status["name"])
        if container is None:
            return
        identity, count = status["containerID"].partition("://")[2], int(status.get("restartCount", 0))
        running, ended = status["state"].get("running"), status["state"].get("terminated")
        state = ContainerState.RUNNING if running else ContainerState.EXITED
        times = running or ended or (status.get("lastState") or {}).get("terminated") or {}
        annotations = {OWNER: owner, CONTAINER_HASH: pods.container_hash(container), RESTART_COUNT: str(count)}
        made = Container(
            identity, sandbox.id, sandbox.pod_uid, sandbox.pod_name, sandbox.pod_namespace, status["name"], count,
            state, status.get("image", ""), status.get("imageID", ""), _ns(times.get("startedAt")), annotations,
        )  # fmt: skip
        self._containers[identity] = ContainerStatus(
            made,
            exit_code=int(times.get("exitCode", 0)),
            reason=times.get("reason", ""),
            started_ns=_ns(times.get("startedAt")),
            finished_ns=_ns(times.get("finishedAt")),
            image_ref=status.get("imageID", ""),
        )
        is_finite = container in pods.init_containers(pod) and not pods.is_sidecar(container)
        rule = behaviour(sandbox.annotations, status["name"], is_finite, self._start_latency_s)
        self._behaviours[identity] = rule
        if running and rule.run_s is not None:
            self._exit_later(identity, rule.run_s, rule.exit_code)

    # -- states -----------------------------------------------------------------------------------------------------

    def _exit_later(self, identity: str, delay_s: float, code: int) -> None:
        self._timers[identity] = asyncio.get_running_loop().call_later(delay_s, self._exit, identity, code)

    def _exit(self, identity: str, code: int, reason: str = "", message: str = "") -> None:
        timer = self._timers.pop(identity, None)
        if timer is not None:
            timer.cancel()
        status = self._containers.get(identity)
        if status is None or status.container.state is ContainerState.EXITED:
            return
        reason = reason or ("Completed" if code == 0 else "Error")
        self._set(status, ContainerState.EXITED, exit_code=code, reason=reason, message=message,
                  finished_ns=self._now_ns())  # fmt: skip
        self._tell(EventKind.EXITED, identity, code)

    def _set(self, status: ContainerStatus, state: ContainerState, **fields: Any) -> None:
        container = dataclasses.replace(status.container, state=state)
        self._containers[container.id] = dataclasses.replace(status, container=container, **fields)

    def _tell(self, kind: EventKind, identity: str, code: int = 0) -> None:
        for queue in self._followers:
            queue.put_nowait(RuntimeEvent(kind, identity, code))

    def _sandbox(self, identity: str) -> SandboxStatus:
        status = self._sandboxes.get(identity)
        if status is None:
            raise NotInRuntime(f"no sandbox {identity}")
        return status

    def _container(self, identity: str) -> ContainerStatus:
        status = self._containers.get(identity)
        if status is None:
            raise NotInRuntime(f"no container {identity}")
        return status

    def _inside(self, sandbox_id: str) -> Sequence[str]:
        return [key for key, item in self._containers.items() if item.container.sandbox_id == sandbox_id]

    def _address(self) -> str:
        for address in itertools.chain(self._take_free(), self._addresses):
            if address not in self._used:
                self._used.add(address)
                return str(address)
        raise RuntimeRefused("no address is left in the node's pod network")

    def _take_free(self) -> Iterator[str]:
        while self._free:
            yield self._free.pop(0)

    def _now_ns(self) -> int:
        return int(self._clock.wall() * NS_PER_S)


def _all_statuses(pod: pods.Pod) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _ns(time: str | None) -> int:
    return int(parse_time(time) * NS_PER_S) if time else 0

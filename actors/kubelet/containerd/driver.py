"""`ContainerdDriver`: the kubelet's `RuntimeDriver` over one containerd.

Talks CRI for pods and images, containerd's own event stream for exits (containerd 1.6 has no CRI events), `ctr` for
archives, and the kernel for pod cgroups and the pod network. Nothing is remembered that can't be asked again: after a
restart of the kubelet, or of containerd, the next call finds everything.

What can go wrong, and what comes of it: containerd away or restarting -> RuntimeUnreachable at once, and the channel
finds it again by itself; a call past its deadline -> RuntimeUnreachable, and the next `list` tells what happened.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import psutil

from actors.api.config import ClusterConfig, NodeConfig, node_of_settings, of_settings
from actors.api.network import bridge_name, node_suffix
from actors.api.quantity import bytes_of
from actors.kubelet.containerd import (
    cni_records,
    importer,
    leases,
    network,
    pause_profile,
    replies,
    requests,
    stop_signal,
    unneeded,
)
from actors.kubelet.containerd.cgroups import Cgroups
from actors.kubelet.containerd.crun_script import ReadOnly
from actors.kubelet.containerd.faults import exec_timed_out, name_holder
from actors.kubelet.containerd.handlers import CRUN, Handlers, recorded
from actors.kubelet.containerd.host_ports import HostPorts
from actors.kubelet.containerd.image_layers import ImageLayers
from actors.kubelet.containerd.image_store import ImageStore
from actors.kubelet.containerd.machine import CAP_SYS_RESOURCE, holds_capability
from actors.kubelet.containerd.made_of import MadeOf
from actors.kubelet.containerd.operations import NAMES
from actors.kubelet.containerd.outliving import OutlivingCalls
from actors.kubelet.containerd.places import Places, places_of
from actors.kubelet.containerd.podnetwork import (
    PodNetwork,
)
from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.containerd.remains import Remains
from actors.kubelet.containerd.streaming import ContainerdStreams
from actors.kubelet.containerd.subscription import subscribe
from actors.kubelet.measure import Operations
from actors.kubelet.runtime import (
    ContainerSpec,
    ContainerStats,
    ContainerStatus,
    ExecResult,
    ExecTimeout,
    Image,
    ImageAuth,
    NamespaceMode,
    NotInRuntime,
    PortMapping,
    Resources,
    RuntimeEvent,
    RuntimeFault,
    RuntimeRefused,
    RuntimeState,
    RuntimeStatus,
    RuntimeUnreachable,
    RuntimeVersion,
    SandboxSpec,
    SandboxStatus,
    Seccomp,
)
from actors.kubelet.volumes.mounting import is_readonly
from runtime.actor import Setup
from runtime.command import find_program
from runtime.failpoint import passing

# Deadlines by what a call has to do. A healthy containerd takes a hundredth of each; a machine that swaps takes longer.
READ_S = 10.0  # answered from containerd's memory
WORK_S = 120.0  # starts or ends processes, runs CNI plugins; the reference kubelet's bound for the same
STOP_SLACK_S = 30.0  # beyond a container's grace: SIGKILL, and the wait for what is left to die
UNBOUNDED_EXEC_S = 4 * 3600.0  # an exec without a timeout: as long as the reference's streams may idle
EXEC_SLACK_S = 10.0  # beyond an exec's timeout, which containerd enforces

NETWORK_READY_S = 15.0  # from the written configuration to containerd's NetworkReady
NETWORK_POLL_S = 0.02
HANDLER = "io.kubus.runtime-handler"  # on a sandbox: who made it, and will make its containers
MAKING_POLL_S = 0.1  # while containerd makes the sandbox that a kubelet which is dead asked for


def pods_memory(config: NodeConfig) -> int:
    """Return the bytes that all pods of a node together may have; 0 where the system keeps none for itself."""
    kept = bytes_of(config.kubelet.system_reserved.get("memory") or 0)
    return max(1, bytes_of(config.capacity.get("memory") or psutil.virtual_memory().total) - kept) if kept else 0


class ContainerdDriver:
    """See the module's docstring. One a node; calls may overlap."""

    def __init__(self, setup: Setup, node: str):
        cluster: ClusterConfig = of_settings(setup.settings)
        config: NodeConfig = node_of_settings(setup.settings)
        self.places: Places = places_of(Path(setup.data_dir), node)
        self.cgroups = Cgroups(self.places.cgroup, memory_bytes=pods_memory(config))
        self.operations, self.cgroup_durations = Operations(), self.cgroups.durations
        self._network = cluster.network
        self._instance = self.places.instance
        self._bridge = bridge_name(setup.data_dir, cluster, setup.node)
        self._tables = self._instance + ("-" + node_suffix(cluster, setup.node)).rstrip("-")
        self._foreign = bool(config.containerd_socket)  # somebody else's containerd: its network is its owner's
        self.socket = Path(config.containerd_socket) if self._foreign else self.places.socket
        self._may_lower_oom_score = holds_capability(CAP_SYS_RESOURCE, Path("/proc/self/status").read_text())
        self._pause_seccomp = Seccomp("RuntimeDefault")  # which containerd leaves out where the kernel has no seccomp
        self._made_of = MadeOf(self._call)
        self._host_ports = HostPorts(self._tables, self.sandbox_status, self._made_of.config_of)
        self._importing = asyncio.Lock()
        self._connection: Any = None
        self._outliving: OutlivingCalls | None = None
        self.streams = ContainerdStreams(self._call, self._call_outliving, self.places.commands)
        self._images, self._layers = ImageStore(self._call), ImageLayers(self._call)
        self._remains = Remains(self._call, self.places)
        self._readonly_crun = ReadOnly(self.places.crun_readonly)

    # -- life -------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        from actors.kubelet.containerd.rpc import Connection  # gRPC starts threads: never before the fork

        if pause_profile.ACTIONS.exists():
            pause_profile.write(self.places.pause_profile)
            self._pause_seccomp = Seccomp("Localhost", str(self.places.pause_profile))
        if any(handler.program == str(self.places.crun_script) for handler in self.handlers.all):
            with contextlib.suppress(OSError):  # no mount can be made: crun sees to itself then, more slowly
                await asyncio.to_thread(self._readonly_crun.hold, find_program(CRUN) or "")
        self._connection = Connection(self.socket)
        self._outliving = OutlivingCalls(Connection, self.socket, WORK_S)

    async def close(self) -> None:
        if self._connection is not None:
            await self.streams.close()
            await self._connection.close()
        if self._outliving is not None:
            await self._outliving.close()
        await asyncio.to_thread(self._readonly_crun.let_go)

    async def _call(self, method: str, request: Any, timeout_s: float | None) -> Any:
        """Call containerd. Before and after each call is a failpoint, because a kubelet may die there."""
        passing(f"containerd.{method}")
        with self.operations.timed(NAMES.get(method, "")):
            reply = await self._connection.call(method, request, timeout_s)
        passing(f"containerd.{method}.done")
        return reply

    async def _call_outliving(self, method: str, request: Any, timeout_s: float | None = WORK_S) -> Any:
        """Call containerd so that it does what it is asked for, even if the kubelet dies meanwhile."""
        assert self._outliving is not None, "the driver is open"
        passing(f"containerd.{method}")
        with self.operations.timed(NAMES.get(method, "")):
            reply = await self._outliving.call(method, request, timeout_s or WORK_S)
        passing(f"containerd.{method}.done")
        return reply

    @functools.cached_property
    def handlers(self) -> Handlers:
        """What starts containers, and why that; of somebody else's containerd nothing is known."""
        return Handlers((), "as its owner set it up") if self._foreign else recorded(self.places.handlers)

    def cgroup_of(self, pod_uid: str) -> str:
        return self.cgroups.pod(pod_uid)

    async def version(self) -> RuntimeVersion:
        reply = await self._call("Version", cri.VersionRequest(version="v1"), READ_S)
        return RuntimeVersion(name=reply.runtime_name, version=reply.runtime_version)

    async def status(self) -> RuntimeStatus:
        reply = await self._call("Status", cri.StatusRequest(), READ_S)
        return replies.runtime_status(reply.status)

    async def ensure_network(self, pod_cidrs: Sequence[str]) -> None:
        """Also gives the node its pause and toolbox images, and ends what those before have left behind."""
        state = await self.list()
        if not self._foreign:
            used = await self._host_ports.find(state)
            await network.ensure(
                self._instance, self._pod_network(pod_cidrs), used, self.places.cni_conf, tables=self._tables
            )
            await leases.end_left(self._call, self.socket)
            known = {item.id for item in state.sandboxes} | {item.id for item in state.containers}
            await self._remains.sweep(known)
        await self._ensure_images()
        await self.streams.sweep()
        await asyncio.to_thread(self.cgroups.sweep, {sandbox.pod_uid for sandbox in state.sandboxes})
        await self._network_ready()
        await asyncio.to_thread(unneeded.give_back)

    def _pod_network(self, pod_cidrs: Sequence[str]) -> PodNetwork:
        return PodNetwork(
            name=f"kubus-{self._instance}-{self.places.node}",
            bridge=self._bridge,
            subnets=tuple(pod_cidrs),
            cluster_cidrs=(self._network.pod_cidr,),
            addresses=str(self.places.cni_addresses),
            mtu=network.uplink_mtu(),
            masquerade=self._network.masquerade,
        )

    async def _network_ready(self) -> None:
        message = ""
        try:
            async with asyncio.timeout(NETWORK_READY_S):
                while True:
                    found = await self.status()
                    if found.network_ready:
                        return
                    message = found.message
                    await asyncio.sleep(NETWORK_POLL_S)
        except TimeoutError as error:
            raise RuntimeRefused(f"containerd's network is not ready: {message}") from error

    async def _ensure_images(self) -> None:
        async def present(image: str) -> bool:
            return await self.image_status(image) is not None

        async with self._importing:
            await importer.ensure(self.socket, self.places.images, present)

    # -- sandboxes --------------------------------------------------------------------------------------------------

    async def list(self) -> RuntimeState:
        """Containers first: so each one's sandbox is in the answer, unless it was removed meanwhile."""
        containers = await self._call("ListContainers", cri.ListContainersRequest(), READ_S)
        sandboxes = await self._call("ListPodSandbox", cri.ListPodSandboxRequest(), READ_S)
        self._made_of.containers_are({item.id: item.pod_sandbox_id for item in containers.containers})
        return replies.runtime_state(sandboxes, containers)

    async def run_sandbox(self, spec: SandboxSpec) -> str:
        parent = await asyncio.to_thread(self.cgroups.make_pod, spec.pod_uid, spec.pod_resources)
        handler = self.handlers.for_pod(spec.runtime_handler, spec.needs_mount_flags)
        config = requests.sandbox_config(spec, parent, self._pause_seccomp)
        config.annotations[HANDLER] = handler
        request = cri.RunPodSandboxRequest(config=config, runtime_handler=handler)
        sandbox_id = ""
        try:
            sandbox_id = await self._make_sandbox_with_image(request)
        finally:
            if not sandbox_id and not self._made_of.has_sandbox(spec.pod_uid):
                self.cgroups.remove_pod(spec.pod_uid)  # nobody else will: the pod may be gone by now
        self._made_of.sandbox_made(sandbox_id, config)
        if spec.port_mappings and spec.network is NamespaceMode.POD and not self._foreign:
            await self._lead_host_ports(sandbox_id, spec.port_mappings)
        return sandbox_id

    async def _lead_host_ports(self, sandbox_id: str, mappings: Sequence[PortMapping]) -> None:
        """A port that another pod has costs the new one its sandbox."""
        try:
            await self._host_ports.open(sandbox_id, mappings)
        except RuntimeFault as fault:
            await self.stop_sandbox(sandbox_id)
            await self.remove_sandbox(sandbox_id)
            raise RuntimeRefused(f"host ports: {fault}") from fault

    async def _make_sandbox_with_image(self, request: cri.RunPodSandboxRequest) -> str:
        try:
            return await self._make_sandbox(request)
        except RuntimeRefused as fault:
            if "sandbox image" not in str(fault):
                raise
        await self._ensure_images()  # somebody removed the pause image
        return await self._make_sandbox(request)

    async def _make_sandbox(self, request: cri.RunPodSandboxRequest) -> str:
        """Return the id of a new sandbox, or of the one that a kubelet before this one asked for, once it is there."""
        try:
            async with asyncio.timeout(WORK_S):
                while True:
                    try:
                        return str((await self._call_outliving("RunPodSandbox", request)).pod_sandbox_id)
                    except RuntimeRefused as fault:
                        other = name_holder(str(fault))
                        if not other:
                            raise
                    with contextlib.suppress(NotInRuntime):  # it is being made, or that has just failed
                        if (await self.sandbox_status(other)).sandbox.ready:
                            return other
                        raise RuntimeRefused(f"sandbox {other} has the name, and is not ready")
                    await asyncio.sleep(MAKING_POLL_S)
        except TimeoutError as error:
            raise RuntimeUnreachable("the sandbox that an earlier kubelet asked for is not made in time") from error

    async def sandbox_status(self, sandbox_id: str) -> SandboxStatus:
        reply = await self._call("PodSandboxStatus", cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id), READ_S)
        return replies.sandbox_status(reply.status)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._host_ports.close(sandbox_id)
        with contextlib.suppress(NotInRuntime):
            await self._end_sandbox("StopPodSandbox", cri.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._host_ports.close(sandbox_id)
        try:
            uid = (await self._made_of.config_of(sandbox_id)).metadata.uid
            await self._end_sandbox("RemovePodSandbox", cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))
        except NotInRuntime:
            uid = ""
        await self._clear(sandbox_id)
        self._made_of.sandbox_removed(sandbox_id)
        if uid and not self._made_of.has_sandbox(uid):
            await asyncio.to_thread(self.cgroups.remove_pod, uid)

    async def _end_sandbox(self, method: str, request: Any) -> None:
        """Call once more when a broken record of the sandbox's network was in the way."""
        try:
            await self._call(method, request, WORK_S)
        except RuntimeRefused:
            if not await asyncio.to_thread(cni_records.drop_broken, request.pod_sandbox_id):
                raise
            await self._call(method, request, WORK_S)

    # -- containers -------------------------------------------------------------------------------------------------

    async def create_container(self, sandbox_id: str, spec: ContainerSpec) -> str:
        sandbox = await self._made_of.config_of(sandbox_id)
        config = requests.container_config(spec, sandbox)
        resources = config.linux.resources
        if resources.oom_score_adj < 0 and not self._may_lower_oom_score:
            resources.oom_score_adj = 0  # restrict_oom_score_adj reaches only the pause container in containerd 1.6
        if not self.handlers.keep_flags(sandbox.annotations.get(HANDLER, "")):
            await asyncio.to_thread(_keep_readonly, config)
        request = cri.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox)
        reply = await self._call("CreateContainer", request, WORK_S)
        self._made_of.container_made(reply.container_id, sandbox_id)
        return str(reply.container_id)

    async def start_container(self, container_id: str) -> None:
        await self._call_outliving("StartContainer", cri.StartContainerRequest(container_id=container_id))

    async def container_status(self, container_id: str) -> ContainerStatus:
        reply = await self._call("ContainerStatus", cri.ContainerStatusRequest(container_id=container_id), READ_S)
        return replies.container_status(reply.status, await self._made_of.sandbox_of(container_id))

    async def stop_container(self, container_id: str, grace_s: float, signal: str = "") -> None:
        if signal and grace_s > 0:
            with contextlib.suppress(NotInRuntime):
                await stop_signal.end_by(self._call, container_id, signal, grace_s)
            grace_s = 0.0
        request = cri.StopContainerRequest(container_id=container_id, timeout=requests.whole_seconds(grace_s))
        with contextlib.suppress(NotInRuntime):
            await self._call("StopContainer", request, grace_s + STOP_SLACK_S)

    async def remove_container(self, container_id: str) -> None:
        with contextlib.suppress(NotInRuntime):
            await self._call("RemoveContainer", cri.RemoveContainerRequest(container_id=container_id), WORK_S)
        await self._clear(container_id)
        self._made_of.container_removed(container_id)

    async def _clear(self, identity: str) -> None:
        if not self._foreign:
            await self._remains.clear(identity)

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        """A container that holds more memory than it may have then would be killed, or the kernel would refuse."""
        uid = (await self._made_of.config_of(await self._made_of.sandbox_of(container_id))).metadata.uid
        held_bytes = await asyncio.to_thread(self.cgroups.held_memory, f"{self.cgroups.pod(uid)}/{container_id}")
        limit_bytes = resources.memory_limit_bytes
        if limit_bytes and held_bytes > limit_bytes:
            raise RuntimeRefused(
                f"attempting to set container memory limit ({limit_bytes}) below current usage ({held_bytes})"
            )
        request = cri.UpdateContainerResourcesRequest(
            container_id=container_id, linux=requests.linux_resources(resources)
        )
        await self._call("UpdateContainerResources", request, WORK_S)

    async def resize_pod(self, pod_uid: str, resources: Resources) -> None:
        """A kernel that can't take the memory away from the pod refuses."""
        try:
            await asyncio.to_thread(self.cgroups.resize_pod, pod_uid, resources)
        except OSError as error:
            raise RuntimeRefused(f"the pod's cgroup can't be resized: {error.strerror}") from error

    async def reopen_log(self, container_id: str) -> None:
        await self._call("ReopenContainerLog", cri.ReopenContainerLogRequest(container_id=container_id), READ_S)

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        limit = requests.whole_seconds(timeout_s)
        request = cri.ExecSyncRequest(container_id=container_id, cmd=list(command), timeout=limit)
        deadline_s = limit + EXEC_SLACK_S if limit else UNBOUNDED_EXEC_S
        try:
            reply = await self._call("ExecSync", request, deadline_s)
        except RuntimeFault as fault:
            if limit and exec_timed_out(str(fault)):
                raise ExecTimeout(f"command {list(command)!r} did not finish in {limit} s") from fault
            raise
        return ExecResult(exit_code=reply.exit_code, stdout=reply.stdout, stderr=reply.stderr)

    async def stats(self) -> Sequence[ContainerStats]:
        """containerd 1.6 lists containers that have ended, too: without figures, and so left out here."""
        reply = await self._call("ListContainerStats", cri.ListContainerStatsRequest(), READ_S)
        return [replies.container_stats(item) for item in reply.stats if item.HasField("cpu")]

    # -- images -----------------------------------------------------------------------------------------------------

    async def image_status(self, reference: str) -> Image | None:
        return await self._images.status(reference)

    async def pull_image(self, reference: str, auth: ImageAuth | None = None) -> str:
        return await self._images.pull(reference, auth)

    async def images(self) -> Sequence[Image]:
        return await self._images.list()

    async def remove_image(self, image_id: str) -> None:
        await self._images.remove(image_id)

    async def image_layers(self, image_id: str, key: str) -> Sequence[str]:
        return await self._layers.view(image_id, key)

    async def release_image_layers(self, key: str) -> None:
        await self._layers.release(key)

    # -- events -----------------------------------------------------------------------------------------------------

    async def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        return await subscribe(self._connection)


def _keep_readonly(config: cri.ContainerConfig) -> None:
    """Ask for what is mounted read-only here to be so in a container whose handler would forget it otherwise."""
    for mount in config.mounts:
        mount.readonly = mount.readonly or is_readonly(Path(mount.host_path))

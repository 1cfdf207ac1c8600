"""Starts sandboxes and containers, telling users by events what was done and what went wrong.

What keeps a container from starting becomes `StartFailed`: a reason for its status and a time to try again. A failed
attempt leaves nothing that the next decision would not find in the runtime.
"""

from collections.abc import Callable, Sequence
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.compute import Start
from actors.kubelet.container_spec import NodeFacts, container_spec, sandbox_spec
from actors.kubelet.counts import Counts, container_type
from actors.kubelet.images import ImageNotReady, Images, normalized
from actors.kubelet.observed import has_exited, is_running
from actors.kubelet.observer import Observer
from actors.kubelet.places import Places
from actors.kubelet.probes.checks import Target
from actors.kubelet.probes.hooks import POST_START_LIMIT_S, HookFailed, run_hook
from actors.kubelet.runtime import (
    ContainerState,
    RuntimeDriver,
    RuntimeFault,
    RuntimeRefused,
    RuntimeUnreachable,
    SandboxStatus,
)
from actors.kubelet.runtime_class import GetObject, RuntimeClassUnknown, handler_of
from actors.kubelet.slots import Slots
from actors.kubelet.surroundings.downward import ConfigError
from actors.kubelet.surroundings.pod_files import Files
from actors.kubelet.telling import Tell
from actors.kubelet.volumes import image_volumes
from runtime.clock import Clock
from runtime.failpoint import passing

STARTING_S = 0.5  # until a start that another kubelet asked for is looked at again, if no event tells of it before
START, CREATE, SANDBOX = range(3)  # the first comes first: a pod that was begun is ended before another is begun
UNDER_WAY = "ContainerCreating"  # no fault: it is only not there yet
RETRY_S = 10.0  # until the next try after a failure that has no backoff of its own


class StartFailed(Exception):
    """A container or sandbox could not be started. `retry_s` is the wall time of the next try."""

    def __init__(self, reason: str, message: str, retry_s: float):
        super().__init__(message)
        self.reason, self.message, self.retry_s = reason, message, retry_s


class Starter:
    def __init__(
        self,
        driver: RuntimeDriver,
        observer: Observer,
        images: Images,
        files: Files,
        places: Places,
        node: NodeFacts,
        tell: Tell,
        network_fault: Callable[[], str],
        get_object: GetObject,
        slots: Slots,
        counts: Counts,
        clock: Clock,
    ):
        """`network_fault` tells why pods can't have a network yet, empty when they can; `get_object` reads the API."""
        self._get_object = get_object
        self._network_fault = network_fault
        self._driver, self._observer, self._images, self._files = driver, observer, images, files
        self._places, self._node, self._tell, self._clock = places, node, tell, clock
        self._slots, self._counts = slots, counts

    async def start_sandbox(self, pod: pods.Pod, attempt: int) -> SandboxStatus:
        fault = "" if pods.is_host_network(pod) else self._network_fault()
        if fault:
            self._tell(pod, "Warning", "NetworkNotReady", f"network is not ready: {fault}")
            raise StartFailed(UNDER_WAY, "", self._clock.wall() + RETRY_S)
        self._counts.sandbox_starts += 1
        try:
            _check_supported(pod)
            handler = await handler_of(pod, self._get_object)
            flags = self._files.need_mount_flags(pod)
            spec = sandbox_spec(pod, attempt, self._files.dns(pod), self._places.logs, self._node, handler, flags)
            async with self._slots.of(SANDBOX):
                identity = await self._driver.run_sandbox(spec)
            passing("kubelet.sandbox-made")
            status = await self._observer.refresh_sandbox(identity)
        except RuntimeUnreachable:
            self._counts.sandbox_faults += 1
            raise
        except (RuntimeFault, RuntimeClassUnknown) as error:
            self._counts.sandbox_faults += 1
            message = f"Failed to create pod sandbox: {error}"
            self._tell(pod, "Warning", "FailedCreatePodSandBox", message)
            raise StartFailed(UNDER_WAY, "", self._clock.wall() + RETRY_S) from error
        if status is None:
            raise StartFailed(UNDER_WAY, "", self._clock.wall())
        return status

    async def start_container(self, pod: pods.Pod, sandbox: SandboxStatus, start: Start) -> None:
        """Make one container, unless it was made already, start it, and run its postStart hook."""
        kind = container_type(pod, start.name)
        self._counts.container_starts[kind] += 1
        try:
            await self._start_container(pod, sandbox, start)
        except StartFailed as error:
            if error.reason != UNDER_WAY:
                self._counts.container_faults[(kind, error.reason)] += 1
            raise

    async def _start_container(self, pod: pods.Pod, sandbox: SandboxStatus, start: Start) -> None:
        container = pods.find_container(pod, start.name)
        assert container is not None, f"{start.name} is not in {pods.key(pod)}"
        ips = pods.addresses(pod, sandbox.ips, self._node.host_ips)
        identity = start.adopts or await self._create(pod, container, sandbox, start, ips)
        passing("kubelet.container-made")
        try:
            async with self._slots.of(START):
                await self._driver.start_container(identity)
        except RuntimeUnreachable:
            raise
        except RuntimeFault as error:
            await self._not_started(pod, start, identity, error)
        self._tell(pod, "Normal", "Started", f"Started container {start.name}", start.name)
        await self._observer.refresh_container(identity)
        await self._post_start(pod, container, identity, ips)

    async def _not_started(self, pod: pods.Pod, start: Start, identity: str, error: RuntimeFault) -> None:
        """Raise StartFailed, unless the container was started by a kubelet before this one, whose call goes on."""
        status = await self._observer.refresh_container(identity)
        if start.adopts and status is not None and status.started_ns:
            return
        if start.adopts and status is not None and status.container.state is ContainerState.CREATED:
            raise StartFailed(UNDER_WAY, "", self._clock.wall() + STARTING_S) from error
        self._tell(pod, "Warning", "Failed", f"Error: {error}", start.name)
        again_s = 0.0 if has_exited(status) else RETRY_S  # an instance that ended is followed by another, with backoff
        raise StartFailed("RunContainerError", str(error), self._clock.wall() + again_s) from error

    async def _create(
        self, pod: pods.Pod, container: pods.ContainerDict, sandbox: SandboxStatus, start: Start, ips: Sequence[str]
    ) -> str:
        try:
            auths = self._files.auths(pod, normalized(container.get("image", "")))
            image = await self._images.ensure(pod, container, auths)
            await self._mount_images(pod, container)
            env = self._files.environment(pod, container, ips)
            mounts = self._files.mounts(pod, container, start.restart_count, ips, env)
            devices = self._files.devices(pod, container)
            target = self._target(pod, container)
            spec = container_spec(pod, container, start.restart_count, image, env, mounts, self._node, devices, target)
            async with self._slots.of(CREATE):
                identity = await self._driver.create_container(sandbox.sandbox.id, spec)
                self._observer.expect(identity)
        except ImageNotReady as error:
            raise StartFailed(error.reason, error.message, error.retry_s) from error
        except ConfigError as error:
            raise self._failed(pod, start.name, "CreateContainerConfigError", error) from error
        except RuntimeUnreachable:
            raise
        except (RuntimeFault, OSError) as error:
            raise self._failed(pod, start.name, "CreateContainerError", error) from error
        self._tell(pod, "Normal", "Created", f"Created container: {start.name}", start.name)
        return identity

    def _target(self, pod: pods.Pod, container: pods.ContainerDict) -> str:
        """Return the container whose processes an ephemeral one shall see; it must run."""
        name = container.get("targetContainerName")
        if not name:
            return ""
        status = self._observer.pod(pods.uid(pod)).newest(name)
        if status is None or not is_running(status):
            raise ConfigError(f"unable to find target container {name}")
        return status.container.id

    async def _mount_images(self, pod: pods.Pod, container: pods.ContainerDict) -> None:
        """Mount the images that are volumes of a container, each once for its pod."""
        for volume in image_volumes.mounted_by(pod, container):
            if self._files.has_image(pod, volume["name"]):
                continue
            source = volume["image"]
            wanted = {"image": source.get("reference", ""), "imagePullPolicy": source.get("pullPolicy")}
            image = await self._images.ensure(pod, wanted, self._files.auths(pod, normalized(wanted["image"])))
            await self._files.mount_image(pod, volume["name"], image.id)

    def _failed(self, pod: pods.Pod, name: str, reason: str, error: Exception) -> StartFailed:
        self._tell(pod, "Warning", "Failed", f"Error: {error}", name)
        return StartFailed(reason, str(error), self._clock.wall() + RETRY_S)

    async def _post_start(self, pod: pods.Pod, container: dict[str, Any], identity: str, ips: Sequence[str]) -> None:
        hook = pods.post_start(pod, container["name"])
        if not hook:
            return
        try:
            await run_hook(self._driver, Target(identity, container, ips), hook, POST_START_LIMIT_S)
        except HookFailed as error:
            self._tell(pod, "Warning", "FailedPostStartHook", f"PostStartHook failed: {error}", container["name"])
            self._tell(pod, "Normal", "Killing", "FailedPostStartHook", container["name"])
            await self._driver.stop_container(identity, pods.grace_period_s(pod))
            await self._observer.refresh_container(identity)
            raise StartFailed("PostStartHookError", str(error), self._clock.wall()) from error


def _check_supported(pod: pods.Pod) -> None:
    """What the pod asks for and would not get, without a word from the runtime.

    containerd before 2.0 and runc before 1.2 would run a pod with users of its own as the node's. No driver of devices
    can register here, so nobody would prepare what a pod claims.
    """
    if pod["spec"].get("hostUsers") is False:
        raise RuntimeRefused("the container runtime does not support user namespaces (hostUsers: false)")
    if pod["spec"].get("resourceClaims"):
        raise RuntimeRefused("this node has no driver that could prepare its devices (resourceClaims)")

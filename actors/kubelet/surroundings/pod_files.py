"""All that a pod's containers find around them on a node: volumes, variables, hosts and DNS, logs, credentials.

`PodFiles` is the real thing; a simulated node has `NoFiles`, which needs neither files nor objects. Neighbours:
`objects` and `tokens` fetch, `volumes`, `environment` and `hosts` make, `starter` uses the result.
"""

import asyncio
import functools
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from actors.kubelet import pod as pods
from actors.kubelet.container_spec import TERMINATION_LOG, log_directory
from actors.kubelet.logs.rotation import log_files
from actors.kubelet.measure import Durations
from actors.kubelet.places import Places
from actors.kubelet.runtime import ContainerStatus, Device, Dns, ImageAuth, Mount, RuntimeDriver
from actors.kubelet.surroundings import environment
from actors.kubelet.surroundings.environment import Surroundings
from actors.kubelet.surroundings.hosts import dns_of, hosts_file, resolv_conf
from actors.kubelet.surroundings.objects import Objects
from actors.kubelet.surroundings.pull_secrets import auths_for
from actors.kubelet.surroundings.tokens import Tokens
from actors.kubelet.volumes import content
from actors.kubelet.volumes.claims import Claims, claim_volumes
from actors.kubelet.volumes.image_volumes import ImageVolumes
from actors.kubelet.volumes.volumes import Volumes
from runtime.informer import Informer

RESOLV_CONF, HOSTS = Path("/etc/resolv.conf"), Path("/etc/hosts")
DNS_SERVICE = "kube-system/kube-dns"  # whose ClusterIP pods ask for names, when there is one
UNKNOWN_POD = ("unknown", "unknown")  # namespace and name
TERMINATION_LOG_MODE = 0o666  # whoever the container runs as may write it

Environment = Sequence[tuple[str, str]]


class Files(Protocol):
    """What a pod's start and end need of the node's files."""

    async def prepare(self, pod: pods.Pod) -> None:
        """Make or refresh everything. Raises VolumeError, ClaimNotReady, ApiError or BusError."""

    def renew_at_s(self, pod: pods.Pod) -> float | None:
        """Return the wall time when `prepare` is due again by itself."""

    def environment(self, pod: pods.Pod, container: pods.ContainerDict, pod_ips: Sequence[str]) -> Environment: ...

    def mounts(
        self, pod: pods.Pod, container: pods.ContainerDict, count: int, pod_ips: Sequence[str], env: Environment
    ) -> Sequence[Mount]: ...

    def devices(self, pod: pods.Pod, container: pods.ContainerDict) -> Sequence[Device]: ...

    def need_mount_flags(self, pod: pods.Pod) -> bool:
        """Tell whether flags that volumes are mounted with here (noexec, nosuid, nodev) must hold in containers."""

    def dns(self, pod: pods.Pod) -> Dns | None: ...

    def auths(self, pod: pods.Pod, reference: str) -> Sequence[ImageAuth]: ...

    def has_image(self, pod: pods.Pod, volume: str) -> bool:
        """Tell whether a volume that is an image is mounted."""

    async def mount_image(self, pod: pods.Pod, volume: str, image_id: str) -> None:
        """Mount an image as a volume. Raises RuntimeFault or OSError."""

    async def remove_volumes(self, uid: str) -> None:
        """Remove all but the logs: the pod has ended. Raises RuntimeFault when an image can't be let go."""

    async def remove(self, pod: pods.Pod) -> None:
        """Remove everything: the pod is gone."""

    def remove_container(self, status: ContainerStatus) -> None:
        """Remove what one container instance left: its log, its termination message."""

    def kept(self) -> dict[str, tuple[str, str]]:
        """Return the uids of pods that files are kept for, with namespace and name where the files tell them."""

    def has_volume(self, pod: pods.Pod, volume: dict[str, Any]) -> bool:
        """Tell whether a volume of a pod was made."""

    def claimed(self, pod: pods.Pod) -> Mapping[str, tuple[str, Path]]:
        """Return by volume the claim, and where on the disk it is; block devices are left out."""

    @property
    def mounts_s(self) -> Durations:
        """How long making volumes took, by plugin and outcome."""


class NoFiles:
    """Nothing is executed, so nothing is needed."""

    async def prepare(self, pod: pods.Pod) -> None:
        return None

    def renew_at_s(self, pod: pods.Pod) -> float | None:
        return None

    def environment(self, pod: pods.Pod, container: pods.ContainerDict, pod_ips: Sequence[str]) -> Environment:
        return ()

    def mounts(
        self, pod: pods.Pod, container: pods.ContainerDict, count: int, pod_ips: Sequence[str], env: Environment
    ) -> Sequence[Mount]:
        return ()

    def devices(self, pod: pods.Pod, container: pods.ContainerDict) -> Sequence[Device]:
        return ()

    def need_mount_flags(self, pod: pods.Pod) -> bool:
        return False

    def dns(self, pod: pods.Pod) -> Dns | None:
        return None

    def auths(self, pod: pods.Pod, reference: str) -> Sequence[ImageAuth]:
        return ()

    def has_image(self, pod: pods.Pod, volume: str) -> bool:
        return True

    async def mount_image(self, pod: pods.Pod, volume: str, image_id: str) -> None:
        return None

    async def remove_volumes(self, uid: str) -> None:
        return None

    async def remove(self, pod: pods.Pod) -> None:
        return None

    def remove_container(self, status: ContainerStatus) -> None:
        return None

    def kept(self) -> dict[str, tuple[str, str]]:
        return {}

    def has_volume(self, pod: pods.Pod, volume: dict[str, Any]) -> bool:
        return True

    def claimed(self, pod: pods.Pod) -> Mapping[str, tuple[str, Path]]:
        return {}

    @property
    def mounts_s(self) -> Durations:
        return Durations()


class PodFiles:
    def __init__(
        self,
        places: Places,
        objects: Objects,
        claims: Claims,
        tokens: Tokens,
        services: Informer,
        domain: str,
        host_ips: Sequence[str],
        allocatable: Callable[[], Mapping[str, str]],
        driver: RuntimeDriver,
        log: Any,
    ):
        self._places, self._objects, self._tokens, self._services = places, objects, tokens, services
        self._claims = claims
        self._domain, self._host_ips, self._allocatable = domain, host_ips, allocatable
        self._volumes = Volumes(places, claims.place, log)
        self._image_volumes = ImageVolumes(driver, places)
        services.add_index("namespace", lambda service: [service["metadata"]["namespace"]])

    async def prepare(self, pod: pods.Pod) -> None:
        namespace = pods.namespace(pod)
        named = environment.references(pod) | content.references(pod) | set(self._claims.references(pod))
        named |= {("secrets", item["name"]) for item in pod["spec"].get("imagePullSecrets") or ()}
        await self._objects.acquire(pods.uid(pod), ((kind, namespace, name) for kind, name in named))
        await self._tokens.acquire(pod, content.token_sources(pod))
        await self._claims.resolve(pod)
        if not pods.is_static(pod):  # which start without the API's word
            await self._services.synced()
        await self._prepare_volumes(pod)
        logs = log_directory(self._places.logs, pod)
        for container in pods.all_containers(pod):
            (logs / container["name"]).mkdir(parents=True, exist_ok=True)

    async def _prepare_volumes(self, pod: pods.Pod) -> None:
        """Claimed volumes come with files, whose owners may have to be changed one by one: that is for a thread."""
        prepare = functools.partial(
            self._volumes.prepare, pod, self._around(pod, ()), lambda source: self._tokens.get(pod, source)
        )
        if not claim_volumes(pod):
            prepare()
            return
        preparing = asyncio.ensure_future(asyncio.to_thread(prepare))
        try:
            await asyncio.shield(preparing)
        except asyncio.CancelledError:
            await asyncio.wait((preparing,))  # a thread can't be told to stop, and must not make what others remove
            raise

    def renew_at_s(self, pod: pods.Pod) -> float | None:
        return self._tokens.renew_at_s(pod, content.token_sources(pod))

    def environment(self, pod: pods.Pod, container: pods.ContainerDict, pod_ips: Sequence[str]) -> Environment:
        return environment.environment(pod, container, self._around(pod, pod_ips))

    def mounts(
        self, pod: pods.Pod, container: pods.ContainerDict, count: int, pod_ips: Sequence[str], env: Environment
    ) -> Sequence[Mount]:
        mounts = self._volumes.mounts(pod, container, dict(env))
        targets = {mount.container_path for mount in mounts}
        if "/etc/hosts" not in targets and (not pods.is_host_network(pod) or pod["spec"].get("hostAliases")):
            mounts.append(self._hosts(pod, pod_ips))
        message_path = container.get("terminationMessagePath") or TERMINATION_LOG
        if message_path not in targets:
            mounts.append(self._termination_log(pod, container["name"], count, message_path))
        return mounts

    def devices(self, pod: pods.Pod, container: pods.ContainerDict) -> Sequence[Device]:
        return self._volumes.devices(pod, container)

    def need_mount_flags(self, pod: pods.Pod) -> bool:
        return self._volumes.need_mount_flags(pod)

    def has_image(self, pod: pods.Pod, volume: str) -> bool:
        return self._image_volumes.is_mounted(pods.uid(pod), volume)

    async def mount_image(self, pod: pods.Pod, volume: str, image_id: str) -> None:
        await self._image_volumes.mount(pods.uid(pod), volume, image_id)

    def dns(self, pod: pods.Pod) -> Dns | None:
        service = self._services.get(DNS_SERVICE)
        address = (service or {}).get("spec", {}).get("clusterIP")
        cluster = [address] if address and address != "None" else []
        node = resolv_conf(RESOLV_CONF.read_text()) if RESOLV_CONF.is_file() else Dns()
        return dns_of(pod, cluster, self._domain, node)

    def auths(self, pod: pods.Pod, reference: str) -> Sequence[ImageAuth]:
        namespace = pods.namespace(pod)
        names = [item["name"] for item in pod["spec"].get("imagePullSecrets") or ()]
        found = (self._objects.get("secrets", namespace, name) for name in names)
        return auths_for(reference, (secret for secret in found if secret is not None))

    async def remove_volumes(self, uid: str) -> None:
        self._objects.release(uid)
        self._tokens.release(uid)
        self._claims.release(uid)
        await self._image_volumes.release(uid)
        await self._volumes.remove(uid)

    async def remove(self, pod: pods.Pod) -> None:
        await self.remove_volumes(pods.uid(pod))
        shutil.rmtree(log_directory(self._places.logs, pod), ignore_errors=True)

    def remove_container(self, status: ContainerStatus) -> None:
        container = status.container
        self._places.termination_log(container.pod_uid, container.name, container.attempt).unlink(missing_ok=True)
        for file in log_files(Path(status.log_path)) if status.log_path else ():
            file.unlink(missing_ok=True)

    def kept(self) -> dict[str, tuple[str, str]]:
        logs = os.listdir(self._places.logs) if self._places.logs.is_dir() else ()
        parts = (folder.split("_") for folder in logs)  # as `log_directory` joins them; none has a "_" of its own
        named = {part[2]: (part[0], part[1]) for part in parts if len(part) == 3}
        return dict.fromkeys(self._volumes.kept(), UNKNOWN_POD) | named

    def has_volume(self, pod: pods.Pod, volume: dict[str, Any]) -> bool:
        return self._volumes.is_made(pod, volume)

    def claimed(self, pod: pods.Pod) -> Mapping[str, tuple[str, Path]]:
        found = {}
        for volume, (claim, _) in claim_volumes(pod).items():
            place = self._claims.place(pods.uid(pod), volume)
            if place is not None and not place.is_block:
                found[volume] = (claim, place.path)
        return found

    @property
    def mounts_s(self) -> Durations:
        return self._volumes.mounts_s

    def _around(self, pod: pods.Pod, pod_ips: Sequence[str]) -> Surroundings:
        namespace = pods.namespace(pod)
        services = [*self._services.by_index("namespace", namespace)]
        if namespace != "default":
            services += self._services.by_index("namespace", "default")
        return Surroundings(
            lookup=lambda kind, name: self._objects.get(kind, namespace, name),
            services=services,
            pod_ips=pod_ips or (self._host_ips if pods.is_host_network(pod) else ()),
            host_ips=self._host_ips,
            allocatable=self._allocatable(),
            env_file=functools.partial(self._volumes.env_file, pod),
        )

    def _hosts(self, pod: pods.Pod, pod_ips: Sequence[str]) -> Mount:
        path = self._places.hosts_file(pods.uid(pod))
        path.parent.mkdir(parents=True, exist_ok=True)
        own = HOSTS.read_text() if pods.is_host_network(pod) and HOSTS.is_file() else ""
        text = hosts_file(pod, pod_ips, self._domain, own)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            path.chmod(0o644)
        return Mount(str(path), "/etc/hosts")

    def _termination_log(self, pod: pods.Pod, name: str, count: int, target: str) -> Mount:
        path = self._places.termination_log(pods.uid(pod), name, count)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(TERMINATION_LOG_MODE)
        return Mount(str(path), target)

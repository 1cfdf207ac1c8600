"""The volumes of the pods on a node: made before containers start, kept current, removed after they ended.

What is on the disk tells the state, so that a restarted kubelet goes on: making a volume that is there changes nothing.
Secrets, tokens and memory-backed directories are on a tmpfs of their own. Where the kernel refuses to mount (no
CAP_SYS_ADMIN), they are plain directories, which the log says once.

Neighbours: `content` and `atomic` write files, `mounting` talks to the kernel, `starter` passes `mounts` on.
"""

import asyncio
import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from actors.api.quantity import bytes_of
from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.measure import Durations
from actors.kubelet.places import Places
from actors.kubelet.runtime import Device, Mount, Propagation
from actors.kubelet.surroundings import env_files
from actors.kubelet.surroundings.downward import ConfigError
from actors.kubelet.surroundings.environment import Surroundings, expand_strictly
from actors.kubelet.volumes import atomic, content, image_volumes, mounting, ownership
from actors.kubelet.volumes.claims import Place
from actors.kubelet.volumes.content import Tokens
from runtime.failpoint import passing

SECRET_KINDS = ("secret", "projected")  # on a tmpfs
PLUGINS = {
    "emptyDir": "empty-dir",
    "configMap": "configmap",
    "secret": "secret",
    "downwardAPI": "downward-api",
    "projected": "projected",
    "image": image_volumes.PLUGIN,
}
CLAIMED = "kubernetes.io/local-volume"
MOUNT_BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0)
EMPTY_DIR_MODE = 0o777
SHARED_MEMORY = Path("/dev/shm")
HUGE_PAGES = "hugepages-"  # resources of a container, by the size of a page
GROUP_OWNS = 0o2070  # what fsGroup adds to a directory
_PROPAGATION = {
    "None": Propagation.PRIVATE,
    "HostToContainer": Propagation.HOST_TO_CONTAINER,
    "Bidirectional": Propagation.BIDIRECTIONAL,
}
_HOST_PATH_KINDS: Mapping[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


class VolumeError(Exception):
    """A volume can't be made. `volume` is its name; the message goes into a FailedMount event."""

    def __init__(self, volume: str, message: str):
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {message}')


PlaceOf = Callable[[str, str], Place | None]  # (pod uid, volume name) -> where the claim's volume is


class Volumes:
    def __init__(self, places: Places, place_of: PlaceOf, log: Any):
        self._places = places
        self._place_of = place_of
        self._log = log
        self._may_mount = True
        self.mounts_s = Durations(MOUNT_BOUNDS_S)  # by plugin, and whether it succeeded

    def prepare(self, pod: pods.Pod, around: Surroundings, tokens: Tokens) -> None:
        """Make every volume of a pod, or bring it up to date. VolumeError names the first that can't be made."""
        for volume in pod["spec"].get("volumes") or ():
            begun_s, status = time.perf_counter(), "fail-unknown"
            try:
                self._prepare(pod, volume, around, tokens)
                status = "success"
            except (ConfigError, OSError, ValueError) as error:
                raise VolumeError(volume["name"], str(error)) from error
            finally:
                self.mounts_s.observe(time.perf_counter() - begun_s, plugin_of(volume), status)

    def path(self, pod: pods.Pod, volume: dict[str, Any]) -> Path:
        """Return where a volume is on the node."""
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        for field, plugin in PLUGINS.items():
            if field in volume:
                return self._places.volume(pods.uid(pod), plugin, volume["name"])
        place = self._place_of(pods.uid(pod), volume["name"])
        if place is not None:
            return place.path
        source = next((name for name in volume if name != "name"), "none")
        raise ConfigError(f"volume source {source} is not supported on this node")

    def need_mount_flags(self, pod: pods.Pod) -> bool:
        """Tell whether a volume that the kubelet did not fill itself is mounted here with noexec, nosuid or nodev.

        An image's volume is so once it is mounted. Who shares the node's IPC shares its /dev/shm.
        """
        sources = [SHARED_MEMORY] if pod["spec"].get("hostIPC") else []
        for volume in pod["spec"].get("volumes") or ():
            if "image" in volume:
                return True
            place = self._place_of(pods.uid(pod), volume["name"])
            if "hostPath" in volume or place is not None:
                sources.append(self.path(pod, volume))
        return any(mounting.has_flags(source) for source in sources)

    def is_made(self, pod: pods.Pod, volume: dict[str, Any]) -> bool:
        """Tell whether a volume is there for the pod's containers."""
        try:
            return self.path(pod, volume).exists()
        except ConfigError:
            return False

    def env_file(self, pod: pods.Pod, name: str, path: str) -> bytes | None:
        """Return what a file in an emptyDir holds, None when it is not there. ConfigError when it can't be read."""
        volume = next((item for item in pod["spec"].get("volumes") or () if item["name"] == name), None)
        if volume is None or "emptyDir" not in volume:
            raise ConfigError(f'volume "{name}" of env file "{path}" is not an emptyDir of the pod')
        try:
            return mounting.read_below(self.path(pod, volume), path, env_files.MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f'can\'t read env file "{path}" of volume "{name}": {error.strerror}') from error

    def mounts(self, pod: pods.Pod, container: pods.ContainerDict, variables: Mapping[str, str]) -> list[Mount]:
        """Return the mounts of a container; makes the bind mounts that its sub-paths need."""
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
        mounts = []
        for index, wanted in enumerate(container.get("volumeMounts") or ()):
            volume = volumes.get(wanted["name"])
            if volume is None:
                raise ConfigError(f"volume {wanted['name']} of container {container['name']} is not in the pod")
            place = self._place_of(pods.uid(pod), volume["name"])
            if place is not None and place.is_block:
                raise ConfigError(f"volume {wanted['name']} has volumeMode Block, but is specified in volumeMounts")
            source = self.path(pod, volume)
            subpath = wanted.get("subPath") or expand_strictly(wanted.get("subPathExpr") or "", variables)
            recursive = _is_recursive(wanted) and source.is_dir()
            if subpath or recursive:
                target = self._places.subpath(pods.uid(pod), volume["name"], container["name"], index)
                try:
                    mounting.bind_subpath(source, subpath or ".", target)
                    if recursive:
                        mounting.make_all_readonly(target)
                except OSError as error:
                    where = f'volumeMount "{wanted["name"]}" of container "{container["name"]}"'
                    raise ConfigError(f"failed to prepare subPath for {where}: {error.strerror}") from error
                passing("kubelet.subpath-mounted")
                source = target
            if recursive or "image" in volume:  # as it is mounted here; the runtime would set its own flags instead
                wanted = {**wanted, "readOnly": False}
            mounts.append(_mount(wanted, source, place is not None and place.readonly))
        return mounts

    def devices(self, pod: pods.Pod, container: pods.ContainerDict) -> list[Device]:
        """Return the block devices of a container."""
        found = []
        for wanted in container.get("volumeDevices") or ():
            place = self._place_of(pods.uid(pod), wanted["name"])
            if place is None or not place.is_block:
                raise ConfigError(
                    f"volume {wanted['name']} has volumeMode Filesystem, but is specified in volumeDevices"
                )
            found.append(Device(str(place.path), wanted["devicePath"], "r" if place.readonly else "rwm"))
        return found

    async def remove(self, uid: str) -> None:
        """Unmount and remove all that is kept for a pod. Big directories take their time, so in a thread."""
        await asyncio.to_thread(self._remove, self._places.pod(uid))

    def kept(self) -> list[str]:
        """Return the uids of pods that have files here."""
        return os.listdir(self._places.pods) if self._places.pods.is_dir() else []

    def _remove(self, root: Path) -> None:
        if not root.exists():
            return
        mounting.unmount_below(root)
        passing("kubelet.unmounted")
        shutil.rmtree(root)

    def _prepare(self, pod: pods.Pod, volume: dict[str, Any], around: Surroundings, tokens: Tokens) -> None:
        path = self.path(pod, volume)
        if "hostPath" in volume:
            _check_host_path(path, volume["hostPath"].get("type") or "")
            return
        if "image" in volume:
            return  # mounted when the first container that wants it starts
        security = pod["spec"].get("securityContext") or {}
        group = security.get("fsGroup")
        place = self._place_of(pods.uid(pod), volume["name"])
        if place is not None:
            _prepare_claimed(place, group, security.get("fsGroupChangePolicy") or "Always")
            return
        if "emptyDir" in volume:
            self._prepare_empty_dir(path, volume["emptyDir"] or {}, group, pod, around)
            return
        if not path.is_dir():
            path.mkdir(parents=True)
            path.chmod(0o755)
        if any(kind in volume for kind in SECRET_KINDS):
            self._mount_tmpfs(path)
        atomic.write(path, content.payload(pod, volume, around, tokens), group)

    def _prepare_empty_dir(
        self, path: Path, source: dict[str, Any], group: int | None, pod: pods.Pod, around: Surroundings
    ) -> None:
        medium, size_bytes = source.get("medium") or "", bytes_of(source.get("sizeLimit") or 0)
        if path.is_dir() and (not medium or mounting.is_mount(path)):
            return
        path.mkdir(parents=True, exist_ok=True)
        if medium == "Memory":
            self._mount_tmpfs(path, memory_bound(pod, size_bytes, around))
        elif medium:
            mounting.mount_huge_pages(path, huge_page_bytes(medium, pod), size_bytes)
            passing("kubelet.huge-pages-mounted")
        path.chmod(EMPTY_DIR_MODE)
        if group is not None:
            os.chown(path, -1, group)
            path.chmod(EMPTY_DIR_MODE | GROUP_OWNS)

    def _mount_tmpfs(self, path: Path, size_bytes: int = 0) -> None:
        if not self._may_mount:
            return
        try:
            mounting.mount_tmpfs(path, size_bytes)
            passing("kubelet.tmpfs-mounted")
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            self._may_mount = False
            self._log.warning("may not mount: secrets and memory-backed volumes are on the disk", error=str(error))


def plugin_of(volume: dict[str, Any]) -> str:
    """Return the name of what makes a volume, as metrics have it."""
    if "hostPath" in volume:
        return "kubernetes.io/host-path"
    return next((f"kubernetes.io/{plugin}" for field, plugin in PLUGINS.items() if field in volume), CLAIMED)


def memory_bound(pod: pods.Pod, size_bytes: int, around: Surroundings) -> int:
    """Return how large a volume in memory may grow: its limit, the pod's, or what the node has; 0 when none tells."""
    of_node = bytes_of((around.allocatable or {}).get("memory") or 0)
    bounds = (size_bytes, qos.pod_resources(pod).memory_limit_bytes, of_node)
    return min((bound for bound in bounds if bound), default=0)


def huge_page_bytes(medium: str, pod: pods.Pod) -> int:
    """Return the size of the pages that a medium means: HugePages-2Mi names it, HugePages is the one that is asked for.

    ConfigError when the pod asks for no such pages, or does not say which.
    """
    owners = [*pods.all_containers(pod), pod["spec"]]
    names = {name for owner in owners for name in (owner.get("resources") or {}).get("requests") or {}}
    asked = {bytes_of(name.removeprefix(HUGE_PAGES)) for name in names if name.startswith(HUGE_PAGES)}
    wanted = asked if medium == "HugePages" else asked & {bytes_of(medium.removeprefix("HugePages-"))}
    if len(wanted) > 1:
        raise ConfigError(f"medium {medium} may be pages of several sizes that the pod asks for")
    if not wanted:
        raise ConfigError(f"the pod's containers ask for no huge pages as medium {medium} has them")
    return wanted.pop()


def _prepare_claimed(place: Place, group: int | None, policy: str) -> None:
    if place.is_made and not place.path.exists():
        place.path.mkdir(parents=True)
        place.path.chmod(EMPTY_DIR_MODE)  # whoever the pod runs as may write it
    _check_host_path(place.path, place.kind)
    if group is not None and place.is_owned and not place.readonly:
        ownership.give_to_group(place.path, group, policy)


def _is_recursive(wanted: dict[str, Any]) -> bool:
    """Tell whether what is mounted inside a volume is to be read-only, too. ConfigError when it must and can't."""
    mode = wanted.get("recursiveReadOnly") or "Disabled"
    if mode == "Disabled" or not wanted.get("readOnly"):
        return False
    if not mounting.can_make_all_readonly() and mode == "Enabled":
        raise ConfigError(f"volume {wanted['name']} asks for recursive read-only, which this kernel does not know")
    return mounting.can_make_all_readonly()


def _mount(wanted: dict[str, Any], source: Path, is_readonly: bool = False) -> Mount:
    return Mount(
        host_path=str(source),
        container_path=wanted["mountPath"] if wanted["mountPath"].startswith("/") else f"/{wanted['mountPath']}",
        readonly=bool(wanted.get("readOnly")) or is_readonly,
        propagation=_PROPAGATION[wanted.get("mountPropagation") or "None"],
    )


def _check_host_path(path: Path, kind: str) -> None:
    """Hold a hostPath to its type, creating what `...OrCreate` asks for."""
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(parents=True, mode=0o755)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    expected = _HOST_PATH_KINDS.get(kind.removesuffix("OrCreate"))
    if expected is None:
        return
    if not path.exists():
        raise ConfigError(f"hostPath type check failed: {path} does not exist")
    if not expected[0](path.stat().st_mode):
        raise ConfigError(f"hostPath type check failed: {path} is not {expected[1]}")

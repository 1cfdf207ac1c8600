"""Static pods: those that a directory on the node asks for, without the API server's word.

Each file holds one Pod. The pod runs as long as its file is there and unchanged; a changed file is another pod. So that
others see it, the API gets a mirror of it (a Pod of the same name that nobody binds and nobody else may start), which
is made again when somebody deletes it. Without the API, static pods run all the same.

`mirror_of` and `merged` are pure. Neighbours: `manifest` reads a file; `node_kubelet` runs this and hands it the
mirrors that the informer shows; `node_pods` runs the pods. Source: "Create static Pods" of Kubernetes' documentation.
"""

import asyncio
import copy
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.api.client import ApiClient
from actors.api.errors import ApiError
from actors.api.meta import key_of, split_key
from actors.kubelet import pod as pods
from actors.kubelet.manifest import MAX_BYTES, BadManifest, read_manifest
from actors.kubelet.pod import CONFIG_MIRROR
from bus import BusError

LOOK_S = 1.0  # between two looks at the directory, a handful of small files
SUFFIXES = (".yaml", ".yml", ".json")
MIRRORED_METADATA = ("uid", "resourceVersion", "generation")

PodChanged = Callable[[str, pods.Pod | None, pods.Pod | None], None]


def mirror_of(pod: pods.Pod, node: dict[str, Any] | None) -> pods.Pod:
    """Return the Pod to create in the API for a static pod."""
    metadata = pod["metadata"]
    made: dict[str, Any] = {field: metadata[field] for field in ("name", "namespace", "labels") if metadata.get(field)}
    made["annotations"] = {**metadata["annotations"], CONFIG_MIRROR: pods.uid(pod)}
    if node is not None:
        made["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Node", "name": node["metadata"]["name"], "uid": node["metadata"]["uid"],
             "controller": True}
        ]  # fmt: skip
    spec = {name: value for name, value in copy.deepcopy(pod["spec"]).items() if name != "priority" or value}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": made, "spec": spec}


def merged(pod: pods.Pod, mirror: pods.Pod | None) -> pods.Pod:
    """Return a static pod as its worker shall see it: with the mirror's identity, so that its status can be written."""
    if mirror is None:
        return pod
    there = {field: mirror["metadata"][field] for field in MIRRORED_METADATA if field in mirror["metadata"]}
    return {**pod, "metadata": {**pod["metadata"], **there}, "status": mirror.get("status") or {}}


def is_mirror(pod: pods.Pod) -> bool:
    return CONFIG_MIRROR in pods.annotations(pod)


class StaticPods:
    def __init__(
        self,
        directory: Path,
        node: str,
        api: ApiClient,
        mirrors: Callable[[], list[pods.Pod] | None],
        node_object: Callable[[], dict[str, Any] | None],
        changed: PodChanged,
        log: Any,
    ):
        """`mirrors` gives the API's mirror pods of this node, None while it was not listed yet."""
        self._directory, self._node, self._api = directory, node, api
        self._mirrors, self._node_object, self._changed, self._log = mirrors, node_object, changed, log
        self._pods: dict[str, pods.Pod] = {}  # by key, without their mirrors
        self._told: dict[str, str] = {}  # path -> what was wrong with it
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Follow the directory and the mirrors for ever."""
        while True:
            self._look()
            try:
                await self._keep_mirrors()
            except (ApiError, BusError) as error:
                self._log.debug("could not keep a mirror pod", error=str(error))
            self._wake.clear()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def mirror_changed(self, key: str, mirror: pods.Pod | None) -> None:
        """The API shows another state of a mirror."""
        pod = self._pods.get(key)
        if pod is not None and mirror is not None and pods.annotations(mirror).get(CONFIG_MIRROR) == pods.uid(pod):
            self._changed(key, pod, merged(pod, mirror))
        self._wake.set()

    def _look(self) -> None:
        found = self._read()
        for key, old in list(self._pods.items()):
            if key not in found:
                del self._pods[key]
                self._log.info("a static pod's file is gone", pod=key)
                self._changed(key, old, None)
        for key, pod in found.items():
            before = self._pods.get(key)
            if before is None or pods.uid(before) != pods.uid(pod):
                self._pods[key] = pod
                self._log.info("a static pod", pod=key)
                self._changed(key, before, merged(pod, self._mirror(pod)))

    def _read(self) -> dict[str, pods.Pod]:
        found: dict[str, pods.Pod] = {}
        files = sorted(self._directory.iterdir()) if self._directory.is_dir() else []
        for path in files:
            if path.suffix not in SUFFIXES or path.name.startswith("."):
                continue
            try:
                pod = read_manifest(_content(path), str(path), self._node)
            except (OSError, BadManifest) as error:
                self._complain(path, str(error))
                continue
            self._told.pop(str(path), None)
            found.setdefault(key_of(pod), pod)
        return found

    def _complain(self, path: Path, why: str) -> None:
        if self._told.get(str(path)) != why:
            self._told[str(path)] = why
            self._log.error("a static pod's file is of no use", path=str(path), error=why)

    # -- mirrors

    def _mirror(self, pod: pods.Pod) -> pods.Pod | None:
        for mirror in self._mirrors() or ():
            if key_of(mirror) == key_of(pod) and pods.annotations(mirror).get(CONFIG_MIRROR) == pods.uid(pod):
                return mirror
        return None

    async def _keep_mirrors(self) -> None:
        """Create mirrors that are missing, remove those that are of no pod, or were deleted by somebody."""
        there = self._mirrors()
        if there is None:
            return
        known = {key_of(mirror): mirror for mirror in there}
        for key, mirror in known.items():
            pod = self._pods.get(key)
            outdated = pod is None or pods.annotations(mirror)[CONFIG_MIRROR] != pods.uid(pod)
            if outdated or pods.is_deleting(mirror):
                await self._remove(mirror)
        for key, pod in list(self._pods.items()):
            if key not in known:
                await self._create(pod)

    async def _create(self, pod: pods.Pod) -> None:
        namespace, _ = split_key(key_of(pod))
        try:
            await self._api.create("pods", mirror_of(pod, self._node_object()), namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise

    async def _remove(self, mirror: pods.Pod) -> None:
        uid = mirror["metadata"]["uid"]
        try:
            await self._api.delete("pods", pods.name(mirror), pods.namespace(mirror), uid=uid, grace_period_s=0)
        except ApiError as error:
            if error.reason not in ("NotFound", "Conflict"):
                raise


def _content(path: Path) -> bytes:
    """Return what a file holds, or one byte more than it may. BadManifest for what may never end, as a pipe."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadManifest(f"{path} is not a file")
    with open(path, "rb") as file:
        return file.read(MAX_BYTES + 1)

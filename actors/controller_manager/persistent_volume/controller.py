"""The control loops of persistent storage: binder, protection, claims of ephemeral volumes.

The binder's keys are `claim NAMESPACE/NAME`, `volume NAME` and `class`. It runs one key at a time: two claims that were
matched side by side would want the same volume.
"""

import asyncio
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from actors.api.meta import key_of, split_key
from actors.controller_manager.actions import Action, Failure
from actors.controller_manager.controller import Controller
from actors.controller_manager.persistent_volume import ephemeral, protection, provisioner
from actors.controller_manager.persistent_volume.claims import Around, reconcile_claim
from actors.controller_manager.persistent_volume.storage import (
    BIND_COMPLETED,
    CLAIMS,
    CLASSES,
    SELECTED_NODE,
    VOLUMES,
    annotations,
    claim_key,
    claims_of_pod,
    class_of,
)
from actors.controller_manager.persistent_volume.volumes import failed, reconcile_volume

Object = dict[str, Any]

CLAIM, VOLUME, CLASS = "claim ", "volume ", "class"
BY_CLASS, BY_CLAIM = "storage class", "claim"
VOLUMES_DIR = "volumes"  # of the data dir


def index_pods_by_claim(controller: Controller, pods: Any) -> None:
    controller.caches.index(pods, BY_CLAIM, _claim_keys_of)


def _claim_keys_of(pod: Object | None) -> list[str]:
    if pod is None:
        return []
    return [f"{pod['metadata']['namespace']}/{name}" for name in claims_of_pod(pod)]


def _remove(directory: Path) -> None:
    if directory.is_symlink():
        directory.unlink()
    elif directory.exists():
        shutil.rmtree(directory)


class PersistentVolumeBinder(Controller):
    name = "persistentvolume-binder"
    workers = 1

    def set_up(self) -> None:
        self._root = Path(self.around.data_dir).resolve() / VOLUMES_DIR
        self.claims = self.watch(CLAIMS, self._keys_of_claim)
        self.volumes = self.watch(VOLUMES, self._keys_of_volume)
        self.classes = self.watch(CLASSES, self._keys_of_class)
        self.pods = self.watch("pods", self._keys_of_pod)
        self.nodes = self.cache("nodes")
        index_pods_by_claim(self, self.pods)
        self.caches.index(self.volumes, BY_CLASS, lambda volume: (class_of(volume),))
        self.caches.index(self.claims, BY_CLASS, lambda claim: (class_of(claim),))

    async def begin(self) -> None:
        self.queue.add(CLASS)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        if key == CLASS:
            return [] if len(self.classes) else [provisioner.default_class()]
        if key.startswith(CLAIM):
            claim = self.claims.get(key.removeprefix(CLAIM))
            return [] if claim is None else reconcile_claim(claim, self._around(claim))
        volume = self.volumes.get(key.removeprefix(VOLUME))
        if volume is None:
            return []
        directory, actions = reconcile_volume(volume, self.claims.get(claim_key(volume)), self._root)
        if directory is None:
            return actions
        self.around.fence()
        try:
            await asyncio.to_thread(_remove, directory)
        except OSError as error:
            return failed(volume, "VolumeFailedDelete", f"{directory}: {error.strerror}")
        return actions

    def _around(self, claim: Object) -> Around:
        volumes = {item["metadata"]["name"]: item for item in self.volumes.by_index(BY_CLASS, class_of(claim))}
        named = claim["spec"].get("volumeName")
        if named and (found := self.volumes.get(named)) is not None:
            volumes[named] = found
        return Around(
            volumes=tuple(volumes.values()),
            storage_class=self.classes.get(class_of(claim)),
            default_class=provisioner.default_of(self.classes.list()),
            node=self._node_of(claim),
            root=self._root,
        )

    def _node_of(self, claim: Object) -> Object | None:
        """Return the node that a scheduler selected for a claim, else that of the first pod that uses it."""
        name = annotations(claim).get(SELECTED_NODE)
        if not name:
            pods = self.pods.by_index(BY_CLAIM, key_of(claim))
            names = sorted(pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName"))
            name = names[0] if names else ""
        return self.nodes.get(name) if name else None

    def _keys_of_claim(self, key: str, old: Object | None, new: Object | None) -> Iterable[str]:
        named = {item["spec"]["volumeName"] for item in (old, new) if item and item["spec"].get("volumeName")}
        if new is None and old is not None:
            named |= {item["metadata"]["name"] for item in self.volumes.list() if claim_key(item) == key}
        return [CLAIM + key, *(VOLUME + name for name in sorted(named))]

    def _keys_of_volume(self, key: str, old: Object | None, new: Object | None) -> Iterable[str]:
        """A volume concerns its claim, and when it is free also those of its class that wait."""
        keys = [VOLUME + key]
        keys += [CLAIM + name for item in (old, new) if item is not None and (name := claim_key(item))]
        if new is not None and not claim_key(new):
            keys += self._waiting(class_of(new))
        return dict.fromkeys(keys)

    def _keys_of_class(self, key: str, old: Object | None, new: Object | None) -> Iterable[str]:
        return [*self._waiting(key), *self._waiting("")] if new is not None else ()

    def _keys_of_pod(self, key: str, old: Object | None, new: Object | None) -> Iterable[str]:
        """A pod that gets a node tells where its claims are wanted."""
        if new is None or not new["spec"].get("nodeName") or (old is not None and old["spec"].get("nodeName")):
            return ()
        return [CLAIM + name for name in _claim_keys_of(new)]

    def _waiting(self, storage_class: str) -> list[str]:
        claims = self.claims.by_index(BY_CLASS, storage_class)
        return [CLAIM + key_of(claim) for claim in claims if BIND_COMPLETED not in annotations(claim)]


class ClaimProtection(Controller):
    name = "persistentvolumeclaim-protection"
    workers = 2

    def set_up(self) -> None:
        self.claims = self.watch(CLAIMS, lambda key, old, new: (key,))
        self.pods = self.watch("pods", self._keys_of_pod)
        index_pods_by_claim(self, self.pods)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        claim = self.claims.get(key)
        if claim is None:
            return []
        in_use = any(pod["spec"].get("nodeName") for pod in self.pods.by_index(BY_CLAIM, key))
        return protection.reconcile_finalizer(CLAIMS, claim, protection.CLAIM_FINALIZER, in_use)

    def _keys_of_pod(self, key: str, old: Object | None, new: Object | None) -> Iterable[str]:
        return _claim_keys_of(old) if new is None else ()


class VolumeProtection(Controller):
    name = "persistentvolume-protection"
    workers = 2

    def set_up(self) -> None:
        self.volumes = self.watch(VOLUMES, lambda key, old, new: (key,))

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        volume = self.volumes.get(key)
        if volume is None:
            return []
        in_use = protection.volume_in_use(volume)
        return protection.reconcile_finalizer(VOLUMES, volume, protection.VOLUME_FINALIZER, in_use)


class EphemeralVolumeController(Controller):
    name = "ephemeral-volume"
    workers = 2

    def set_up(self) -> None:
        self.pods = self.watch("pods", lambda key, old, new: (key,) if new and ephemeral.has_ephemeral(new) else ())
        self.claims = self.watch(CLAIMS, lambda key, old, new: self._keys_of_claim(key) if new is None else ())
        index_pods_by_claim(self, self.pods)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        pod = self.pods.get(key)
        if pod is None:
            return []
        namespace, _ = split_key(key)
        found = {name: self.claims.get(f"{namespace}/{name}") for name in claims_of_pod(pod)}
        return ephemeral.reconcile_pod(pod, {name: claim for name, claim in found.items() if claim is not None})

    def _keys_of_claim(self, key: str) -> list[str]:
        return [key_of(pod) for pod in self.pods.by_index(BY_CLAIM, key) if ephemeral.has_ephemeral(pod)]

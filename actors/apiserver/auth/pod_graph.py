"""Which objects the pods of a node name: what a kubelet may read.

Kept from the watch cache's pods, change by change, when a kubelet asks: nothing is paid where none does. Which pods are
bound to a node is known for all; what they name is only taken out of the pods of nodes that asked, and kept from then.

Source: Kubernetes' node authorizer keeps the same graph. Neighbours: `node_authorizer` asks; `storage.resource_cache`
has the pods and their changes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.event import DELETED
from actors.apiserver.storage.resource_cache import ResourceCache

Named = tuple[str, str, str]  # plural, namespace, name


class PodGraph:
    def __init__(self, pods: ResourceCache) -> None:
        self._pods = pods
        self._seen = -1
        self._node_of: dict[bytes, str] = {}
        self._bound: dict[str, set[bytes]] = {}
        self._names: dict[bytes, tuple[Named, ...]] = {}  # of pods of nodes in `_named`
        self._named: dict[str, Counter[Named]] = {}

    def node_of(self, namespace: str, name: str) -> str | None:
        """The node that a pod is bound to, "" when to none; None when there is no such pod."""
        key = self._pods.prefix + f"{namespace}/{name}".encode()
        if key not in self._pods.entries:
            return None
        self._refresh()
        return self._node_of.get(key, "")

    def is_named(self, nodes: Iterable[str], plural: str, namespace: str, name: str) -> bool:
        """Does a pod of one of these nodes name an object?"""
        self._refresh()
        wanted = (plural, namespace, name)
        return any(wanted in self._named_by(node) for node in nodes)

    def _named_by(self, node: str) -> Counter[Named]:
        named = self._named.get(node)
        if named is None:
            bound = self._bound.get(node)
            if not bound:
                return Counter()
            named = self._named[node] = Counter()
            for key in bound:
                self._add_names(named, self._pods.entries[key])
        return named

    def _refresh(self) -> None:
        revision = self._pods.changed_revision
        if revision == self._seen:
            return
        events = self._pods.since(self._seen) if self._seen >= 0 else None
        self._seen = revision
        if events is None:
            self._node_of, self._bound, self._names, self._named = {}, {}, {}, {}
            for entry in self._pods.entries.values():
                self._add(entry)
            return
        for event in events:
            self._remove(event.entry.key)
            if event.kind != DELETED:
                self._add(event.entry)

    def _add(self, entry: Entry) -> None:
        node = entry.traits(self._pods.fields)[1].get("spec.nodeName")
        if not node:
            return
        self._node_of[entry.key] = node
        self._bound.setdefault(node, set()).add(entry.key)
        named = self._named.get(node)
        if named is not None:
            self._add_names(named, entry)

    def _add_names(self, named: Counter[Named], entry: Entry) -> None:
        pod = entry.decode()
        namespace = pod["metadata"].get("namespace", "")
        names = tuple({(plural, namespace, name) for plural, name in referenced(pod)})
        self._names[entry.key] = names
        named.update(names)

    def _remove(self, key: bytes) -> None:
        node = self._node_of.pop(key, None)
        if node is None:
            return
        bound = self._bound[node]
        bound.discard(key)
        named, names = self._named.get(node), self._names.pop(key, ())
        if named is not None:
            named.subtract(names)
            for name in names:
                if named[name] <= 0:
                    del named[name]
        if not bound:
            del self._bound[node]
            self._named.pop(node, None)


def referenced(pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (plural, name) of every object of its namespace that a pod needs."""
    spec = pod.get("spec") or {}
    yield "serviceaccounts", spec.get("serviceAccountName") or "default"
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume, pod)
    for claim in (pod.get("status") or {}).get("resourceClaimStatuses") or ():
        yield "resourceclaims", claim.get("resourceClaimName") or ""
    for claim in spec.get("resourceClaims") or ():
        if claim.get("resourceClaimName"):
            yield "resourceclaims", claim["resourceClaimName"]
    for containers in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(containers) or ():
            yield from _of_environment(container)


_SECRET_SOURCES = ("cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")


def _of_volume(volume: dict[str, Any], pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "secret" in volume:
        yield "secrets", volume["secret"].get("secretName", "")
    if "configMap" in volume:
        yield "configmaps", volume["configMap"].get("name", "")
    if "persistentVolumeClaim" in volume:
        yield "persistentvolumeclaims", volume["persistentVolumeClaim"].get("claimName", "")
    if "ephemeral" in volume:
        yield "persistentvolumeclaims", f"{pod['metadata'].get('name', '')}-{volume.get('name', '')}"
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "secret" in source:
            yield "secrets", source["secret"].get("name", "")
        if "configMap" in source:
            yield "configmaps", source["configMap"].get("name", "")
    if "csi" in volume:
        yield "secrets", (volume["csi"].get("nodePublishSecretRef") or {}).get("name", "")
    if "azureFile" in volume:
        yield "secrets", volume["azureFile"].get("secretName", "")
    for kind in _SECRET_SOURCES:
        if kind in volume:
            yield "secrets", (volume[kind].get("secretRef") or {}).get("name", "")


def _of_environment(container: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for source in container.get("envFrom") or ():
        if "secretRef" in source:
            yield "secrets", source["secretRef"].get("name", "")
        if "configMapRef" in source:
            yield "configmaps", source["configMapRef"].get("name", "")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        if "secretKeyRef" in source:
            yield "secrets", source["secretKeyRef"].get("name", "")
        if "configMapKeyRef" in source:
            yield "configmaps", source["configMapKeyRef"].get("name", "")

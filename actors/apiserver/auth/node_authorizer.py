"""What a kubelet may do: its own Nodes, the Pods bound to them, and the objects that those Pods name.

RBAC cannot say "the Secrets that a Pod of this node uses", so this authorizer does, from the Pods in the watch cache. A
kubelet that was broken into thus gives away what its own pods were given, and nothing else of the cluster.

Source: Kubernetes' node authorizer and NodeRestriction admission. Neighbours: `authorizer` asks; `admission.node`
checks what a kubelet writes into its objects.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from actors.apiserver.auth.rules import Attributes, compile_rules
from actors.apiserver.call import Identity
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.watch_cache import WatchCache

READ = ["get", "list", "watch"]

# What every kubelet may do to any object of a kind.
_RULES = compile_rules(
    [
        {"verbs": READ, "apiGroups": [""], "resources": ["services", "nodes"]},
        {"verbs": READ, "apiGroups": ["storage.k8s.io"], "resources": ["csidrivers", "volumeattachments"]},
        {"verbs": READ, "apiGroups": ["node.k8s.io"], "resources": ["runtimeclasses"]},
        {"verbs": READ, "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]},
        {"verbs": ["create"], "apiGroups": [""], "resources": ["nodes", "pods"]},
        {"verbs": ["create", "update", "patch"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"]},
        {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"]},
        {
            "verbs": ["create"],
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["subjectaccessreviews", "localsubjectaccessreviews"],
        },
        {"verbs": ["create", "get", "list", "watch"], "apiGroups": ["certificates.k8s.io"],
         "resources": ["certificatesigningrequests"]},
    ]
)  # fmt: skip
_OWN_NODE_VERBS = frozenset({"get", "update", "patch", "delete"})
_LEASE_VERBS = frozenset({"get", "create", "update", "patch", "delete"})
_LEASE_NAMESPACE = "kube-node-lease"
_NAMED_BY_PODS = frozenset({"secrets", "configmaps", "persistentvolumeclaims"})
_POD_WRITES = frozenset({"delete"})
_POD_STATUS_WRITES = frozenset({"get", "update", "patch"})


class NodeAuthorizer:
    def __init__(self, cache: WatchCache) -> None:
        self._pods = cache.at(b"/registry/pods/")
        self._volumes = cache.at(b"/registry/persistentvolumes/")
        self._names: dict[bytes, tuple[Entry, frozenset[tuple[str, str]]]] = {}

    def allows(self, identity: Identity, asked: Attributes) -> bool:
        """May a kubelet do this? `identity.nodes` are the nodes that it speaks for."""
        if not asked.is_resource:
            return False
        if any(rule.allows(asked) for rule in _RULES):
            return True
        if asked.group == "coordination.k8s.io" and asked.resource == "leases":
            return self._allows_lease(identity, asked)
        if asked.group:
            return False
        if asked.resource == "nodes":
            return asked.name in identity.nodes and asked.verb in _OWN_NODE_VERBS
        if asked.resource == "pods":
            return self._allows_pod(identity, asked)
        if asked.resource in _NAMED_BY_PODS:
            return bool(asked.name) and asked.verb in READ and self._is_named(identity, asked, asked.resource)
        if asked.resource == "persistentvolumes":
            return asked.verb == "get" and not asked.subresource and self._is_volume_of_a_pod(identity, asked.name)
        if asked.resource == "serviceaccounts":
            wanted = asked.verb == "get" if not asked.subresource else asked.subresource == "token"
            return wanted and self._is_named(identity, asked, "serviceaccounts")
        return False

    def pods_of(self, nodes: Iterable[str]) -> Iterator[Entry]:
        """The pods bound to any of some nodes."""
        wanted = frozenset(nodes)
        fields = self._pods.fields
        for entry in self._pods.entries.values():
            if entry.traits(fields)[1].get("spec.nodeName") in wanted:
                yield entry

    def _allows_lease(self, identity: Identity, asked: Attributes) -> bool:
        if asked.namespace != _LEASE_NAMESPACE or asked.verb not in _LEASE_VERBS:
            return False
        return asked.verb == "create" or asked.name in identity.nodes

    def _allows_pod(self, identity: Identity, asked: Attributes) -> bool:
        """Lists are of all pods, as in Kubernetes without AuthorizeNodeWithSelectors; writes only of own ones."""
        if asked.verb in READ and not asked.subresource:
            return True
        allowed = (not asked.subresource and asked.verb in _POD_WRITES) or (
            asked.subresource == "status" and asked.verb in _POD_STATUS_WRITES
        )
        if asked.subresource == "eviction":
            allowed = asked.verb == "create"
        entry = self._pods.entries.get(self._pods.prefix + f"{asked.namespace}/{asked.name}".encode())
        if not allowed:
            return False
        return entry is None or entry.traits(self._pods.fields)[1].get("spec.nodeName") in identity.nodes

    def _is_named(self, identity: Identity, asked: Attributes, plural: str) -> bool:
        """Does a pod of one of the kubelet's nodes use this object?"""
        prefix = self._pods.prefix + f"{asked.namespace}/".encode()
        for entry in self._pods.within(prefix):
            if entry.traits(self._pods.fields)[1].get("spec.nodeName") not in identity.nodes:
                continue
            if (plural, asked.name) in self._names_of(entry):
                return True
        return False

    def _is_volume_of_a_pod(self, identity: Identity, name: str) -> bool:
        """Is a volume bound to a claim that a pod of one of the kubelet's nodes uses?"""
        entry = self._volumes.entries.get(self._volumes.prefix + name.encode())
        reference = (entry.decode()["spec"].get("claimRef") or {}) if entry is not None else {}
        claim = ("persistentvolumeclaims", reference.get("name", ""))
        prefix = self._pods.prefix + f"{reference.get('namespace', '')}/".encode()
        return bool(claim[1]) and any(
            claim in self._names_of(pod)
            for pod in self._pods.within(prefix)
            if pod.traits(self._pods.fields)[1].get("spec.nodeName") in identity.nodes
        )

    def _names_of(self, entry: Entry) -> frozenset[tuple[str, str]]:
        known = self._names.get(entry.key)
        if known is None or known[0] is not entry:
            if len(self._names) > 2 * len(self._pods.entries) + 16:
                self._names.clear()
            known = self._names[entry.key] = (entry, frozenset(referenced(entry.decode())))
        return known[1]


def referenced(pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (plural, name) of every object of its namespace that a pod needs."""
    spec = pod.get("spec") or {}
    yield "serviceaccounts", spec.get("serviceAccountName") or "default"
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)
        if "ephemeral" in volume:
            yield "persistentvolumeclaims", f"{pod['metadata']['name']}-{volume['name']}"
    for containers in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(containers) or ():
            yield from _of_environment(container)


def _of_volume(volume: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "secret" in volume:
        yield "secrets", volume["secret"].get("secretName", "")
    if "configMap" in volume:
        yield "configmaps", volume["configMap"].get("name", "")
    if "persistentVolumeClaim" in volume:
        yield "persistentvolumeclaims", volume["persistentVolumeClaim"].get("claimName", "")
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "secret" in source:
            yield "secrets", source["secret"].get("name", "")
        if "configMap" in source:
            yield "configmaps", source["configMap"].get("name", "")


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

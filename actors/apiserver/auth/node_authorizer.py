"""What a kubelet may do: its own Nodes, the Pods bound to them, and the objects that those Pods name.

RBAC cannot say "the Secrets that a Pod of this node uses", so this authorizer does, from the Pods in the watch cache. A
kubelet that was broken into thus gives away what its own pods were given, and nothing else of the cluster. Lists and
watches must select by a field that keeps them to that; a process that plays many simulated nodes is spared this.

Source: Kubernetes' node authorizer, with AuthorizeNodeWithSelectors. Neighbours: `authorizer` asks; `pod_graph` knows
what pods name; `admission.node` checks what a kubelet writes into its objects.
"""

from actors.apiserver.auth.pod_graph import PodGraph
from actors.apiserver.auth.rules import Attributes, compile_rules
from actors.apiserver.call import Identity
from actors.apiserver.storage.selection import pinned_value
from actors.apiserver.storage.watch_cache import WatchCache

READ = ["get", "list", "watch"]

# What every kubelet may do to any object of a kind.
_RULES = compile_rules(
    [
        {"verbs": READ, "apiGroups": [""], "resources": ["services"]},
        {"verbs": READ, "apiGroups": ["storage.k8s.io"], "resources": ["csidrivers"]},
        {"verbs": READ, "apiGroups": ["node.k8s.io"], "resources": ["runtimeclasses"]},
        {"verbs": READ, "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]},
        {"verbs": READ, "apiGroups": ["certificates.k8s.io"], "resources": ["clustertrustbundles"]},
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
_READ = frozenset(READ)
_OWN_NODE_VERBS = frozenset({"get", "update", "patch", "delete"})
_LEASE_VERBS = frozenset({"get", "create", "update", "patch", "delete"})
_LEASE_NAMESPACE = "kube-node-lease"
_NAMED_BY_PODS = frozenset({"secrets", "configmaps", "persistentvolumeclaims"})
_STATUS_WRITES = frozenset({"get", "update", "patch"})
_VOLUMES = b"/registry/persistentvolumes/"
_ATTACHMENTS = b"/registry/storage.k8s.io/volumeattachments/"


class NodeAuthorizer:
    def __init__(self, cache: WatchCache) -> None:
        self._cache = cache
        self.graph = PodGraph(cache.at(b"/registry/pods/"))

    def allows(self, identity: Identity, asked: Attributes) -> bool:
        """May a kubelet do this? `identity.nodes` are the nodes that it speaks for."""
        if not asked.is_resource:
            return False
        if any(rule.allows(asked) for rule in _RULES):
            return True
        if asked.group:
            return self._allows_in_group(identity, asked)
        if asked.resource == "nodes":
            return self._allows_node(identity, asked)
        if asked.resource == "pods":
            return self._allows_pod(identity, asked)
        if asked.resource in _NAMED_BY_PODS:
            return self._allows_named(identity, asked)
        if asked.resource == "persistentvolumes":
            return asked.verb == "get" and not asked.subresource and self._is_claimed(identity, asked.name)
        if asked.resource == "serviceaccounts":
            wanted = asked.verb == "get" if not asked.subresource else asked.subresource == "token"
            return wanted and self._is_named(identity, asked)
        return False

    def _allows_in_group(self, identity: Identity, asked: Attributes) -> bool:
        if asked.group == "coordination.k8s.io" and asked.resource == "leases":
            return self._allows_lease(identity, asked)
        if asked.group == "storage.k8s.io" and not asked.subresource:
            if asked.resource == "csinodes":
                return asked.verb == "create" or (asked.verb in _OWN_NODE_VERBS and asked.name in identity.nodes)
            if asked.resource == "volumeattachments":
                return asked.verb == "get" and self._is_attached(identity, asked.name)
        if asked.group == "resource.k8s.io":
            if asked.resource == "resourceslices":
                pinned = pinned_value(asked.field_selector, "spec.nodeName")
                return pinned in identity.nodes or asked.verb in ("create", "update", "patch", "delete", "get")
            return asked.resource == "resourceclaims" and asked.verb == "get" and self._is_named(identity, asked)
        return False

    def _allows_node(self, identity: Identity, asked: Attributes) -> bool:
        if asked.subresource:
            return asked.name in identity.nodes and asked.subresource == "status" and asked.verb in _STATUS_WRITES
        if asked.verb in _OWN_NODE_VERBS or asked.verb in ("list", "watch"):
            return asked.name in identity.nodes or (asked.verb in _READ and _plays_many(identity))
        return False

    def _allows_lease(self, identity: Identity, asked: Attributes) -> bool:
        if asked.namespace != _LEASE_NAMESPACE or asked.verb not in _LEASE_VERBS:
            return False
        return asked.verb == "create" or asked.name in identity.nodes

    def _allows_pod(self, identity: Identity, asked: Attributes) -> bool:
        """Reads of own pods, lists that select them; status, deletion and eviction of own ones."""
        if asked.verb in ("list", "watch") and not asked.subresource:
            return pinned_value(asked.field_selector, "spec.nodeName") in identity.nodes or _plays_many(identity)
        allowed = (
            (not asked.subresource and asked.verb in ("get", "delete"))
            or (asked.subresource == "status" and asked.verb in _STATUS_WRITES)
            or (asked.subresource == "eviction" and asked.verb == "create")
        )
        if not allowed:
            return False
        node = self.graph.node_of(asked.namespace, asked.name)
        return node is None or node in identity.nodes

    def _allows_named(self, identity: Identity, asked: Attributes) -> bool:
        if asked.resource == "persistentvolumeclaims" and asked.subresource == "status":
            return asked.verb in _STATUS_WRITES and self._is_named(identity, asked)
        if asked.subresource or not asked.name or asked.verb not in _READ:
            return False
        return self._is_named(identity, asked)

    def _is_named(self, identity: Identity, asked: Attributes) -> bool:
        return self.graph.is_named(identity.nodes, asked.resource, asked.namespace, asked.name)

    def _is_claimed(self, identity: Identity, volume: str) -> bool:
        """Is a volume bound to a claim that an own pod names?"""
        claim = (self._find(_VOLUMES, volume).get("spec") or {}).get("claimRef") or {}
        namespace, name = claim.get("namespace", ""), claim.get("name", "")
        return bool(name) and self.graph.is_named(identity.nodes, "persistentvolumeclaims", namespace, name)

    def _is_attached(self, identity: Identity, attachment: str) -> bool:
        return (self._find(_ATTACHMENTS, attachment).get("spec") or {}).get("nodeName") in identity.nodes

    def _find(self, prefix: bytes, name: str) -> dict:
        cache = self._cache.find(prefix + name.encode())
        entry = cache.entries.get(prefix + name.encode()) if cache is not None else None
        return {} if entry is None else entry.decode()


def _plays_many(identity: Identity) -> bool:
    """Is this a process of the cluster's own that plays several simulated nodes? No certificate gives that."""
    return len(identity.nodes) > 1

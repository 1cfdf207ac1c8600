"""Indexes over caches, and how a change of a dependent leads to the keys of its owners.

Neighbours: `ownership` decides who may own what; the controllers of ReplicaSets, Deployments and the like look up
candidates here, so that a reconcile costs what it owns and not what the cluster holds.
"""

from collections.abc import Callable, Iterable
from typing import Any

from actors.api.meta import controller_of, key_of
from actors.controller_manager.caches import Caches
from runtime.informer import Informer

Object = dict[str, Any]

BY_CONTROLLER = "controller"
BY_NAMESPACE = "namespace"
BY_NODE = "node"


def index_by_controller(caches: Caches, informer: Informer) -> None:
    """Index objects by the uid of their controller, orphans by their namespace."""
    caches.index(informer, BY_CONTROLLER, _controller_or_orphanage)


def index_by_namespace(caches: Caches, informer: Informer) -> None:
    caches.index(informer, BY_NAMESPACE, lambda obj: (namespace_of(obj),))


def index_by_node(caches: Caches, pods: Informer) -> None:
    """Index Pods by the node that they are bound to."""
    caches.index(pods, BY_NODE, lambda pod: (pod["spec"]["nodeName"],) if pod["spec"].get("nodeName") else ())


def namespace_of(obj: Object) -> str:
    return obj["metadata"].get("namespace", "")


def dependents(informer: Informer, owner: Object) -> list[Object]:
    """Return what a controller owns, in the order of names."""
    return _by_name(informer.by_index(BY_CONTROLLER, owner["metadata"]["uid"]))


def candidates(informer: Informer, owner: Object) -> list[Object]:
    """Return what a controller owns, and the orphans of its namespace."""
    orphans = informer.by_index(BY_CONTROLLER, _orphanage(namespace_of(owner)))
    return dependents(informer, owner) + _by_name(orphans)


def _controller_or_orphanage(obj: Object) -> Iterable[str]:
    reference = controller_of(obj)
    return (reference["uid"] if reference is not None else _orphanage(namespace_of(obj)),)


def _orphanage(namespace: str) -> str:
    return f"orphans of {namespace}"  # no uid looks like this


def _by_name(found: list[Object]) -> list[Object]:
    return sorted(found, key=lambda obj: obj["metadata"]["name"])


class Owners:
    """Of one kind of controller: which of them does a change of a dependent concern?"""

    def __init__(self, informer: Informer, group: str, kind: str, matches: Callable[[Object, Object], bool]):
        """`matches(owner, dependent)`: would the owner's selector adopt it?"""
        self._informer = informer
        self._group = group
        self._kind = kind
        self._matches = matches

    def keys(self, old: Object | None, new: Object | None) -> set[str]:
        """Return the keys of the owners of a dependent before and after a change, or of those that may adopt it."""
        keys = {key for key in (self.owner_key(old), self.owner_key(new)) if key is not None}
        if new is not None and controller_of(new) is None and self._may_be_adopted(old, new):
            owners = self._informer.by_index(BY_NAMESPACE, namespace_of(new))
            keys.update(key_of(owner) for owner in owners if self._matches(owner, new))
        return keys

    def owner_key(self, dependent: Object | None) -> str | None:
        """Return the key of the controller of a dependent, if it is of this kind and alive."""
        reference = controller_of(dependent) if dependent is not None else None
        if dependent is None or reference is None or reference["kind"] != self._kind:
            return None
        if reference["apiVersion"].rpartition("/")[0] != self._group:
            return None
        key = f"{namespace_of(dependent)}/{reference['name']}"
        owner = self._informer.get(key)
        return key if owner is not None and owner["metadata"]["uid"] == reference["uid"] else None

    @staticmethod
    def _may_be_adopted(old: Object | None, new: Object) -> bool:
        """An orphan is news when it appears, is released, or gets other labels."""
        if "deletionTimestamp" in new["metadata"]:
            return False
        if old is None or controller_of(old) is not None:
            return True
        return old["metadata"].get("labels") != new["metadata"].get("labels")

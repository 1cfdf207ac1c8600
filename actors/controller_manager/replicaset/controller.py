"""The ReplicaSet and ReplicationController control loops: what they watch, and what a reconcile gets to see."""

from collections.abc import Iterable
from typing import Any

from actors.api.meta import controller_of
from actors.api.selectors import Selector, from_label_selector, from_labels
from actors.controller_manager.actions import Action, Failure
from actors.controller_manager.controller import Controller
from actors.controller_manager.ownership import claim
from actors.controller_manager.pods import Pod, condition, is_active, is_terminating, phase
from actors.controller_manager.relations import (
    BY_CONTROLLER,
    Owners,
    candidates,
    dependents,
    index_by_controller,
    index_by_namespace,
)
from actors.controller_manager.replicaset.reconcile import REPLICA_SETS, REPLICATION_CONTROLLERS, reconcile

Object = dict[str, Any]


class ReplicaSetController(Controller):
    name = "replicaset"
    rests = True
    resource = REPLICA_SETS
    group, kind = "apps", "ReplicaSet"

    def set_up(self) -> None:
        self.owners = self.watch(self.resource, lambda key, old, new: (key,))
        self.pods = self.watch("pods", self._keys_of_pod)
        index_by_controller(self.caches, self.owners)
        index_by_namespace(self.caches, self.owners)
        index_by_controller(self.caches, self.pods)
        self._relation = Owners(self.owners, self.group, self.kind, self._adopts)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        owner = self.owners.get(key)
        if owner is None:
            return []
        selector = self.selector_of(owner)
        claimed = claim(
            self.resource,
            owner,
            "pods",
            candidates(self.pods, owner),
            lambda pod: selector.matches(pod["metadata"].get("labels")),
        )
        related = self._related(owner, claimed.owned)
        return claimed.actions + reconcile(self.resource, owner, claimed.owned, related, failure, self.clock.wall())

    def selector_of(self, owner: Object) -> Selector:
        return from_label_selector(owner["spec"].get("selector"))

    def _related(self, owner: Object, owned: list[Pod]) -> list[Pod]:
        """Return the Pods of all ReplicaSets of the same Deployment; asked for only when some are to be deleted."""
        wanted = owner["spec"].get("replicas")
        if sum(map(is_active, owned)) <= (1 if wanted is None else wanted):
            return []
        reference = controller_of(owner)
        if reference is None:
            return owned
        siblings = self.owners.by_index(BY_CONTROLLER, reference["uid"])
        return [pod for sibling in siblings for pod in dependents(self.pods, sibling)]

    def _keys_of_pod(self, key: str, old: Pod | None, new: Pod | None) -> Iterable[str]:
        if old is not None and new is not None and _facts(old) == _facts(new):
            return ()
        return self._relation.keys(old, new)

    def _adopts(self, owner: Object, pod: Pod) -> bool:
        return self.selector_of(owner).matches(pod["metadata"].get("labels"))


class ReplicationControllerController(ReplicaSetController):
    name = "replication"
    resource = REPLICATION_CONTROLLERS
    group, kind = "", "ReplicationController"

    def selector_of(self, owner: Object) -> Selector:
        return from_labels(owner["spec"].get("selector"))


def _facts(pod: Pod) -> tuple[Any, ...]:
    """Return what a ReplicaSet's decisions and status depend on; most updates of a Pod change none of it."""
    metadata = pod["metadata"]
    ready = condition(pod, "Ready") or {}
    return (
        metadata["uid"],
        metadata.get("labels"),
        metadata.get("ownerReferences"),
        is_terminating(pod),
        phase(pod),
        ready.get("status"),
        ready.get("lastTransitionTime"),
    )

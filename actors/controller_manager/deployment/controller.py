"""The Deployment control loop: what it watches, and what a reconcile gets to see."""

from collections.abc import Iterable
from typing import Any

from actors.api.selectors import from_label_selector
from actors.controller_manager.actions import Action, Failure
from actors.controller_manager.controller import Controller
from actors.controller_manager.deployment import revisions
from actors.controller_manager.deployment.reconcile import Observed, reconcile
from actors.controller_manager.deployment.revisions import DEPLOYMENTS, REPLICA_SETS
from actors.controller_manager.deployment.strategy import is_rolling
from actors.controller_manager.ownership import claim
from actors.controller_manager.pods import Pod, is_terminal
from actors.controller_manager.relations import (
    Owners,
    candidates,
    dependents,
    index_by_controller,
    index_by_namespace,
    namespace_of,
)

Object = dict[str, Any]


class DeploymentController(Controller):
    name = "deployment"

    def set_up(self) -> None:
        self.deployments = self.watch(DEPLOYMENTS, lambda key, old, new: (key,))
        self.replica_sets = self.watch(REPLICA_SETS, lambda key, old, new: self._relation.keys(old, new))
        self.pods = self.watch("pods", self._keys_of_pod)
        index_by_namespace(self.caches, self.deployments)
        index_by_controller(self.caches, self.replica_sets)
        index_by_controller(self.caches, self.pods)
        self._relation = Owners(self.deployments, "apps", "Deployment", _adopts)
        self._pod_relation = Owners(self.replica_sets, "apps", "ReplicaSet", lambda owner, pod: False)

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        deployment = self.deployments.get(key)
        if deployment is None:
            return []
        claimed = claim(
            DEPLOYMENTS,
            deployment,
            REPLICA_SETS,
            candidates(self.replica_sets, deployment),
            lambda replica_set: _adopts(deployment, replica_set),
        )
        new = revisions.find_new(deployment, claimed.owned)
        namesake = None
        if new is None:
            namesake = self.replica_sets.get(f"{namespace_of(deployment)}/{revisions.new_name(deployment)}")
        old_pods = () if is_rolling(deployment) else self._old_pods(claimed.owned, new)
        observed = Observed(claimed.owned, namesake, old_pods, failure)
        return claimed.actions + reconcile(deployment, observed, self.clock.wall())

    def _old_pods(self, replica_sets: list[Object], new: Object | None) -> list[Pod]:
        """Return the Pods of all but the new ReplicaSet, which only Recreate waits for."""
        return [pod for found in replica_sets if found is not new for pod in dependents(self.pods, found)]

    def _keys_of_pod(self, key: str, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """A Pod concerns its Deployment only when it ends, and only one that recreates."""
        if new is not None and not (is_terminal(new) and old is not None and not is_terminal(old)):
            return ()
        owner_key = self._pod_relation.owner_key(new or old)
        replica_set = self.replica_sets.get(owner_key) if owner_key is not None else None
        deployment_key = self._relation.owner_key(replica_set)
        deployment = self.deployments.get(deployment_key) if deployment_key is not None else None
        return () if deployment is None or is_rolling(deployment) else (str(deployment_key),)


def _adopts(deployment: Object, replica_set: Object) -> bool:
    selector = from_label_selector(deployment["spec"].get("selector"))
    return not selector.is_empty and selector.matches(replica_set["metadata"].get("labels"))

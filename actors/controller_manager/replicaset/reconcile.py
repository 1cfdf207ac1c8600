"""What a ReplicaSet or ReplicationController wants done, given the Pods that there are.

Too few: create, in slow-start batches. Too many: delete, worst first. In between: count. The status is written after
the Pods, from what was seen before them: the Pods' own events bring the key back with the new count.
"""

import copy
from collections.abc import Sequence
from typing import Any

from actors.api.meta import owner_reference
from actors.controller_manager.actions import (
    ERROR_MARK,
    NAME_MARK,
    Action,
    Batch,
    Create,
    Delete,
    Emit,
    Failure,
    RequeueAfter,
    Update,
)
from actors.controller_manager.pods import Pod, is_active, is_terminating
from actors.controller_manager.replicaset.ranking import rank_for_deletion
from actors.controller_manager.replicaset.status import next_availability, observed_status

REPLICA_SETS = "replicasets.apps"
REPLICATION_CONTROLLERS = "replicationcontrollers"

# Kubernetes' bound on the Pods that one reconcile creates or deletes: the rest follows when the caches show these.
BURST_REPLICAS = 500

Object = dict[str, Any]


def reconcile(
    resource: str,
    owner: Object,
    pods: Sequence[Pod],
    related: Sequence[Pod],
    failure: Failure | None,
    now: float,
) -> list[Action]:
    """Return what to do so that `owner` has its replicas.

    resource what `owner` is one of: REPLICA_SETS or REPLICATION_CONTROLLERS
    pods     what it owns, finished and terminating ones included
    related  the Pods of all ReplicaSets with the same owner, to spread deletions
    failure  of the last attempt, for the ReplicaFailure condition
    """
    actions: list[Action] = []
    active = [pod for pod in pods if is_active(pod)]
    if not is_terminating(owner):
        actions += scale(owner, active, related, now)
    status = observed_status(owner, pods, failure, now)
    if status != (owner.get("status") or {}):
        actions.append(Update(resource, {**owner, "status": status}, subresource="status"))
    wait_s = next_availability(owner, pods, now)
    if wait_s is not None:
        actions.append(RequeueAfter(wait_s))
    return actions


def scale(owner: Object, active: Sequence[Pod], related: Sequence[Pod], now: float) -> list[Action]:
    """Return the batch of creations or deletions that brings the active Pods closer to spec.replicas."""
    wanted = owner["spec"].get("replicas")
    missing = (1 if wanted is None else wanted) - len(active)
    if missing > 0:
        creations = tuple(_create(owner) for _ in range(min(missing, BURST_REPLICAS)))
        return [Batch(creations, slow_start=True, tolerant=True)]
    if missing < 0:
        surplus = rank_for_deletion(active, related, now)[: min(-missing, BURST_REPLICAS)]
        return [Batch(tuple(_delete(owner, pod) for pod in surplus), tolerant=True)]
    return []


def _create(owner: Object) -> Create:
    return Create(
        "pods",
        pod_from_template(owner, owner["spec"]["template"]),
        done=Emit(owner, "Normal", "SuccessfulCreate", f"Created pod: {NAME_MARK}"),
        failed=Emit(owner, "Warning", "FailedCreate", f"Error creating: {ERROR_MARK}"),
    )


def _delete(owner: Object, pod: Pod) -> Delete:
    metadata = pod["metadata"]
    return Delete(
        "pods",
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        done=Emit(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {NAME_MARK}"),
        failed=Emit(owner, "Warning", "FailedDelete", f"Error deleting: {ERROR_MARK}"),
    )


def pod_from_template(owner: Object, template: Object) -> Pod:
    """Return a new Pod of a template, owned by `owner`, its name left to be generated."""
    metadata = template.get("metadata") or {}
    pod_metadata: dict[str, Any] = {
        "generateName": f"{owner['metadata']['name']}-",
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [owner_reference(owner)],
    }
    for name in ("labels", "annotations", "finalizers"):
        if metadata.get(name):
            pod_metadata[name] = copy.deepcopy(metadata[name])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": pod_metadata,
        "spec": copy.deepcopy(template["spec"]),
    }

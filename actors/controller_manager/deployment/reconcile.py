"""What a Deployment wants done, given the ReplicaSets that it owns.

From the top: find the new ReplicaSet or create it; a change of size comes before the rollout; a rollout takes one step;
a finished one is tidied up; the status says how it stands. Each list of actions is safe to cut short: what is missing
is decided again from what is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.controller_manager.actions import (
    ERROR_MARK,
    Action,
    Create,
    Delete,
    Emit,
    Failure,
    RequeueAfter,
    Update,
)
from actors.controller_manager.deployment import progress, revisions, rolling, scaling
from actors.controller_manager.deployment.revisions import DEPLOYMENTS, REPLICA_SETS, REVISION
from actors.controller_manager.deployment.rollout import Rollout
from actors.controller_manager.deployment.status import copy_replica_failure, counted_status
from actors.controller_manager.deployment.strategy import is_rolling
from actors.controller_manager.pods import Pod, is_terminating

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """What the caches show for one Deployment."""

    replica_sets: Sequence[Object]  # that it owns
    namesake: Object | None = None  # the ReplicaSet, whose ever, that has the name that the new one would get
    old_pods: Sequence[Pod] = field(default=())  # of old ReplicaSets, terminating ones included; Recreate only
    failure: Failure | None = None  # of the last attempt


def reconcile(deployment: Object, observed: Observed, now: float) -> list[Action]:
    """Return what to do next for a Deployment."""
    if not _selector_says_anything(deployment):
        return _refuse_to_select_all(deployment)
    new = revisions.find_new(deployment, observed.replica_sets)
    old = revisions.oldest_first(found for found in observed.replica_sets if found is not new)
    rollout = Rollout(deployment, new, old)
    status = counted_status(rollout, now)
    if is_terminating(deployment):
        return _status_write(deployment, status)
    progress.note_pause(deployment, status, now)
    if new is not None:
        _sync_new(rollout, status, now)
    if deployment["spec"].get("paused") or scaling.is_due(rollout):
        scaling.scale(rollout)
        tidy = _tidy(rollout) if deployment["spec"].get("paused") else []
        return [*rollout.patches(), *tidy, *_finish(rollout, status, now)]
    if new is None and (is_rolling(deployment) or not _recreate_must_wait(rollout, observed)):
        return _create_new(rollout, observed, status, now)
    return _continue(rollout, observed, status, now)


def _continue(rollout: Rollout, observed: Observed, status: Object, now: float) -> list[Action]:
    """Take the next step of the strategy, tidy up behind a finished rollout, and say how it stands."""
    if is_rolling(rollout.deployment):
        rolling.roll(rollout)
    elif not _recreate_must_wait(rollout, observed) and rollout.new is not None:
        rollout.resize(rollout.new, rolling.new_size(rollout))
    actions = rollout.patches()
    if not rollout.changed and progress.is_complete(rollout.deployment, status):
        actions += _tidy(rollout)
    progress.estimate(rollout, status, now)
    copy_replica_failure(status, rollout, now)
    return actions + _finish(rollout, status, now)


def _recreate_must_wait(rollout: Rollout, observed: Observed) -> bool:
    """Recreate, first half: stop the old ReplicaSets, and wait until none of their Pods runs."""
    held = rolling.stop_old(rollout)
    return held or rollout.changed or rolling.any_running(observed.old_pods)


def _sync_new(rollout: Rollout, status: Object, now: float) -> None:
    """Keep the new ReplicaSet's annotations and minReadySeconds in line with the Deployment's."""
    deployment, new = rollout.deployment, rollout.new
    assert new is not None
    revision = revisions.next_revision(rollout.old)
    rollout.annotate(new, revisions.synced_annotations(deployment, new, revision))
    rollout.set_min_ready_s(new, deployment["spec"].get("minReadySeconds") or 0)
    progress.note_found(deployment, status, new["metadata"]["name"], now)


def _create_new(rollout: Rollout, observed: Observed, status: Object, now: float) -> list[Action]:
    deployment, name = rollout.deployment, revisions.new_name(rollout.deployment)
    if observed.namesake is not None:
        # A ReplicaSet of another template, or of somebody else, has the name: the next hash will be another one.
        status["collisionCount"] = (status.get("collisionCount") or 0) + 1
        return _status_write(deployment, status)
    failure = observed.failure
    if failure is not None and failure.verb == "create":
        progress.note_create_error(deployment, status, name, failure.message, now)
        return [*_status_write(deployment, status), _creation(rollout, name)]
    progress.note_created(deployment, status, name, now)
    return [*rollout.patches(), _creation(rollout, name), *_finish(rollout, status, now)]


def _creation(rollout: Rollout, name: str) -> Create:
    size = rolling.new_size(rollout)
    revision = revisions.next_revision(rollout.old)
    error = f'Failed to create new replica set "{name}": {ERROR_MARK}'
    return Create(
        REPLICA_SETS,
        revisions.new_replica_set(rollout.deployment, revision, size),
        done=rollout.scaled_event(name, 0, size) if size else None,
        failed=Emit(rollout.deployment, "Warning", "ReplicaSetCreateError", error),
    )


def _finish(rollout: Rollout, status: Object, now: float) -> list[Action]:
    """Write the status and the new ReplicaSet's revision; and come back when the progress deadline would be over."""
    actions = _status_write(rollout.deployment, status, _revision_of_new(rollout))
    wait_s = progress.next_check_s(rollout.deployment, status, now)
    if wait_s is not None:
        actions.append(RequeueAfter(wait_s))
    return actions


def _revision_of_new(rollout: Rollout) -> dict[str, str]:
    new = rollout.new
    revision = revisions.annotations_of(new).get(REVISION) if new is not None else None
    return {REVISION: revision} if revision is not None else {}


def _status_write(deployment: Object, status: Object, annotations: dict[str, str] | None = None) -> list[Action]:
    """Write status and annotations through the status subresource: so an annotation is no new generation."""
    current = revisions.annotations_of(deployment)
    wanted = current | (annotations or {})
    if status == (deployment.get("status") or {}) and wanted == current:
        return []
    obj = {**deployment, "status": status}
    if wanted:
        obj["metadata"] = {**deployment["metadata"], "annotations": wanted}
    return [Update(DEPLOYMENTS, obj, subresource="status")]


def _tidy(rollout: Rollout) -> list[Action]:
    """Delete old ReplicaSets beyond the history limit."""
    return [
        Delete(
            REPLICA_SETS,
            found["metadata"]["namespace"],
            found["metadata"]["name"],
            found["metadata"]["uid"],
            resource_version=found["metadata"]["resourceVersion"],
        )
        for found in revisions.surplus_history(rollout.deployment, rollout.old)
    ]


def _selector_says_anything(deployment: Object) -> bool:
    selector = deployment["spec"].get("selector") or {}
    return bool(selector.get("matchLabels") or selector.get("matchExpressions"))


def _refuse_to_select_all(deployment: Object) -> list[Action]:
    generation = deployment["metadata"].get("generation", 0)
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) >= generation:
        return []
    message = "This deployment is selecting all pods. A non-empty selector is required."
    return [
        Emit(deployment, "Warning", "SelectingAll", message),
        *_status_write(deployment, {**status, "observedGeneration": generation}),
    ]

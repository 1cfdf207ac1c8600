"""Is a rollout getting anywhere? The Progressing condition, which `kubectl rollout status` waits on.

Progress is any counter that moved the right way since the status was last written. Without any for
progressDeadlineSeconds the condition turns False with ProgressDeadlineExceeded; nothing is rolled back.
"""

from typing import Any

from actors.controller_manager.conditions import remove_condition
from actors.controller_manager.deployment.rollout import Rollout
from actors.controller_manager.deployment.status import renew_condition, set_condition
from actors.controller_manager.deployment.strategy import progress_deadline_s, replicas_of
from actors.controller_manager.pods import condition
from actors.controller_manager.timestamps import seconds_of

Object = dict[str, Any]

PROGRESSING = "Progressing"
NEW_AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"

# A second more than the deadline: timestamps have whole seconds, and too early would only mean once more.
ROUNDING_S = 1.0


def note_pause(deployment: Object, status: Object, now: float) -> None:
    """Stop and restart the clock of the deadline with spec.paused; a rollout that timed out stays so."""
    if progress_deadline_s(deployment) is None:
        return
    current = condition({"status": status}, PROGRESSING)
    reason = current.get("reason") if current else None
    if reason == TIMED_OUT:
        return
    paused = bool(deployment["spec"].get("paused"))
    if paused and reason != PAUSED:
        set_condition(status, PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now)
    elif not paused and reason == PAUSED:
        set_condition(status, PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed", now)


def note_found(deployment: Object, status: Object, name: str, now: float) -> None:
    """The new ReplicaSet was there before any condition: count from now."""
    if progress_deadline_s(deployment) is not None and condition({"status": status}, PROGRESSING) is None:
        message = f'Found new replica set "{name}"'
        set_condition(status, PROGRESSING, "True", "FoundNewReplicaSet", message, now)


def note_created(deployment: Object, status: Object, name: str, now: float) -> None:
    if progress_deadline_s(deployment) is not None:
        message = f'Created new replica set "{name}"'
        set_condition(status, PROGRESSING, "True", "NewReplicaSetCreated", message, now)


def note_create_error(deployment: Object, status: Object, name: str, error: str, now: float) -> None:
    if progress_deadline_s(deployment) is not None:
        message = f'Failed to create new replica set "{name}": {error}'
        set_condition(status, PROGRESSING, "False", "ReplicaSetCreateError", message, now)


def estimate(rollout: Rollout, status: Object, now: float) -> None:
    """Bring the Progressing condition of `status` up to date with its counters."""
    deployment = rollout.deployment
    if progress_deadline_s(deployment) is None:
        remove_condition(status, PROGRESSING)
        return
    current = condition({"status": status}, PROGRESSING)
    if (
        current
        and current.get("reason") == NEW_AVAILABLE
        and _count(status, "replicas") == _count(status, "updatedReplicas")
    ):
        return  # no rollout is under way
    subject = (
        f'ReplicaSet "{rollout.new["metadata"]["name"]}"'
        if rollout.new is not None
        else f'Deployment "{deployment["metadata"]["name"]}"'
    )
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        set_condition(status, PROGRESSING, "True", NEW_AVAILABLE, message, now)
    elif _progressed(deployment.get("status") or {}, status):
        renew_condition(status, PROGRESSING, "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
    elif _timed_out(deployment, current, now):
        set_condition(status, PROGRESSING, "False", TIMED_OUT, f"{subject} has timed out progressing.", now)


def is_complete(deployment: Object, status: Object) -> bool:
    """Are all replicas updated and available, and no other Pods left?"""
    wanted = replicas_of(deployment)
    return (
        _count(status, "updatedReplicas") == wanted
        and _count(status, "replicas") == wanted
        and _count(status, "availableReplicas") == wanted
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def next_check_s(deployment: Object, status: Object, now: float) -> float | None:
    """Return in how many seconds the deadline has to be looked at again, None if it need not."""
    deadline = progress_deadline_s(deployment)
    current = condition({"status": status}, PROGRESSING)
    if deadline is None or current is None or deployment["spec"].get("paused"):
        return None
    if current.get("reason") in (TIMED_OUT, NEW_AVAILABLE) or is_complete(deployment, status):
        return None
    return max(seconds_of(current.get("lastUpdateTime"), now) + deadline - now, 0.0) + ROUNDING_S


def _progressed(before: Object, after: Object) -> bool:
    old_before = _count(before, "replicas") - _count(before, "updatedReplicas")
    old_after = _count(after, "replicas") - _count(after, "updatedReplicas")
    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old_after < old_before or any(_count(after, name) > _count(before, name) for name in grown)


def _timed_out(deployment: Object, current: Object | None, now: float) -> bool:
    deadline = progress_deadline_s(deployment)
    if current is None or deadline is None or current.get("reason") == NEW_AVAILABLE:
        return False
    return current.get("reason") == TIMED_OUT or seconds_of(current.get("lastUpdateTime"), now) + deadline < now


def _count(status: Object, name: str) -> int:
    return status.get(name) or 0

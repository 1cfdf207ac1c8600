"""A Deployment's status: counters summed over its ReplicaSets, and the Available and ReplicaFailure conditions.

Progressing has its own rules, in `progress`. A Deployment's condition has a `lastUpdateTime` besides the transition
time: it moves with the reason, and the progress deadline counts from it.
"""

import copy
from typing import Any

from actors.api.meta import rfc3339
from actors.controller_manager.conditions import remove_condition
from actors.controller_manager.deployment.rollout import Rollout, status_count
from actors.controller_manager.deployment.strategy import min_available
from actors.controller_manager.pods import condition

Object = dict[str, Any]


def counted_status(rollout: Rollout, now: float) -> Object:
    """Return the status with its counters and the Available condition up to date, other conditions as they were."""
    status = copy.deepcopy(rollout.deployment.get("status") or {})
    available = _sum(rollout, "availableReplicas")
    counts = {
        "replicas": _sum(rollout, "replicas"),
        "updatedReplicas": status_count(rollout.new, "replicas") if rollout.new is not None else 0,
        "readyReplicas": _sum(rollout, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(rollout.total(rollout.all) - available, 0),
        "terminatingReplicas": _sum(rollout, "terminatingReplicas"),
    }
    for name, count in counts.items():
        if count:
            status[name] = count
        else:
            status.pop(name, None)
    status["observedGeneration"] = rollout.deployment["metadata"].get("generation", 0)
    _set_available(status, available >= min_available(rollout.deployment), now)
    return status


def _sum(rollout: Rollout, name: str) -> int:
    return sum(status_count(replica_set, name) for replica_set in rollout.all)


def _set_available(status: Object, available: bool, now: float) -> None:
    if available:
        message = "Deployment has minimum availability."
        set_condition(status, "Available", "True", "MinimumReplicasAvailable", message, now)
    else:
        message = "Deployment does not have minimum availability."
        set_condition(status, "Available", "False", "MinimumReplicasUnavailable", message, now)


def set_condition(status: Object, type_: str, value: str, reason: str, message: str, now: float) -> None:
    """Set a condition, unless one with the same status and reason stands already."""
    current = condition({"status": status}, type_)
    if current is not None and current.get("status") == value and current.get("reason") == reason:
        return
    renew_condition(status, type_, value, reason, message, now)


def renew_condition(status: Object, type_: str, value: str, reason: str, message: str, now: float) -> None:
    """Set a condition and its lastUpdateTime, whatever stood there."""
    stamp = rfc3339(now)
    entry = {
        "type": type_,
        "status": value,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }
    conditions = status.setdefault("conditions", [])
    for index, current in enumerate(conditions):
        if current.get("type") == type_:
            if current.get("status") == value:
                entry["lastTransitionTime"] = current.get("lastTransitionTime", stamp)
            conditions[index] = entry
            return
    conditions.append(entry)


def copy_replica_failure(status: Object, rollout: Rollout, now: float) -> None:
    """Show a ReplicaSet's ReplicaFailure as the Deployment's own, the new ReplicaSet's first."""
    candidates = [rollout.new, *rollout.old] if rollout.new is not None else rollout.old
    for replica_set in candidates:
        failure = condition(replica_set, "ReplicaFailure")
        if failure is not None:
            reason, message = failure.get("reason", ""), failure.get("message", "")
            set_condition(status, "ReplicaFailure", failure["status"], reason, message, now)
            return
    remove_condition(status, "ReplicaFailure")

"""The status of a ReplicaSet or ReplicationController: counters, and the ReplicaFailure condition."""

import copy
from collections.abc import Sequence
from typing import Any

from actors.controller_manager.actions import Failure
from actors.controller_manager.conditions import remove_condition, set_condition
from actors.controller_manager.pods import NEVER, Pod, available_at, is_active, is_ready, is_terminal, is_terminating

FAILURE_REASONS = {"create": "FailedCreate", "delete": "FailedDelete"}


def observed_status(owner: dict[str, Any], pods: Sequence[Pod], failure: Failure | None, now: float) -> dict[str, Any]:
    """Return the status that these Pods amount to. `failure`: of the last attempt to create or delete some."""
    spec = owner["spec"]
    active = [pod for pod in pods if is_active(pod)]
    wanted_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    min_ready_s = spec.get("minReadySeconds") or 0
    status = copy.deepcopy(owner.get("status") or {})
    status["replicas"] = len(active)
    counters = {
        "fullyLabeledReplicas": sum(_has_labels(pod, wanted_labels) for pod in active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(available_at(pod, min_ready_s) <= now for pod in active),
    }
    if owner.get("kind") != "ReplicationController":
        counters["terminatingReplicas"] = sum(is_terminating(pod) and not is_terminal(pod) for pod in pods)
    for name, count in counters.items():
        _set_counter(status, name, count)
    status["observedGeneration"] = owner["metadata"].get("generation", 0)
    _set_failure(status, spec, len(active), failure, now)
    return status


def next_availability(owner: dict[str, Any], pods: Sequence[Pod], now: float) -> float | None:
    """Return in how many seconds the next ready Pod becomes available, None if none will by the passing of time."""
    min_ready_s = owner["spec"].get("minReadySeconds") or 0
    times = [available_at(pod, min_ready_s) for pod in pods if is_active(pod)]
    coming = [time for time in times if now < time < NEVER]
    return min(coming) - now if coming else None


def _has_labels(pod: Pod, wanted: dict[str, str]) -> bool:
    return wanted.items() <= (pod["metadata"].get("labels") or {}).items()


def _set_counter(status: dict[str, Any], name: str, count: int) -> None:
    """A counter of zero is left out, as Kubernetes encodes it."""
    if count:
        status[name] = count
    else:
        status.pop(name, None)


def _set_failure(
    status: dict[str, Any], spec: dict[str, Any], active: int, failure: Failure | None, now: float
) -> None:
    if failure is None or failure.verb not in FAILURE_REASONS or active == (spec.get("replicas") or 0):
        remove_condition(status, "ReplicaFailure")
    else:
        set_condition(status, "ReplicaFailure", "True", FAILURE_REASONS[failure.verb], failure.message, now)

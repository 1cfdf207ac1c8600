"""What controllers ask of a Pod: is it active, ready, available, gone.

Neighbours: replicaset, deployment, endpoints and node controllers. Pure; `now` is wall-clock seconds, because
`minReadySeconds` is measured against timestamps that the kubelet wrote.
"""

from typing import Any

from actors.api.meta import get_condition
from actors.controller_manager.timestamps import seconds_of

Pod = dict[str, Any]

TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})
NEVER = float("inf")


def condition(obj: dict[str, Any], type_: str) -> dict[str, Any] | None:
    """Return the status condition of a type, or None."""
    return get_condition((obj.get("status") or {}).get("conditions"), type_)


def is_terminating(obj: dict[str, Any]) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def phase(pod: Pod) -> str:
    return (pod.get("status") or {}).get("phase") or "Pending"


def is_terminal(pod: Pod) -> bool:
    return phase(pod) in TERMINAL_PHASES


def is_active(pod: Pod) -> bool:
    """Does this Pod count as a replica: neither finished nor being deleted?"""
    return not is_terminal(pod) and not is_terminating(pod)


def is_ready(pod: Pod) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and ready.get("status") == "True"


def available_at(pod: Pod, min_ready_s: int) -> float:
    """Return when the Pod is (or was) available: ready for `min_ready_s` seconds; NEVER if it is not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return NEVER
    if min_ready_s == 0:
        return 0.0
    since = seconds_of(ready.get("lastTransitionTime"), NEVER)
    return since + min_ready_s


def is_available(pod: Pod, min_ready_s: int, now: float) -> bool:
    return available_at(pod, min_ready_s) <= now


def ready_since(pod: Pod) -> float:
    """Return since when the Pod has been ready, 0 if it is not or does not say."""
    ready = condition(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return 0.0
    return seconds_of(ready.get("lastTransitionTime"))


def restarts(pod: Pod) -> int:
    """Return the greatest restart count among the Pod's containers."""
    status = pod.get("status") or {}
    counts = [entry.get("restartCount", 0) for entry in status.get("containerStatuses") or ()]
    counts += [entry.get("restartCount", 0) for entry in status.get("initContainerStatuses") or ()]
    return max(counts, default=0)

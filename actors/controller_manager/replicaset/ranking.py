"""Which Pods of a ReplicaSet go first when there are too many.

The order is Kubernetes': what serves least and has cost least goes first. Pure; ties end with the name, so that two
reconciles of the same world choose the same Pods.
"""

from collections import Counter
from collections.abc import Iterable
from math import floor, log2
from typing import Any

from actors.controller_manager.pods import Pod, is_active, is_ready, phase, ready_since, restarts
from actors.controller_manager.timestamps import seconds_of

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


def rank_for_deletion(pods: Iterable[Pod], related: Iterable[Pod], now: float) -> list[Pod]:
    """Return the Pods in the order in which they should be deleted.

    `related`: the Pods of every ReplicaSet with the same owner; a node that holds more of them loses one sooner.
    """
    crowd = Counter(node for pod in related if is_active(pod) and (node := pod["spec"].get("nodeName")))
    return sorted(pods, key=lambda pod: _rank(pod, crowd, now))


def _rank(pod: Pod, crowd: Counter[str], now: float) -> tuple[Any, ...]:
    node = pod["spec"].get("nodeName") or ""
    since = ready_since(pod)
    created = seconds_of(pod["metadata"].get("creationTimestamp"))
    return (
        bool(node),  # unassigned before assigned
        _PHASE_RANK.get(phase(pod), 2),  # pending, unknown, running
        is_ready(pod),  # not ready before ready
        deletion_cost(pod),  # cheap before dear
        -crowd[node],  # doubled up before alone
        _age_rank(since, now),  # ready for a shorter time before ready for longer
        -restarts(pod),  # more restarts before fewer
        _age_rank(created, now),  # newer before older
        pod["metadata"].get("uid", ""),  # within one scale of age, anything goes, but the same each time
        pod["metadata"]["name"],
    )


def _age_rank(since: float, now: float) -> int:
    """Ages are compared on a logarithmic scale, so that the youngest Pods of a fleet do not always go together."""
    if since == 0.0:
        return -1
    return floor(log2(max(now - since, 0.0) + 1.0))


def deletion_cost(pod: Pod) -> int:
    """Return what the annotation says it costs to delete this Pod; 0 where it says nothing, or no 32-bit number."""
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    try:
        cost = int(text)
    except ValueError:
        return 0
    return cost if -(2**31) <= cost < 2**31 else 0

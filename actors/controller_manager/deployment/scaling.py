"""Changing the size of a Deployment: at rest, or in the middle of a rollout.

In the middle of a rolling update a new size is spread over the ReplicaSets in proportion to their sizes, so that a bad
new version does not get all the added Pods. An annotation tells each ReplicaSet for which size of the Deployment it was
sized last; where that differs, a scaling is due before the rollout goes on.
"""

from typing import Any

from actors.controller_manager.deployment.revisions import (
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    number_annotation,
    size_annotations,
)
from actors.controller_manager.deployment.rollout import Rollout, status_count
from actors.controller_manager.deployment.strategy import is_rolling, max_surge, replicas_of
from actors.controller_manager.timestamps import seconds_of

Object = dict[str, Any]


def is_due(rollout: Rollout) -> bool:
    """Was an active ReplicaSet last sized for another size of the Deployment?"""
    wanted = replicas_of(rollout.deployment)
    active = [found for found in rollout.all if rollout.size(found) > 0]
    return any(number_annotation(found, DESIRED_REPLICAS) not in (None, wanted) for found in active)


def scale(rollout: Rollout) -> None:
    """Size the ReplicaSets for spec.replicas, without moving the rollout on."""
    wanted = replicas_of(rollout.deployment)
    only = _active_or_latest(rollout)
    if only is not None:
        rollout.resize(only, wanted)
        rollout.annotate(only, size_annotations(rollout.deployment))
    elif _is_saturated(rollout):
        for replica_set in rollout.active_old:
            rollout.resize(replica_set, 0)
    elif is_rolling(rollout.deployment):
        _scale_in_proportion(rollout)


def _active_or_latest(rollout: Rollout) -> Object | None:
    """Return the one ReplicaSet that has Pods; if none has, the new or else the latest; None if several have."""
    active = [found for found in rollout.all if rollout.size(found) > 0]
    if len(active) == 1:
        return active[0]
    if active or not rollout.all:
        return None
    return rollout.new if rollout.new is not None else rollout.old[-1]


def _is_saturated(rollout: Rollout) -> bool:
    """Has the new ReplicaSet all of its Pods, available?"""
    new, wanted = rollout.new, replicas_of(rollout.deployment)
    if new is None:
        return False
    return (
        rollout.size(new) == wanted
        and number_annotation(new, DESIRED_REPLICAS) == wanted
        and status_count(new, "availableReplicas") == wanted
    )


def _scale_in_proportion(rollout: Rollout) -> None:
    active = [found for found in rollout.all if rollout.size(found) > 0]
    wanted = replicas_of(rollout.deployment)
    allowed = wanted + max_surge(rollout.deployment) if wanted > 0 else 0
    change = allowed - rollout.total(active)
    if change == 0:
        for replica_set in active:
            rollout.annotate(replica_set, size_annotations(rollout.deployment))
        return
    active.sort(key=lambda found: _order(found, rollout, growing=change > 0))
    sizes: list[int] = []
    moved = 0
    for replica_set in active:
        share = _share(replica_set, rollout, change, moved)
        sizes.append(rollout.size(replica_set) + share)
        moved += share
    sizes[0] = max(sizes[0] + change - moved, 0)  # what rounding left over goes to the largest
    for replica_set, size in zip(active, sizes, strict=True):
        rollout.resize(replica_set, size)
        rollout.annotate(replica_set, size_annotations(rollout.deployment))


def _order(replica_set: Object, rollout: Rollout, *, growing: bool) -> tuple[int, float, str]:
    """Largest first; among equals the newest grows first, and the oldest shrinks first."""
    created = seconds_of(replica_set["metadata"].get("creationTimestamp"))
    return -rollout.size(replica_set), -created if growing else created, replica_set["metadata"]["name"]


def _share(replica_set: Object, rollout: Rollout, change: int, moved: int) -> int:
    """Return how many Pods of a change fall to a ReplicaSet, never more than is left of it."""
    left = change - moved
    if left == 0:
        return 0
    fraction = _fraction(replica_set, rollout)
    return min(max(fraction, 0), left) if change > 0 else max(min(fraction, 0), left)


def _fraction(replica_set: Object, rollout: Rollout) -> int:
    """Return by how much a ReplicaSet changes to keep its part of the Deployment's total."""
    size, wanted = rollout.size(replica_set), replicas_of(rollout.deployment)
    if wanted == 0:
        return -size
    before = number_annotation(replica_set, MAX_REPLICAS) or status_count(rollout.deployment, "replicas")
    if not before:
        return 0
    after = wanted + max_surge(rollout.deployment)
    return (2 * size * after + before) // (2 * before) - size  # rounded to the nearest, halves up

"""Sizing ReplicaSets during a rollout: RollingUpdate and Recreate.

A rolling update takes one step in a reconcile: grow the new ReplicaSet as far as maxSurge lets it, else shrink the old
ones as far as maxUnavailable lets them, unhealthy Pods first. The status of a ReplicaSet brings the next reconcile.
"""

from collections.abc import Iterable
from typing import Any

from actors.controller_manager.deployment.rollout import Rollout, status_count
from actors.controller_manager.deployment.strategy import is_rolling, max_surge, min_available, replicas_of
from actors.controller_manager.pods import Pod, is_terminal

Object = dict[str, Any]


def new_size(rollout: Rollout) -> int:
    """Return the size of the new ReplicaSet (which may not exist yet): as large as the surge lets it be."""
    wanted = replicas_of(rollout.deployment)
    current = rollout.size(rollout.new) if rollout.new is not None else 0
    if not is_rolling(rollout.deployment) or current >= wanted:
        return wanted
    room = wanted + max_surge(rollout.deployment) - rollout.most(rollout.all)
    return current + max(0, min(room, wanted - current))


def roll(rollout: Rollout) -> bool:
    """Take the next step of a rolling update; return whether there was one to take."""
    if rollout.new is not None and rollout.resize(rollout.new, new_size(rollout)):
        return True
    return shrink_old(rollout)


def shrink_old(rollout: Rollout) -> bool:
    """Shrink the old ReplicaSets as far as the Deployment stays available; return whether any shrank."""
    if rollout.total(rollout.old) == 0:
        return False
    floor = min_available(rollout.deployment)
    new_unavailable = 0
    if rollout.new is not None:
        new_unavailable = rollout.size(rollout.new) - rollout.least_available(rollout.new)
    spare = rollout.total(rollout.all) - floor - new_unavailable
    if spare <= 0:
        return False
    _drop_unhealthy(rollout, spare)
    available = sum(rollout.least_available(found) for found in rollout.all)
    _drop(rollout, available - floor)
    return rollout.changed


def _drop_unhealthy(rollout: Rollout, most: int) -> None:
    """Shrink old ReplicaSets by Pods that are not available: they serve nobody, and may never do."""
    for replica_set in rollout.active_old:
        size = rollout.size(replica_set)
        unhealthy = size - min(size, status_count(replica_set, "availableReplicas"))
        drop = min(most, unhealthy)
        if drop > 0:
            rollout.resize(replica_set, size - drop)
            most -= drop


def _drop(rollout: Rollout, most: int) -> None:
    for replica_set in rollout.active_old:
        drop = min(most, rollout.size(replica_set))
        if drop > 0:
            rollout.resize(replica_set, rollout.size(replica_set) - drop)
            most -= drop


def stop_old(rollout: Rollout) -> bool:
    """Recreate, first half: every old ReplicaSet to zero; return whether one still has, or had, Pods."""
    held = rollout.most(rollout.old) > 0
    for replica_set in rollout.active_old:
        rollout.resize(replica_set, 0)
    return held


def any_running(old_pods: Iterable[Pod]) -> bool:
    """Recreate waits for this to be False: finished Pods do not count, unknown and terminating ones do."""
    return any(not is_terminal(pod) for pod in old_pods)

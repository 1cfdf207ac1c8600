"""A Deployment's numbers: replicas, and what maxSurge and maxUnavailable amount to.

A percentage of maxSurge rounds up and one of maxUnavailable down; both at zero would stand still for ever, so that
then one Pod may be unavailable.
"""

import math
from typing import Any

Object = dict[str, Any]

ROLLING_UPDATE = "RollingUpdate"
DEFAULT_FENCEPOST = "25%"
NO_PROGRESS_DEADLINE = 2**31 - 1  # Kubernetes' spelling of "never"


def replicas_of(obj: Object) -> int:
    """Return spec.replicas of a Deployment or ReplicaSet; 1 where it does not say."""
    wanted = obj["spec"].get("replicas")
    return 1 if wanted is None else wanted


def is_rolling(deployment: Object) -> bool:
    return (deployment["spec"].get("strategy") or {}).get("type", ROLLING_UPDATE) == ROLLING_UPDATE


def max_surge(deployment: Object) -> int:
    """Return how many Pods there may be beyond spec.replicas."""
    return _fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    """Return how many of spec.replicas may be unavailable during a rolling update."""
    if not is_rolling(deployment) or replicas_of(deployment) == 0:
        return 0
    return min(_fenceposts(deployment)[1], replicas_of(deployment))


def min_available(deployment: Object) -> int:
    if not is_rolling(deployment):
        return 0
    return replicas_of(deployment) - max_unavailable(deployment)


def progress_deadline_s(deployment: Object) -> int | None:
    """Return the seconds without progress after which a rollout counts as stuck, None for never."""
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    return None if deadline is None or deadline == NO_PROGRESS_DEADLINE else deadline


def _fenceposts(deployment: Object) -> tuple[int, int]:
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    replicas = replicas_of(deployment)
    surge = _resolve(rolling.get("maxSurge", DEFAULT_FENCEPOST), replicas, round_up=True)
    unavailable = _resolve(rolling.get("maxUnavailable", DEFAULT_FENCEPOST), replicas, round_up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _resolve(value: int | str, total: int, *, round_up: bool) -> int:
    """Return an IntOrString as a number of Pods. Integer arithmetic: no percentage is off by a rounding error."""
    if isinstance(value, int):
        return value
    percent = int(value.removesuffix("%"))
    scaled = percent * total
    return math.ceil(scaled / 100) if round_up else scaled // 100

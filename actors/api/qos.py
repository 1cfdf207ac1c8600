"""The quality of service that a pod's requests and limits make, which decides who is ended first when a node runs out.

The API server writes it into the status of a new pod and lets no update change it; the kubelet acts by it. Source:
"Configure Quality of Service for Pods" of Kubernetes' documentation, and KEP-2837 for resources of a whole pod.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from actors.api.quantity import parse_quantity

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
COMPUTE = ("cpu", "memory")  # other resources make no class


def qos_class(spec: Mapping[str, Any]) -> str:
    """Return the class of a pod's spec: by the resources of the pod as a whole, or else by those of each container.

    A request that is not there is as much as the limit, as the API server has it; one of nothing is nothing.
    """
    own = spec.get("resources") or {}
    is_whole = bool(own.get("requests") or own.get("limits"))
    owners = [spec] if is_whole else [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    some, equal = False, True
    for owner in owners:
        resources = owner.get("resources") or {}
        limits = resources.get("limits") or {}
        bounds, asked = _amounts(limits), _amounts({**limits, **(resources.get("requests") or {})})
        some = some or bool(bounds or asked)
        equal = equal and len(bounds) == len(COMPUTE) and asked == bounds
    if not some:
        return BEST_EFFORT
    return GUARANTEED if equal else BURSTABLE


def _amounts(given: Mapping[str, str]) -> dict[str, Decimal]:
    """Return the cpu and memory that are more than nothing."""
    found = {name: parse_quantity(given[name]) for name in COMPUTE if given and name in given}
    return {name: amount for name, amount in found.items() if amount > 0}

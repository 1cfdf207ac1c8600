"""ServiceCIDR kubernetes: the network that Services get their addresses from, as the cluster's config says it.

Neighbours: `ensure` creates it; `allocate` gives the addresses out; `address_upkeep` looks after it.
"""

from typing import Any

from actors.api.config import ClusterConfig
from actors.api.meta import now_rfc3339
from runtime.clock import Clock

NAME = "kubernetes"
FINALIZER = "networking.k8s.io/service-cidr-finalizer"
READY = "Ready"


def service_cidr(config: ClusterConfig) -> dict[str, Any]:
    return {
        "kind": "ServiceCIDR",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {"name": NAME, "finalizers": [FINALIZER]},
        "spec": {"cidrs": [config.network.service_cidr]},
    }


def in_use(stored: dict[str, Any], clock: Clock) -> dict[str, Any] | None:
    """Return the object with a status that says that it is used; None where it says so."""
    conditions = (stored.get("status") or {}).get("conditions") or []
    if any(one.get("type") == READY and one.get("status") == "True" for one in conditions):
        return None
    ready = {
        "type": READY,
        "status": "True",
        "reason": "",
        "message": "Kubernetes Service CIDR is ready",
        "lastTransitionTime": now_rfc3339(clock),
    }
    others = [one for one in conditions if one.get("type") != READY]
    return {**stored, "status": {"conditions": [*others, ready]}}

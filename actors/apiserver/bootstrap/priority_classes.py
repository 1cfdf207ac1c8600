"""The two priority classes that every cluster has: what the cluster, and what a node, cannot do without.

Neighbours: `ensure` creates what is missing; `admission.priority` knows their values even before they are there.
"""

from typing import Any

from actors.apiserver.admission.priority import PREEMPT, SYSTEM_PRIORITIES

_DESCRIPTIONS = {
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved to "
    "another node if necessary.",
    "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
}


def objects() -> list[dict[str, Any]]:
    return [
        {
            "kind": "PriorityClass",
            "apiVersion": "scheduling.k8s.io/v1",
            "metadata": {"name": name},
            "value": value,
            "preemptionPolicy": PREEMPT,
            "description": _DESCRIPTIONS[name],
        }
        for name, value in SYSTEM_PRIORITIES.items()
    ]

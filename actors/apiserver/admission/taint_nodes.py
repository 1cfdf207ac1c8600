"""TaintNodesByCondition: a new Node takes no Pods until it is known to be ready.

The node lifecycle controller takes the taint away when the Node says that it is ready. Source: Kubernetes'
TaintNodesByCondition plugin. Neighbours: `chain`.
"""

from typing import Any

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def admit(node: dict[str, Any]) -> None:
    spec = node.setdefault("spec", {})
    taints = spec.get("taints") or []
    if not any(taint.get("key") == NOT_READY["key"] and taint.get("effect") == "NoSchedule" for taint in taints):
        spec["taints"] = [*taints, dict(NOT_READY)]

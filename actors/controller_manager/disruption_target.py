"""The condition by which a Pod tells that it was ended by the cluster and not by itself."""

from typing import Any

from actors.api.meta import rfc3339, set_condition
from actors.controller_manager.pods import Pod, condition


def disruption_target(pod: Pod, reason: str, message: str, now: float) -> dict[str, Any] | None:
    """Return the status change that adds DisruptionTarget, None where the Pod has it already."""
    current = condition(pod, "DisruptionTarget")
    if current is not None and current.get("status") == "True" and current.get("reason") == reason:
        return None
    conditions = (pod.get("status") or {}).get("conditions")
    return {"conditions": set_condition(conditions, "DisruptionTarget", "True", reason, message, rfc3339(now))}

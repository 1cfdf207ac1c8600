"""What becomes of a Node that is silent: its conditions, and the Ready condition of its Pods. Pure."""

import copy
from collections.abc import Iterable
from typing import Any

from actors.api.meta import rfc3339
from actors.controller_manager.actions import Action, Batch, Emit, Patch, RequeueAfter, Update
from actors.controller_manager.pods import Pod, condition, is_ready, is_terminal

Object = dict[str, Any]

NODES = "nodes"

# A Node that was only registered has not posted any status yet; Kubernetes gives it this long for the first.
STARTUP_GRACE_S = 60.0

# The conditions that only the kubelet can know of.
KUBELETS_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


def ready_status(node: Object) -> str | None:
    """Return the status of the Ready condition, None while the Node has none."""
    ready = condition(node, "Ready")
    return ready.get("status") if ready is not None else None


def grace_period_s(node: Object, configured_s: float) -> float:
    return configured_s if ready_status(node) is not None else max(configured_s, STARTUP_GRACE_S)


def check(node: Object, silence_s: float, grace_s: float, now: float) -> list[Action]:
    """Return the status write for a Node that was silent for too long, or the time to look again."""
    if silence_s < grace_s:
        return [RequeueAfter(grace_s - silence_s)]
    conditions = copy.deepcopy((node.get("status") or {}).get("conditions") or [])
    changed = [_set_unknown(conditions, type_, node, now) for type_ in KUBELETS_CONDITIONS]
    if not any(changed):
        return []
    status = {**(node.get("status") or {}), "conditions": conditions}
    return [Update(NODES, {**node, "status": status}, subresource="status")]


def _set_unknown(conditions: list[Object], type_: str, node: Object, now: float) -> bool:
    for entry in conditions:
        if entry["type"] != type_:
            continue
        if entry["status"] == "Unknown":
            return False
        entry |= {
            "status": "Unknown",
            "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
            "lastTransitionTime": rfc3339(now),
        }
        return True
    conditions.append(
        {
            "type": type_,
            "status": "Unknown",
            "reason": "NodeStatusNeverUpdated",
            "message": "Kubelet never posted node status.",
            "lastHeartbeatTime": node["metadata"].get("creationTimestamp"),
            "lastTransitionTime": rfc3339(now),
        }
    )
    return True


def not_ready_event(node: Object) -> Emit:
    name = node["metadata"]["name"]
    return Emit(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")


def mark_pods(pods: Iterable[Pod], now: float) -> list[Action]:
    """Return the writes that take the Pods of a Node that is not ready out of service."""
    marks = tuple(_mark(pod, now) for pod in pods if is_ready(pod) and not is_terminal(pod))
    return [Batch(marks, tolerant=True)] if marks else []


def _mark(pod: Pod, now: float) -> Patch:
    metadata = pod["metadata"]
    conditions = [
        {**entry, "status": "False", "lastTransitionTime": rfc3339(now)} if entry["type"] == "Ready" else entry
        for entry in pod["status"]["conditions"]
    ]
    patch = {
        "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "status": {"conditions": conditions},
    }
    event = Emit(pod, "Warning", "NodeNotReady", "Node is not ready")
    return Patch("pods", metadata["namespace"], metadata["name"], patch, subresource="status", done=event)

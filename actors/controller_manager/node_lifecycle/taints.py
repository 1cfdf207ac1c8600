"""The taints that follow from a Node's conditions and from spec.unschedulable. Pure.

Taints of other keys are somebody else's and stay. NoExecute waits for `zones` to allow it.
"""

import enum
from typing import Any

from actors.api.meta import rfc3339
from actors.controller_manager.actions import Action, Patch
from actors.controller_manager.node_lifecycle.health import NODES
from actors.controller_manager.pods import condition

Object = dict[str, Any]

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

# (condition, status) -> taint
_NO_SCHEDULE = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
_NO_EXECUTE = {"False": NOT_READY, "Unknown": UNREACHABLE}
_OURS = frozenset(
    {(key, "NoSchedule") for key in (*_NO_SCHEDULE.values(), UNSCHEDULABLE)}
    | {(key, "NoExecute") for key in _NO_EXECUTE.values()}
)


class Eviction(enum.Enum):
    """May this Node be told to evict its Pods?"""

    NOW = "now"
    NOT_YET = "not yet"  # what it has stays, nothing is added
    SUSPENDED = "suspended"  # no Node shall evict: what it has goes too


def wants_eviction(node: Object) -> bool:
    """Does the Ready condition ask for a NoExecute taint that the Node does not have yet?"""
    key = _NO_EXECUTE.get((condition(node, "Ready") or {}).get("status", ""))
    return key is not None and all((taint["key"], taint["effect"]) != (key, "NoExecute") for taint in _taints(node))


def reconcile(node: Object, eviction: Eviction, now: float) -> list[Action]:
    """Return the write that gives a Node the taints of its conditions."""
    current = _taints(node)
    wanted = _wanted(node, current, eviction)
    kept = [taint for taint in current if _identity(taint) not in _OURS or _identity(taint) in wanted]
    present = {_identity(taint) for taint in kept}
    added = [_new_taint(identity, current, now) for identity in sorted(wanted - present)]
    if not added and len(kept) == len(current):
        return []
    metadata = node["metadata"]
    patch = {
        "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "spec": {"taints": kept + added or None},
    }
    return [Patch(NODES, None, metadata["name"], patch)]


def _wanted(node: Object, current: list[Object], eviction: Eviction) -> set[tuple[str, str]]:
    conditions = (node.get("status") or {}).get("conditions") or ()
    keys = [_NO_SCHEDULE.get((entry["type"], entry["status"])) for entry in conditions]
    wanted = {(key, "NoSchedule") for key in keys if key is not None}
    if node["spec"].get("unschedulable"):
        wanted.add((UNSCHEDULABLE, "NoSchedule"))
    no_execute = _NO_EXECUTE.get((condition(node, "Ready") or {}).get("status", ""))
    evicting = any(_identity(taint) in _OURS and taint["effect"] == "NoExecute" for taint in current)
    if no_execute is not None and eviction is not Eviction.SUSPENDED and (eviction is Eviction.NOW or evicting):
        wanted.add((no_execute, "NoExecute"))
    return wanted


def _new_taint(identity: tuple[str, str], current: list[Object], now: float) -> Object:
    key, effect = identity
    taint: Object = {"key": key, "effect": effect}
    if effect == "NoExecute":
        # From not ready to unreachable, the Pods' toleration goes on running.
        times = [old["timeAdded"] for old in current if _identity(old) in _OURS and old.get("timeAdded")]
        taint["timeAdded"] = min(times, default=rfc3339(now))
    else:
        taint["timeAdded"] = rfc3339(now)
    return taint


def _identity(taint: Object) -> tuple[str, str]:
    return taint["key"], taint["effect"]


def _taints(node: Object) -> list[Object]:
    return node["spec"].get("taints") or []

"""Priority: a Pod's priority is that of its PriorityClass, or of the one that is the default for the cluster.

Source: Kubernetes' Priority plugin. Neighbours: `chain`; `bootstrap.priority_classes` makes the system's own two.
"""

from typing import Any

import orjson

from actors.api import errors
from actors.apiserver.admission.attributes import Admission

PREFIX = b"/registry/scheduling.k8s.io/priorityclasses/"
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
PREEMPT = "PreemptLowerPriority"
_DEFAULT_MARK = b'"globalDefault":true'

Object = dict[str, Any]


def admit(asked: Admission, pod: Object) -> None:
    spec = pod["spec"]
    name, value, policy = _class_of(asked, spec.get("priorityClassName", ""))
    if name:
        spec["priorityClassName"] = name
    given = spec.get("priority")
    if given is not None and given != value:
        raise asked.forbidden(
            f"the integer value of priority ({given}) must not be provided in pod spec; priority admission controller "
            f"computed {value} from the given PriorityClass name"
        )
    chosen = spec.get("preemptionPolicy")
    if chosen is not None and chosen != policy:
        raise asked.forbidden(
            f"the string value of PreemptionPolicy ({chosen}) must not be provided in pod spec; priority admission "
            f"controller computed {policy} from the given PriorityClass name"
        )
    spec["priority"], spec["preemptionPolicy"] = value, policy


def check_default(asked: Admission, obj: Object, old: Object | None) -> None:
    """Let only one PriorityClass be the default."""
    if not obj.get("globalDefault"):
        return
    default = _default(asked)
    if default is not None and default["metadata"]["name"] != obj["metadata"]["name"]:
        raise errors.forbidden(
            "priorityclasses.scheduling.k8s.io",
            obj["metadata"]["name"],
            f"PriorityClass {default['metadata']['name']} is already marked as default. Only one default can exist",
        )


def _class_of(asked: Admission, name: str) -> tuple[str, int, str]:
    if not name:
        default = _default(asked)
        if default is None:
            return "", 0, PREEMPT
        return default["metadata"]["name"], default.get("value", 0), default.get("preemptionPolicy", PREEMPT)
    if name in SYSTEM_PRIORITIES:
        return name, SYSTEM_PRIORITIES[name], PREEMPT
    entry = asked.entry(PREFIX, name)
    if entry is None:
        raise asked.forbidden(f"no PriorityClass with name {name} was found")
    found = entry.decode()
    return name, found.get("value", 0), found.get("preemptionPolicy", PREEMPT)


def _default(asked: Admission) -> Object | None:
    """Return the default class; the one of the lowest priority when there are several."""
    best: Object | None = None
    for entry in asked.parts.cache.at(PREFIX).entries.values():
        if _DEFAULT_MARK in entry.body:
            found = orjson.loads(entry.body)
            if found.get("globalDefault") and (best is None or found.get("value", 0) < best.get("value", 0)):
                best = found
    return best

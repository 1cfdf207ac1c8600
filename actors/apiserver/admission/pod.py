"""What every Pod gets: its priority, and tolerations that let it stay on a failing node for a while.

Source: Kubernetes' Priority and DefaultTolerationSeconds plugins. Neighbours: `chain`.
"""

from typing import TYPE_CHECKING, Any

from actors.api import errors

if TYPE_CHECKING:
    from actors.apiserver.admission.chain import Admission

FAILING_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
PRIORITY_CLASSES = b"/registry/scheduling.k8s.io/priorityclasses/"


def admit(asked: "Admission", pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    _prioritize(asked, spec)
    _tolerate(spec, asked.server.config.controllers.pod_eviction_toleration_s)


def _prioritize(asked: "Admission", spec: dict[str, Any]) -> None:
    name = spec.get("priorityClassName", "")
    value, policy = 0, "PreemptLowerPriority"
    if name in SYSTEM_PRIORITIES:
        value = SYSTEM_PRIORITIES[name]
    elif name:
        entry = None
        cache = asked.server.cache.find(PRIORITY_CLASSES + name.encode())
        if cache is not None:
            entry = cache.entries.get(PRIORITY_CLASSES + name.encode())
        if entry is None:
            raise errors.forbidden("pods", asked.name, f"no PriorityClass with name {name} was found")
        found = entry.decode()
        value, policy = found.get("value", 0), found.get("preemptionPolicy", policy)
    given = spec.get("priority")
    if given is not None and given != value:
        raise errors.forbidden(
            "pods",
            asked.name,
            f"the integer value of priority ({given}) must not be provided in pod spec; priority admission controller "
            f"computed {value} from the given PriorityClass name",
        )
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", policy)


def _tolerate(spec: dict[str, Any], seconds: int) -> None:
    tolerations = spec.get("tolerations") or []
    missing = [taint for taint in FAILING_TAINTS if not any(_covers(one, taint) for one in tolerations)]
    if missing:
        spec["tolerations"] = tolerations + [
            {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
            for taint in missing
        ]


def _covers(toleration: dict[str, Any], taint: str) -> bool:
    """Does a toleration speak of this taint with effect NoExecute already?"""
    key = toleration.get("key", "")
    return key in ("", taint) and toleration.get("effect", "") in ("", "NoExecute")

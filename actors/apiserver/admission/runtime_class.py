"""RuntimeClass: a Pod's class says what it costs on top, and on which nodes it can run.

Source: Kubernetes' RuntimeClass plugin. Neighbours: `chain`; the kubelet gives the handler to its runtime.
"""

from typing import Any

from actors.apiserver.admission.attributes import Admission

PREFIX = b"/registry/node.k8s.io/runtimeclasses/"

Object = dict[str, Any]


def admit(asked: Admission, pod: Object) -> None:
    """Take over overhead and scheduling from the Pod's RuntimeClass."""
    spec = pod["spec"]
    name = spec.get("runtimeClassName")
    if not name:
        if spec.get("overhead"):
            raise asked.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
        return
    entry = asked.entry(PREFIX, name)
    if entry is None:
        raise asked.forbidden(f'pod rejected: RuntimeClass "{name}" not found')
    found = entry.decode()
    _set_overhead(asked, spec, (found.get("overhead") or {}).get("podFixed") or {})
    _set_scheduling(asked, spec, found.get("scheduling") or {})


def _set_overhead(asked: Admission, spec: Object, fixed: Object) -> None:
    given = spec.get("overhead")
    if given and given != fixed:
        why = "Pod's Overhead doesn't match RuntimeClass's defined Overhead"
        if not fixed:
            why = "Pod Overhead set without corresponding RuntimeClass defined Overhead"
        raise asked.forbidden(f"pod rejected: {why}")
    if fixed:
        spec["overhead"] = dict(fixed)


def _set_scheduling(asked: Admission, spec: Object, scheduling: Object) -> None:
    wanted = scheduling.get("nodeSelector") or {}
    present = spec.get("nodeSelector") or {}
    for key, value in wanted.items():
        if present.get(key, value) != value:
            raise asked.forbidden(f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec."
                                  f"nodeSelector[{key}] = {present[key]}")  # fmt: skip
    if wanted:
        spec["nodeSelector"] = present | wanted
    tolerations = spec.get("tolerations") or []
    more = [one for one in scheduling.get("tolerations") or () if one not in tolerations]
    if more:
        spec["tolerations"] = tolerations + more

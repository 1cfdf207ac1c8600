"""What a LimitRange demands of a Pod or a claim, and what it fills in. Pure.

Source: Kubernetes' LimitRanger. Neighbours: `limit_ranger` finds the LimitRanges of a namespace and applies them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from actors.api.quota.amounts import Amount, Amounts, added, amounts, largest
from actors.api.quota.pod_resources import is_sidecar

ANNOTATION = "kubernetes.io/limit-ranger"
_PARTS = (("containers", "container"), ("initContainers", "init container"))

Object = dict[str, Any]


def fill_in(pod: Object, limit_range: Object) -> None:
    """Give containers the requests and limits that they do not name, and say so in an annotation."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for item in _items(limit_range, "Container"):
        requests |= item.get("defaultRequest") or {}
        limits |= item.get("default") or {}
    if not requests and not limits:
        return
    said: list[str] = []
    for part, what in _PARTS:
        for container in pod["spec"].get(part) or ():
            said += _fill_container(container, requests, limits, what)
    if said:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[ANNOTATION] = "LimitRanger plugin set: " + "; ".join(said)


def pod_violations(pod: Object, limit_range: Object) -> list[str]:
    """Return what is wrong with a Pod."""
    found: list[str] = []
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item.get("type") == "Container":
            for part, _ in _PARTS:
                for container in pod["spec"].get(part) or ():
                    found += _violations(item, _listed(container, "requests"), _listed(container, "limits"))
        elif item.get("type") == "Pod":
            found += _violations(item, _whole_pod(pod, "requests"), _whole_pod(pod, "limits"))
    return found


def claim_violations(claim: Object, limit_range: Object) -> list[str]:
    """Return what is wrong with a PersistentVolumeClaim."""
    found: list[str] = []
    kind = "PersistentVolumeClaim"
    requests = _listed(claim["spec"], "requests")
    for item in _items(limit_range, kind):
        for bound, word in (("min", "minimum"), ("max", "maximum")):
            for name, enforced in amounts(item.get(bound)).items():
                request = requests.get(name)
                if request is None:
                    found.append(f"{word} {name} usage per {kind} is {enforced}.  No request is specified")
                elif (request.value < enforced.value) if bound == "min" else (request.value > enforced.value):
                    found.append(f"{word} {name} usage per {kind} is {enforced}, but request is {request}")
    return found


def together(violations: list[str]) -> str:
    """Return several complaints as Kubernetes joins them: each once, in brackets when there are more."""
    unique = list(dict.fromkeys(violations))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"


def _items(limit_range: Object, kind: str) -> Iterable[Object]:
    return (item for item in (limit_range.get("spec") or {}).get("limits") or () if item.get("type") == kind)


def _fill_container(container: Object, requests: Mapping[str, str], limits: Mapping[str, str], what: str) -> list[str]:
    resources = container.setdefault("resources", {})
    said: list[str] = []
    for side, word, defaults in (("requests", "request", requests), ("limits", "limit", limits)):
        present = resources.get(side) or {}
        missing = sorted(name for name in defaults if name not in present)
        if missing:
            resources[side] = present | {name: defaults[name] for name in missing}
            said.append(f"{', '.join(missing)} {word} for {what} {container['name']}")
    return said


def _violations(item: Object, requests: Amounts, limits: Amounts) -> list[str]:
    kind = item["type"]
    found: list[str] = []
    for name, enforced in amounts(item.get("min")).items():
        found += _below(name, kind, enforced, requests.get(name), limits.get(name))
    for name, enforced in amounts(item.get("max")).items():
        found += _above(name, kind, enforced, requests.get(name), limits.get(name))
    for name, enforced in amounts(item.get("maxLimitRequestRatio")).items():
        found += _beyond_ratio(name, kind, enforced, requests.get(name), limits.get(name))
    return found


def _below(name: str, kind: str, enforced: Amount, request: Amount | None, limit: Amount | None) -> list[str]:
    start = f"minimum {name} usage per {kind} is {enforced}"
    if request is None:
        return [f"{start}.  No request is specified"]
    if request.value < enforced.value:
        return [f"{start}, but request is {request}"]
    if limit is not None and limit.value < enforced.value:
        return [f"{start}, but limit is {limit}"]
    return []


def _above(name: str, kind: str, enforced: Amount, request: Amount | None, limit: Amount | None) -> list[str]:
    start = f"maximum {name} usage per {kind} is {enforced}"
    if limit is None:
        return [f"{start}.  No limit is specified"]
    if limit.value > enforced.value:
        return [f"{start}, but limit is {limit}"]
    if request is not None and request.value > enforced.value:
        return [f"{start}, but request is {request}"]
    return []


def _beyond_ratio(name: str, kind: str, enforced: Amount, request: Amount | None, limit: Amount | None) -> list[str]:
    start = f"{name} max limit to request ratio per {kind} is {enforced}"
    if request is None or not request.value:
        return [f"{start}, but no request is specified or request is 0"]
    if limit is None or not limit.value:
        return [f"{start}, but no limit is specified or limit is 0"]
    ratio = limit.value / request.value
    return [f"{start}, but provided ratio is {ratio:.6f}"] if ratio > enforced.value else []


def _listed(part: Mapping[str, Any], side: str) -> Amounts:
    return amounts((part.get("resources") or {}).get(side))


def _whole_pod(pod: Object, side: str) -> Amounts:
    """Sum what every container names; what one of them leaves open is not the Pod's either."""
    spec = pod["spec"]
    init = spec.get("initContainers") or ()
    summed = [
        _listed(one, side) for one in (*(spec.get("containers") or ()), *(one for one in init if is_sidecar(one)))
    ]
    total: Amounts = {}
    for own in summed:
        total = added(total, own)
    total = {name: one for name, one in total.items() if all(name in own for own in summed)}
    for one in init:
        if not is_sidecar(one):
            total = largest(total, _listed(one, side))
    return total | _listed(spec, side)

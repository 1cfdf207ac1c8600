"""What a whole Pod requests and may use at most: its containers' sum, or an init container's need when that is more.

A sidecar (an init container that is restarted always) goes on running and so counts with the containers, and with every
init container after it. Resources of the Pod as a whole take the place of the sum; overhead of its RuntimeClass comes
on top. Source: Kubernetes' documentation of init containers, sidecars and pod overhead.
"""

from collections.abc import Mapping
from typing import Any

from actors.api.quota.amounts import Amounts, added, amounts, largest

Object = dict[str, Any]


def pod_requests(pod: Object) -> Amounts:
    return _total(pod, "requests", added)


def pod_limits(pod: Object) -> Amounts:
    """A limit that some container lacks is still the sum of the others, as in Kubernetes."""
    return _total(pod, "limits", _added_where_limited)


def is_sidecar(container: Mapping[str, Any]) -> bool:
    return container.get("restartPolicy") == "Always"


def _total(pod: Object, side: str, with_overhead: Any) -> Amounts:
    spec = pod.get("spec") or {}
    total: Amounts = {}
    for container in spec.get("containers") or ():
        total = added(total, _of(container, side))
    sidecars: Amounts = {}
    highest: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _of(container, side)
        if is_sidecar(container):
            total = added(total, own)
            sidecars = added(sidecars, own)
            own = sidecars
        else:
            own = added(own, sidecars)
        highest = largest(highest, own)
    total = largest(total, highest)
    total |= _of(spec, side)
    return with_overhead(total, amounts(spec.get("overhead")))


def _of(container: Mapping[str, Any], side: str) -> Amounts:
    return amounts((container.get("resources") or {}).get(side))


def _added_where_limited(total: Amounts, overhead: Amounts) -> Amounts:
    return {name: one + overhead[name] if name in overhead and one.value else one for name, one in total.items()}

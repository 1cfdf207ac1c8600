"""How much a pod asks for, by Kubernetes' rules.

The containers of a pod run together: their requests add up. Init containers run before them, one at a time: the largest
counts, if it is larger than the sum. A sidecar (an init container that restarts always) starts among the init
containers and stays: it adds to all that comes after it. Requests of the pod as a whole replace what its containers add
up to. Overhead comes on top. Source: KEP-753 (sidecars), KEP-2837 (pod-level resources).

Neighbours: `requirements` calls it; amounts as in `node_info`.
"""

from typing import Any

from actors.scheduler.node_info import amount

DEFAULT_CPU_MILLIS = 100  # what scores assume of a container without a cpu request, so that such pods spread too
DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024

Amounts = dict[str, int]


def pod_requests(spec: dict[str, Any], defaults: Amounts | None = None) -> Amounts:
    """Return the requests of a pod by resource; `defaults` fill in for containers that leave a resource out."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _container_requests(container, defaults))
    sidecars: Amounts = {}
    initial: Amounts = {}
    for container in spec.get("initContainers") or ():
        requests = _container_requests(container, defaults)
        if container.get("restartPolicy") == "Always":
            _add(total, requests)
            _add(sidecars, requests)
            _raise(initial, sidecars)
        else:
            _add(requests, sidecars)
            _raise(initial, requests)
    _raise(total, initial)
    total.update(_amounts((spec.get("resources") or {}).get("requests")))
    _add(total, _amounts(spec.get("overhead")))
    return {resource: quantity for resource, quantity in total.items() if quantity}


def nonzero_requests(spec: dict[str, Any]) -> tuple[int, int]:
    """Return (cpu millis, memory bytes) with the defaults for containers that ask for none."""
    requests = pod_requests(spec, {"cpu": DEFAULT_CPU_MILLIS, "memory": DEFAULT_MEMORY_BYTES})
    return requests.get("cpu", 0), requests.get("memory", 0)


def _amounts(quantities: dict[str, Any] | None) -> Amounts:
    return {resource: amount(resource, quantity) for resource, quantity in (quantities or {}).items()}


def _container_requests(container: dict[str, Any], defaults: Amounts | None) -> Amounts:
    return {**(defaults or {}), **_amounts((container.get("resources") or {}).get("requests"))}


def _add(total: Amounts, more: Amounts) -> None:
    for resource, quantity in more.items():
        total[resource] = total.get(resource, 0) + quantity


def _raise(total: Amounts, other: Amounts) -> None:
    for resource, quantity in other.items():
        total[resource] = max(total.get(resource, 0), quantity)

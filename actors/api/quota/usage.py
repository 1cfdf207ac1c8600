"""What one object uses of which quota'd resource, and which names of a quota are about its kind at all.

Pods use `pods` and compute resources until they have ended, and `count/pods` as long as they are stored. Claims use
storage, also by storage class; Services count by what they occupy. Every kind counts as `count/PLURAL[.GROUP]`.

Neighbours: `scopes` says whether a quota speaks of an object; admission and the resource quota controller ask both.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from actors.api.meta import parse_time
from actors.api.quota.amounts import ONE, ZERO, Amount, Amounts, added, amounts, masked
from actors.api.quota.pod_resources import pod_limits, pod_requests
from actors.api.quota.scopes import matches, requirements

Object = dict[str, Any]

# Kinds that an older, plain name counts too.
PLAIN_COUNTS = frozenset({"configmaps", "replicationcontrollers", "resourcequotas", "secrets"})
UNCOUNTED = frozenset({"events", "events.events.k8s.io"})  # made by the system, about others: never charged
# A quota on one of these demands that every container names it: Kubernetes' old rule, kept for these alone.
DEMANDED = ("cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory")
STORAGE_CLASS_SUFFIX = ".storageclass.storage.k8s.io/"

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_POD_NAMES = frozenset(
    {"count/pods", "pods", *_COMPUTE} | {f"{side}.{name}" for side in ("requests", "limits") for name in _COMPUTE}
)
_CLAIM_NAMES = frozenset({"persistentvolumeclaims", "requests.storage"})
_SERVICE_NAMES = frozenset({"count/services", "services", "services.nodeports", "services.loadbalancers"})
_ENDED = frozenset({"Failed", "Succeeded"})


def matching(group_resource: str, names: Iterable[str]) -> list[str]:
    """Return which names of a quota are about this kind."""
    return [name for name in names if _is_about(group_resource, name)]


def group_resource_of(name: str) -> str:
    """Return the kind that a quota's name is about, as plural[.group]; "" when no kind is counted by it."""
    if name.startswith("count/"):
        return name.removeprefix("count/")
    if name in PLAIN_COUNTS:
        return name
    return next((kind for kind in ("pods", "services", "persistentvolumeclaims") if _is_about(kind, name)), "")


def usage(group_resource: str, obj: Object, now: float) -> Amounts:
    """Return what an object uses. `now` is seconds since the epoch: a Pod whose time to end is over uses nothing."""
    if group_resource == "pods":
        return _pod_usage(obj, now)
    if group_resource == "persistentvolumeclaims":
        return _claim_usage(obj)
    if group_resource == "services":
        return _service_usage(obj)
    counted = {f"count/{group_resource}": ONE}
    if group_resource in PLAIN_COUNTS:
        counted[group_resource] = ONE
    return counted


def speaks_of(quota: Object, group_resource: str, obj: Object, names: Iterable[str]) -> bool:
    """Does a quota, whose matching names are `names`, speak of this object?"""
    if not names:
        return False
    return all(matches(requirement, group_resource, obj) for requirement in requirements(quota))


def undeclared(pod: Object, names: Iterable[str]) -> str:
    """Return `cpu for: a,b; memory for: a`, what containers fail to declare of a quota's names; "" when all is well."""
    wanted = [name for name in DEMANDED if name in names]
    if not wanted:
        return ""
    spec = pod.get("spec") or {}
    missing: dict[str, set[str]] = {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
        declared = _compute_usage(amounts(resources.get("requests")), amounts(resources.get("limits")))
        for name in wanted:
            if name not in declared:
                missing.setdefault(name, set()).add(container.get("name", ""))
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def total(quota: Object, group_resource: str, objs: Iterable[Object], now: float) -> Amounts:
    """Return what objects of a kind use of a quota's `spec.hard`, zeros included."""
    names = matching(group_resource, (quota.get("spec") or {}).get("hard") or {})
    used: Amounts = dict.fromkeys(names, ZERO)
    for obj in objs:
        if speaks_of(quota, group_resource, obj, names):
            used = added(used, masked(usage(group_resource, obj, now), names))
    return used


def uses_compute(pod: Object, now: float) -> bool:
    """Has the Pod not ended, and is its time to end not over?"""
    if (pod.get("status") or {}).get("phase") in _ENDED:
        return False
    metadata = pod["metadata"]
    deleted, grace_s = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    if not deleted or grace_s is None:
        return True
    return now <= parse_time(deleted) + grace_s


def _is_about(group_resource: str, name: str) -> bool:
    if name == f"count/{group_resource}":
        return True
    if group_resource == "pods":
        if name in _POD_NAMES or name.startswith(("hugepages-", "requests.hugepages-")):
            return True
        return name.startswith("requests.") and "/" in name and STORAGE_CLASS_SUFFIX not in name
    if group_resource == "persistentvolumeclaims":
        tail = name.partition(STORAGE_CLASS_SUFFIX)[2]
        return name in _CLAIM_NAMES or tail in _CLAIM_NAMES
    if group_resource == "services":
        return name in _SERVICE_NAMES
    return group_resource in PLAIN_COUNTS and name == group_resource


def _pod_usage(pod: Object, now: float) -> Amounts:
    counted = {"count/pods": ONE}
    if not uses_compute(pod, now):
        return counted
    return counted | {"pods": ONE} | _compute_usage(pod_requests(pod), pod_limits(pod))


def _compute_usage(requests: Mapping[str, Amount], limits: Mapping[str, Amount]) -> Amounts:
    used: Amounts = {}
    for name, one in requests.items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            used[name] = used[f"requests.{name}"] = one
        elif "/" in name:
            used[f"requests.{name}"] = one
    for name in _COMPUTE:
        if name in limits:
            used[f"limits.{name}"] = limits[name]
    return used


def _claim_usage(claim: Object) -> Amounts:
    used = {"persistentvolumeclaims": ONE, "count/persistentvolumeclaims": ONE}
    spec = claim.get("spec") or {}
    annotations = claim["metadata"].get("annotations") or {}
    storage_class = annotations.get("volume.beta.kubernetes.io/storage-class") or spec.get("storageClassName") or ""
    requested = amounts((spec.get("resources") or {}).get("requests")).get("storage")
    if requested is not None:
        allocated = amounts((claim.get("status") or {}).get("allocatedResources")).get("storage", ZERO)
        used["requests.storage"] = max(requested, allocated, key=lambda one: one.value).rounded_up()
    if storage_class:
        for name in _CLAIM_NAMES & used.keys():
            used[storage_class + STORAGE_CLASS_SUFFIX + name] = used[name]
    return used


def _service_usage(service: Object) -> Amounts:
    spec = service.get("spec") or {}
    kind, ports = spec.get("type"), spec.get("ports") or []
    node_ports = 0
    if kind == "NodePort":
        node_ports = len(ports)
    elif kind == "LoadBalancer":
        allocates = spec.get("allocateLoadBalancerNodePorts") is not False
        node_ports = len(ports) if allocates else sum(1 for port in ports if port.get("nodePort"))
    return {
        "services": ONE,
        "count/services": ONE,
        "services.nodeports": Amount(Decimal(node_ports)),
        "services.loadbalancers": ONE if kind == "LoadBalancer" else ZERO,
    }

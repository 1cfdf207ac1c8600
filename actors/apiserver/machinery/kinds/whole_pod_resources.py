"""Requests and limits of a pod as a whole (`spec.resources`): their defaults, and that its containers fit into them.

Source: KEP-2837, and "Pod-level resource specification" of Kubernetes' documentation.
"""

from typing import Any

from actors.api.errors import Cause
from actors.api.quota.amounts import Amounts, amounts, written
from actors.api.quota.pod_resources import pod_requests
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds import resource_lists

_CONTAINER_LISTS = ("initContainers", "containers")


def default_whole_pod(spec: dict[str, Any]) -> None:
    """A request that is not given is what the containers request, or else the pod's limit."""
    resources = spec.get("resources") or {}
    if not resources.get("limits"):
        return
    requests = resources.setdefault("requests", {})
    try:
        of_containers = written(_of_containers(spec))
    except ValueError:
        return  # what is no quantity is for validation to tell
    for name, amount in of_containers.items():
        if _is_supported(name):
            requests.setdefault(name, amount)
    for name, amount in resources["limits"].items():
        requests.setdefault(name, amount)


def whole_pod_causes(spec: dict[str, Any], path: str) -> list[Cause]:
    resources = spec.get("resources") or {}
    causes = resource_lists.requirements_causes(resources or None, path)
    for kind in ("limits", "requests"):
        for name in resources.get(kind) or ():
            if not _is_supported(name):
                causes.append(field.not_supported(f"{path}.{kind}[{name}]", name, ("cpu", "hugepages-", "memory")))
    if resources.get("claims"):
        causes.append(field.forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    try:
        return causes + _fitting_causes(spec, resources, path)
    except ValueError:
        return causes  # some quantity is none, which is told by whoever looks at its container


def _fitting_causes(spec: dict[str, Any], resources: dict[str, Any], path: str) -> list[Cause]:
    causes = []
    asked = _of_containers(spec)
    for name, whole in amounts(resources.get("requests")).items():
        if name in asked and asked[name].value > whole.value:
            detail = f"must be greater than or equal to aggregate container requests of {asked[name]}"
            causes.append(field.invalid(f"{path}.requests[{name}]", str(whole), detail))
    bounds = amounts(resources.get("limits"))
    for kind in _CONTAINER_LISTS:
        for i, container in enumerate(spec.get(kind) or ()):
            for name, own in amounts((container.get("resources") or {}).get("limits")).items():
                if name in bounds and own.value > bounds[name].value:
                    at = f"{path.removesuffix('.resources')}.{kind}[{i}].resources.limits[{name}]"
                    detail = f"must be less than or equal to pod limits of {bounds[name]}"
                    causes.append(field.invalid(at, str(own), detail))
    return causes


def _of_containers(spec: dict[str, Any]) -> Amounts:
    """Return what the containers request at once, the pod's overhead aside."""
    return pod_requests({"spec": {kind: spec.get(kind) for kind in _CONTAINER_LISTS}})


def _is_supported(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")

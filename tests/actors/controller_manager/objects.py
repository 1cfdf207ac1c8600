"""Kubernetes objects as these tests need them: small, and complete enough to be decided upon."""

import itertools
from typing import Any

from actors.api.meta import rfc3339

Object = dict[str, Any]

NOW = 1_700_000_000.0
_uids = itertools.count(1)


def metadata(name: str, *, namespace: str | None = "default", age_s: float = 100.0, **more: Any) -> Object:
    found: Object = {
        "name": name,
        "uid": more.pop("uid", None) or f"uid-{next(_uids)}",
        "resourceVersion": str(more.pop("version", 1)),
        "creationTimestamp": rfc3339(NOW - age_s),
        "generation": 1,
    }
    if namespace is not None:
        found["namespace"] = namespace
    return found | {key: value for key, value in more.items() if value is not None}


def reference(owner: Object, *, controller: bool = True, block: bool = True) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": controller,
        "blockOwnerDeletion": block,
    }


def template(image: str = "web:1", **labels: str) -> Object:
    return {"metadata": {"labels": labels or {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}}


def pod(
    name: str,
    *,
    owner: Object | None = None,
    node: str | None = "w1",
    phase: str = "Running",
    ready: bool = True,
    ready_for_s: float = 50.0,
    deleting: bool = False,
    ip: str | None = "10.244.0.1",
    labels: dict[str, str] | None = None,
    restarts: int = 0,
    **more: Any,
) -> Object:
    status: Object = {"phase": phase}
    if ready is not None:
        since = rfc3339(NOW - ready_for_s)
        condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}
        status["conditions"] = [condition]
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    if restarts:
        status["containerStatuses"] = [{"restartCount": restarts}]
    spec = more.pop("spec", {"containers": [{"name": "web", "image": "web:1"}]})
    if node:
        spec = {**spec, "nodeName": node}
    found = metadata(name, labels=labels if labels is not None else {"app": "web"}, **more)
    if owner is not None:
        found["ownerReferences"] = [reference(owner)]
    if deleting:
        found["deletionTimestamp"] = rfc3339(NOW)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": found, "spec": spec, "status": status}


def replica_set(
    name: str,
    replicas: int,
    *,
    owner: Object | None = None,
    image: str = "web:1",
    status: int | Object | None = None,
    spec: Object | None = None,
    **more: Any,
) -> Object:
    """`status` as a number: so many replicas, all available."""
    labels = more.pop("labels", {"app": "web"})
    if isinstance(status, int):
        status = {"replicas": status, "readyReplicas": status, "availableReplicas": status, "observedGeneration": 1}
    found = metadata(name, labels=labels, **more)
    if owner is not None:
        found["ownerReferences"] = [reference(owner)]
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template(image), **(spec or {})}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": found, "spec": spec, "status": status or {}}


def deployment(
    name: str = "web",
    replicas: int = 3,
    *,
    image: str = "web:1",
    surge: int | str = "25%",
    unavailable: int | str = "25%",
    recreate: bool = False,
    status: Object | None = None,
    spec: Object | None = None,
    **more: Any,
) -> Object:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": template(image),
        "strategy": {"type": "Recreate"} if recreate else rolling,
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 10,
        **(spec or {}),
    }
    found = metadata(name, **more)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": found, "spec": spec, "status": status or {}}


def service(name: str = "web", *, ports: list[Object] | None = None, spec: Object | None = None, **more: Any) -> Object:
    body = {
        "selector": {"app": "web"},
        "clusterIP": "10.96.0.10",
        "ipFamilies": ["IPv4"],
        "type": "ClusterIP",
        "ports": ports if ports is not None else [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
        **(spec or {}),
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name, **more), "spec": body}


def node(name: str = "w1", *, ready: str | None = "True", spec: Object | None = None, **more: Any) -> Object:
    conditions = []
    if ready is not None:
        stamp = rfc3339(NOW - 50)
        conditions = [
            {"type": kind, "status": status, "lastHeartbeatTime": stamp, "lastTransitionTime": stamp}
            for kind, status in (("MemoryPressure", "False"), ("DiskPressure", "False"), ("Ready", ready))
        ]
    found = metadata(name, namespace=None, **more)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": found,
        "spec": spec or {},
        "status": {"conditions": conditions},
    }

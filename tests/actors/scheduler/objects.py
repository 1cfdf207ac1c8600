"""Small Nodes and Pods for tests of the scheduler."""

from typing import Any

Object = dict[str, Any]


def node(name: str, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **more: Any) -> Object:
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, **more.get("resources", {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **more.get("labels", {})}},
        "spec": {
            "taints": [dict(zip(("key", "value", "effect"), taint, strict=True)) for taint in more.get("taints", ())],
            "unschedulable": more.get("unschedulable", False),
        },
        "status": {"allocatable": allocatable, "images": more.get("images", [])},
    }


def pod(name: str, cpu: str = "", memory: str = "", namespace: str = "default", **more: Any) -> Object:
    """`more`: labels, on (a node's name), ports, image, status, requests, meta, and fields of the spec."""
    requests = {resource: amount for resource, amount in (("cpu", cpu), ("memory", memory)) if amount}
    container: Object = {
        "name": "main",
        "image": more.pop("image", "busybox"),
        "resources": {"requests": requests | more.pop("requests", {})},
        "ports": more.pop("ports", []),
    }
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": more.pop("labels", {})}
    metadata |= more.pop("meta", {})
    status = more.pop("status", {"phase": "Pending"})
    on = more.pop("on", None)
    spec = {"containers": [container], "schedulerName": "default-scheduler"} | ({"nodeName": on} if on else {}) | more
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}

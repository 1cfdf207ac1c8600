"""Which fields a fieldSelector may name, and how they are read.

`metadata.name` and `metadata.namespace` are selectable everywhere and not named here. A field that is not set reads as
"", a boolean as true or false, a number in decimal.
"""

from collections.abc import Callable, Mapping
from typing import Any

FieldReader = Callable[[dict], str]


def at(path: str, default: str = "") -> FieldReader:
    """Return a reader of a dotted path."""
    steps = tuple(path.split("."))

    def read(obj: dict) -> str:
        value: Any = obj
        for step in steps:
            value = value.get(step) if type(value) is dict else None
        return default if value is None else text(value)

    return read


def text(value: Any) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    return str(value)


def fields(*paths: str) -> dict[str, FieldReader]:
    """Return readers of paths by their own names."""
    return {path: at(path) for path in paths}


POD_FIELDS: Mapping[str, FieldReader] = {
    **fields(
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase",
        "status.podIP", "status.nominatedNodeName",
    ),
    "status.podIPs": lambda obj: "",  # may be named, and is never anything, as in Kubernetes
    "spec.hostNetwork": at("spec.hostNetwork", "false"),
}  # fmt: skip
NODE_FIELDS: Mapping[str, FieldReader] = {"spec.unschedulable": at("spec.unschedulable", "false")}
SECRET_FIELDS: Mapping[str, FieldReader] = fields("type")
NAMESPACE_FIELDS: Mapping[str, FieldReader] = fields("status.phase")
SERVICE_FIELDS: Mapping[str, FieldReader] = fields("spec.clusterIP", "spec.type")
REPLICAS_FIELDS: Mapping[str, FieldReader] = {"status.replicas": at("status.replicas", "0")}
JOB_FIELDS: Mapping[str, FieldReader] = {"status.successful": at("status.succeeded", "0")}


def _event_source(obj: dict) -> str:
    return (obj.get("source") or {}).get("component") or obj.get("reportingComponent", "")


EVENT_FIELDS: Mapping[str, FieldReader] = {
    **fields(
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "type",
    ),
    "source": _event_source,
}  # fmt: skip
NEW_EVENT_FIELDS: Mapping[str, FieldReader] = {
    **{f"regarding.{name}": at(f"regarding.{name}") for name in (
        "kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")},
    "reason": at("reason"), "type": at("type"), "reportingController": at("reportingController"),
}  # fmt: skip

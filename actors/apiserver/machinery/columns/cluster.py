"""Nodes, namespaces, events, configuration, RBAC, leases."""

from actors.apiserver.machinery.columns.cells import (
    AGE,
    CREATED_AT,
    NAME,
    NONE,
    WIDE,
    computed,
    number,
    read,
    text,
)
from actors.apiserver.machinery.durations import UNKNOWN, since
from actors.apiserver.machinery.resource import Column

_ROLE_PREFIX, _ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"


def _node_status(node: dict) -> str:
    ready = next((c for c in read(node, "status.conditions", []) if c.get("type") == "Ready"), None)
    shown = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return shown + (",SchedulingDisabled" if read(node, "spec.unschedulable") else "")


def _roles(node: dict) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)} - {""}
    if labels.get(_ROLE_LABEL):
        roles.add(labels[_ROLE_LABEL])
    return ",".join(sorted(roles)) or NONE


def _node_address(kind: str) -> Column:
    def address(node: dict) -> str:
        return next((a["address"] for a in read(node, "status.addresses", []) if a.get("type") == kind), NONE)

    return computed(kind.replace("IP", "-IP"), address, WIDE)


NODE: tuple[Column, ...] = (
    NAME,
    computed("Status", _node_status),
    computed("Roles", _roles),
    AGE,
    text("Version", "status.nodeInfo.kubeletVersion", ""),
    _node_address("InternalIP"),
    _node_address("ExternalIP"),
    text("OS-Image", "status.nodeInfo.osImage", UNKNOWN, WIDE),
    text("Kernel-Version", "status.nodeInfo.kernelVersion", UNKNOWN, WIDE),
    text("Container-Runtime", "status.nodeInfo.containerRuntimeVersion", UNKNOWN, WIDE),
)


def _healthy(obj: dict) -> dict:
    return next((one for one in obj.get("conditions") or () if one.get("type") == "Healthy"), {})


_HEALTH = {"True": "Healthy", "False": "Unhealthy"}

COMPONENT_STATUS: tuple[Column, ...] = (
    NAME,
    computed("Status", lambda obj: _HEALTH.get(_healthy(obj).get("status", ""), UNKNOWN)),
    computed("Message", lambda obj: _healthy(obj).get("message", "")),
    computed("Error", lambda obj: _healthy(obj).get("error", "")),
)

NAMESPACE: tuple[Column, ...] = (NAME, text("Status", "status.phase", ""), AGE)


def _data_count(obj: dict) -> int:
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


CONFIG_MAP: tuple[Column, ...] = (NAME, computed("Data", _data_count, type="integer"), AGE)
SECRET: tuple[Column, ...] = (NAME, text("Type", "type", ""), computed("Data", _data_count, type="integer"), AGE)
SERVICE_ACCOUNT: tuple[Column, ...] = (
    NAME,
    computed("Secrets", lambda obj: len(obj.get("secrets") or ()), type="integer"),
    AGE,
)
LEASE: tuple[Column, ...] = (NAME, text("Holder", "spec.holderIdentity", ""), AGE)


def _last_seen(event: dict, now: float) -> str:
    last = read(event, "series.lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return since(last or event["metadata"].get("creationTimestamp"), now)


def _first_seen(event: dict, now: float) -> str:
    first = event.get("firstTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return since(first, now)


def _object(event: dict) -> str:
    regarding = event.get("involvedObject") or {}
    kind, name = regarding.get("kind", "").lower(), regarding.get("name", "")
    return f"{kind}/{name}" if name else kind


def _source(event: dict) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent", "")
    host = source.get("host") or event.get("reportingInstance", "")
    return f"{component}, {host}" if host else component


EVENT: tuple[Column, ...] = (
    Column("Last Seen", _last_seen),
    text("Type", "type", ""),
    text("Reason", "reason", ""),
    computed("Object", _object),
    text("Subobject", "involvedObject.fieldPath", "", WIDE),
    computed("Source", _source, WIDE),
    computed("Message", lambda event: event.get("message", "").strip()),
    Column("First Seen", _first_seen, priority=WIDE),
    computed("Count", lambda e: read(e, "series.count") or e.get("count") or 1, WIDE, "integer"),
    Column("Name", NAME.value, format="name", priority=WIDE, description=NAME.description),
)

ROLE: tuple[Column, ...] = (NAME, CREATED_AT)


def _subjects(kind: str) -> Column:
    def names(binding: dict) -> str:
        found = [s for s in binding.get("subjects") or () if s.get("kind") == kind]
        return ", ".join(
            f"{s.get('namespace')}/{s.get('name')}" if kind == "ServiceAccount" else s.get("name", "") for s in found
        )

    return computed(f"{kind}s", names, WIDE)


def _role(binding: dict) -> str:
    role = binding.get("roleRef") or {}
    return f"{role.get('kind')}/{role.get('name')}"


BINDING: tuple[Column, ...] = (
    NAME,
    computed("Role", _role),
    AGE,
    _subjects("User"),
    _subjects("Group"),
    _subjects("ServiceAccount"),
)

PRIORITY_CLASS: tuple[Column, ...] = (
    NAME,
    number("Value", "value"),
    computed("Global-Default", lambda obj: bool(obj.get("globalDefault")), type="boolean"),
    AGE,
    text("PreemptionPolicy", "preemptionPolicy", "", WIDE),
)

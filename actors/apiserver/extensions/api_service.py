"""APIService: who serves a version of a group, this API server itself or a Service in the cluster.

Neighbours: `aggregator` keeps those of our own groups, and watches over the others; `remote` hands requests on.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.api.meta import get_condition, set_condition
from actors.apiserver.machinery import field
from actors.apiserver.machinery.columns.cells import AGE, NAME, computed
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.rows import row

GROUP = "apiregistration.k8s.io"
GROUP_VERSION = f"{GROUP}/v1"
AVAILABLE = "Available"
AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
MAX_PRIORITY = {"groupPriorityMinimum": 20_000, "versionPriority": 1_000}

Object = dict[str, Any]


class APIServiceStrategy(WithStatus):
    metadata_with_status = ("annotations", "managedFields")
    tracks_generation = False

    def default(self, obj: Object) -> None:
        if service := obj.setdefault("spec", {}).get("service"):
            service.setdefault("port", 443)

    def initial_status(self, obj: Object) -> Object:
        """What we serve ourselves is available; of everything else we have yet to hear."""
        if obj["spec"].get("service"):
            return {}
        now = obj["metadata"]["creationTimestamp"]
        message = "Local APIServices are always available"
        return {"conditions": set_condition([], AVAILABLE, "True", "Local", message, now)}

    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        return names.path_segment(name, prefix)

    def validate(self, obj: Object) -> list[Cause]:
        spec, causes = obj["spec"], []
        group, version = spec.get("group", ""), spec.get("version", "")
        if obj["metadata"].get("name") != f"{version}.{group}":
            detail = f'must be `spec.version+"."+spec.group`: "{version}.{group}"'
            causes.append(field.invalid("metadata.name", obj["metadata"].get("name"), detail))
        if group:
            causes += field.messages("spec.group", group, names.dns_subdomain(group))
        causes += field.messages("spec.version", version, names.dns_label_1035(version))
        for name, most in MAX_PRIORITY.items():
            value = spec.get(name, 0)
            if not 0 < value <= most:
                causes.append(field.invalid(f"spec.{name}", value, f"must be positive and less than {most}"))
        return causes + _service_causes(spec)

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        return [
            field.immutable(f"spec.{name}", obj["spec"].get(name))
            for name in ("group", "version")
            if obj["spec"].get(name) != old["spec"].get(name)
        ]


def _service_causes(spec: Object) -> list[Cause]:
    service = spec.get("service")
    if not service:
        causes = []
        if spec.get("caBundle"):
            causes.append(field.invalid("spec.caBundle", "...", "local APIServices may not have a caBundle"))
        if spec.get("insecureSkipTLSVerify"):
            detail = "local APIServices may not have insecureSkipTLSVerify"
            causes.append(field.invalid("spec.insecureSkipTLSVerify", True, detail))
        return causes
    causes = [field.required(f"spec.service.{name}") for name in ("namespace", "name") if not service.get(name)]
    port = service.get("port", 443)
    if not 0 < port < 65536:
        causes.append(field.invalid("spec.service.port", port, "port is not valid: must be between 1 and 65535"))
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        detail = "may not be true if caBundle is present"
        causes.append(field.invalid("spec.insecureSkipTLSVerify", True, detail))
    return causes


def is_available(obj: Object) -> bool:
    found = get_condition((obj.get("status") or {}).get("conditions") or [], AVAILABLE)
    return found is not None and found["status"] == "True"


def _service_cell(obj: Object) -> str:
    service = obj["spec"].get("service")
    return f"{service['namespace']}/{service['name']}" if service else "Local"


def _available_cell(obj: Object) -> str:
    found = get_condition((obj.get("status") or {}).get("conditions") or [], AVAILABLE)
    if found is None:
        return "Unknown"
    return "True" if found["status"] == "True" else f"{found['status']} ({found.get('reason', '')})"


def api_service_resource() -> Resource:
    """Return the row of the resource table."""
    return row(
        GROUP_VERSION,
        "APIService",
        "apiservices",
        namespaced=False,
        categories=("api-extensions",),
        status=True,
        strategy=APIServiceStrategy(),
        columns=(NAME, computed("Service", _service_cell), computed("Available", _available_cell), AGE),
    )

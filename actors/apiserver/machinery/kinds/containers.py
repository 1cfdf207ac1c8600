"""Containers of a pod: names, images, ports, environment, mounts, resources, security."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds import probes, resource_lists, restart_rules, volumes

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_TERMINATION_POLICIES = ("File", "FallbackToLogsOnError")
_EPHEMERAL_FORBIDDEN = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources")
_VARIABLE_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_FIELD_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_PROC_MOUNTS = ("Default", "Unmasked")
_RESIZE_POLICIES = ("NotRequired", "RestartContainer")
_RESOURCE_FIELDS = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)
_SECCOMP_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")


def all_causes(spec: dict[str, Any], path: str) -> list[Cause]:
    """Return what is wrong with all containers of a pod spec."""
    mounted = {volume.get("name", ""): volume for volume in spec.get("volumes") or ()}
    claims = [claim.get("name", "") for claim in spec.get("resourceClaims") or ()]
    causes: list[Cause] = []
    if not spec.get("containers"):
        causes.append(field.required(f"{path}.containers"))
    seen: set[str] = set()
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        ports: set[tuple] = set()
        for i, container in enumerate(spec.get(kind) or ()):
            at = f"{path}.{kind}[{i}]"
            causes += _container_causes(container, mounted, at, spec)
            causes += resource_lists.requirements_causes(container.get("resources"), f"{at}.resources", claims)
            causes += restart_rules.causes(container, at)
            name = container.get("name", "")
            if name in seen:
                causes.append(field.duplicate(f"{at}.name", name))
            seen.add(name)
            causes += _host_port_causes(container, ports, bool(spec.get("hostNetwork")), at)
            if kind == "initContainers":
                ports = set()  # they run one after the other
                causes += _init_causes(container, at)
            elif kind == "ephemeralContainers":
                causes += _ephemeral_causes(container, at)
    return causes


def _container_causes(
    container: dict[str, Any], mounted: dict[str, dict], path: str, spec: dict[str, Any]
) -> list[Cause]:
    causes = []
    name, image = container.get("name", ""), container.get("image", "")
    if not name:
        causes.append(field.required(f"{path}.name"))
    else:
        causes += field.messages(f"{path}.name", name, names.dns_label(name))
    if not image:
        causes.append(field.required(f"{path}.image"))
    elif image != image.strip():
        causes.append(field.invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("terminationMessagePolicy", "")
    causes += field.needed_one_of(f"{path}.terminationMessagePolicy", policy, _TERMINATION_POLICIES)
    causes += field.needed_one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy", ""), _PULL_POLICIES)
    causes += ports_causes(container.get("ports"), f"{path}.ports")
    causes += _env_causes(container, mounted, path)
    causes += volumes.mounts_causes(container, mounted, path)
    causes += probes.container_causes(container, path, spec)
    causes += _resize_policy_causes(container.get("resizePolicy"), f"{path}.resizePolicy", spec)
    causes += _security_causes(container.get("securityContext"), f"{path}.securityContext")
    proc_mount = (container.get("securityContext") or {}).get("procMount")
    if proc_mount == "Unmasked" and spec.get("hostUsers") is not False:
        detail = "`hostUsers` must be false to use `Unmasked`"
        causes.append(field.invalid(f"{path}.securityContext.procMount", proc_mount, detail))
    return causes


def _resize_policy_causes(policies: list[dict] | None, path: str, spec: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, policy in enumerate(policies or ()):
        at, name, restart = f"{path}[{i}]", policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if name in seen:
            causes.append(field.duplicate(at, name))
        seen.add(name)
        if name not in ("cpu", "memory"):
            causes.append(
                field.required(at) if not name else field.not_supported(f"{at}.resourceName", name, ("cpu", "memory"))
            )
        causes += field.needed_one_of(f"{at}.restartPolicy", restart, _RESIZE_POLICIES)
        if spec.get("restartPolicy") == "Never" and restart == "RestartContainer":
            causes.append(
                field.invalid(f"{at}.restartPolicy", restart, "must be 'NotRequired' when `restartPolicy` is 'Never'")
            )
    return causes


def ports_causes(ports: list[dict] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, port in enumerate(ports or ()):
        at, name = f"{path}[{i}]", port.get("name", "")
        if name:
            causes += field.messages(f"{at}.name", name, names.port_name(name))
            if name in seen:
                causes.append(field.duplicate(f"{at}.name", name))
            seen.add(name)
        number = port.get("containerPort", 0)
        if number == 0:
            causes.append(field.required(f"{at}.containerPort"))
        else:
            causes += field.messages(f"{at}.containerPort", number, names.port_number(number))
        if port.get("hostPort"):
            causes += field.messages(f"{at}.hostPort", port["hostPort"], names.port_number(port["hostPort"]))
        causes += field.needed_one_of(f"{at}.protocol", port.get("protocol", ""), _PROTOCOLS)
    return causes


def _host_port_causes(container: dict, taken: set[tuple], host_network: bool, path: str) -> list[Cause]:
    causes = []
    for i, port in enumerate(container.get("ports") or ()):
        host_port = port.get("hostPort", 0)
        if not host_port:
            continue
        at = f"{path}.ports[{i}]"
        if host_network and host_port != port.get("containerPort"):
            detail = "must match `containerPort` when `hostNetwork` is true"
            causes.append(field.invalid(f"{at}.hostPort", host_port, detail))
        key = (host_port, port.get("protocol"), port.get("hostIP", ""))
        if key in taken:
            causes.append(field.duplicate(f"{at}.hostPort", f"{key[1]}/{key[2]}/{key[0]}"))
        taken.add(key)
    return causes


def _env_causes(container: dict[str, Any], mounted: dict[str, dict], path: str) -> list[Cause]:
    causes = []
    for i, variable in enumerate(container.get("env") or ()):
        at, name = f"{path}.env[{i}]", variable.get("name", "")
        if not name:
            causes.append(field.required(f"{at}.name"))
        else:
            causes += field.messages(f"{at}.name", name, names.env_name(name))
        if "valueFrom" in variable:
            causes += _env_source_causes(variable, mounted, f"{at}.valueFrom")
    for i, source in enumerate(container.get("envFrom") or ()):
        at = f"{path}.envFrom[{i}]"
        if prefix := source.get("prefix"):
            causes += field.messages(f"{at}.prefix", prefix, names.env_name(prefix))
        given = [kind for kind in ("configMapRef", "secretRef") if kind in source]
        if len(given) != 1:
            detail = "must specify one of: `configMapRef` or `secretRef`" if not given else "may not have both"
            causes.append(field.invalid(at, "", detail))
        for kind in given:
            if not source[kind].get("name"):
                causes.append(field.required(f"{at}.{kind}.name"))
    return causes


def _env_source_causes(variable: dict[str, Any], mounted: dict[str, dict], at: str) -> list[Cause]:
    source = variable["valueFrom"]
    given = [kind for kind in _VARIABLE_SOURCES if kind in source]
    if not given:
        return [field.invalid(at, "", "must specify one of: " + ", ".join(f"`{kind}`" for kind in _VARIABLE_SOURCES))]
    causes = []
    if variable.get("value"):
        causes.append(field.invalid(at, "", "may not be specified when `value` is not empty"))
    if len(given) > 1:
        causes.append(field.invalid(at, "", "may not have more than one field specified at a time"))
    for kind in given:
        reference = source[kind]
        if kind == "fieldRef":
            causes += _field_path_causes(reference.get("fieldPath", ""), f"{at}.fieldRef.fieldPath")
        elif kind == "resourceFieldRef":
            causes += resource_field_causes(reference, f"{at}.{kind}")
        elif kind in ("configMapKeyRef", "secretKeyRef"):
            for needed in ("name", "key"):
                if not reference.get(needed):
                    causes.append(field.required(f"{at}.{kind}.{needed}"))
        elif kind == "fileKeyRef":
            causes += _file_key_causes(reference, mounted, f"{at}.{kind}")
    return causes


def _file_key_causes(reference: dict[str, Any], mounted: dict[str, dict], at: str) -> list[Cause]:
    """Return what is wrong with a FileKeySelector: its file has to be one that a container of the pod leaves there."""
    causes = [field.required(f"{at}.{needed}") for needed in ("volumeName", "path", "key") if not reference.get(needed)]
    if volume := reference.get("volumeName"):
        if volume not in mounted:
            causes.append(field.not_found(f"{at}.volumeName", volume))
        elif "emptyDir" not in mounted[volume]:
            causes.append(field.invalid(f"{at}.volumeName", volume, "must be a volume of type emptyDir"))
    if path := reference.get("path"):
        wrong = volumes.relative_path_causes(path, f"{at}.path")
        if not wrong and path.startswith(".."):
            wrong = [field.invalid(f"{at}.path", path, "must not start with '..'")]
        causes += wrong
    if key := reference.get("key"):
        causes += field.messages(f"{at}.key", key, names.env_name(key))
    return causes


def _field_path_causes(path: str, at: str) -> list[Cause]:
    if not path:
        return [field.required(at)]
    subscripted = path.startswith(("metadata.labels['", "metadata.annotations['")) and path.endswith("']")
    return [] if subscripted else field.one_of(at, path, _FIELD_PATHS)


def resource_field_causes(reference: dict[str, Any], at: str) -> list[Cause]:
    """Return what is wrong with a ResourceFieldSelector."""
    resource = reference.get("resource", "")
    if not resource:
        return [field.required(f"{at}.resource")]
    if resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        return []
    return field.one_of(f"{at}.resource", resource, _RESOURCE_FIELDS)


def _security_causes(security: dict[str, Any] | None, path: str) -> list[Cause]:
    if not security:
        return []
    causes = identity_causes(security, path)
    if security.get("procMount"):
        causes += field.one_of(f"{path}.procMount", security["procMount"], _PROC_MOUNTS)
    if security.get("allowPrivilegeEscalation") is False:
        if security.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            causes.append(field.invalid(path, security, detail))
        if "CAP_SYS_ADMIN" in ((security.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            causes.append(field.invalid(path, security, detail))
    return causes


def identity_causes(security: dict[str, Any], path: str) -> list[Cause]:
    """Return what is wrong with the parts that a pod's and a container's security context share."""
    causes = []
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        value = security.get(name)
        if value is not None and not 0 <= value <= 2**31 - 1:
            causes.append(field.invalid(f"{path}.{name}", value, "must be between 0 and 2147483647, inclusive"))
    if profile := security.get("seccompProfile"):
        at = f"{path}.seccompProfile"
        causes += field.needed_one_of(f"{at}.type", profile.get("type", ""), _SECCOMP_TYPES)
        if profile.get("type") == "Localhost" and not profile.get("localhostProfile"):
            causes.append(field.required(f"{at}.localhostProfile", "must be set when seccomp type is Localhost"))
        elif profile.get("type") != "Localhost" and profile.get("localhostProfile") is not None:
            detail = "can only be set when seccomp type is Localhost"
            causes.append(field.invalid(f"{at}.localhostProfile", profile["localhostProfile"], detail))
    if profile := security.get("appArmorProfile"):
        at = f"{path}.appArmorProfile"
        causes += field.needed_one_of(f"{at}.type", profile.get("type", ""), _SECCOMP_TYPES)
        if profile.get("type") == "Localhost" and not profile.get("localhostProfile"):
            causes.append(field.required(f"{at}.localhostProfile", "must be set when AppArmor type is Localhost"))
        elif profile.get("type") != "Localhost" and profile.get("localhostProfile") is not None:
            detail = "can only be set when AppArmor type is Localhost"
            causes.append(field.invalid(f"{at}.localhostProfile", profile["localhostProfile"], detail))
    return causes


def _init_causes(container: dict[str, Any], at: str) -> list[Cause]:
    """Only an init container that restarts always, a sidecar, may have probes and hooks."""
    if container.get("restartPolicy") == "Always":
        return []
    causes = []
    for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name):
            detail = "may not be set for init containers without restartPolicy=Always"
            causes.append(field.forbidden(f"{at}.{name}", detail))
    return causes


def _ephemeral_causes(container: dict[str, Any], at: str) -> list[Cause]:
    causes = []
    for name in _EPHEMERAL_FORBIDDEN:
        if container.get(name):
            causes.append(field.forbidden(f"{at}.{name}", "cannot be set for an Ephemeral Container"))
    return causes

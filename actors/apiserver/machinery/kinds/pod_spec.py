"""Validation of a pod's spec; the same for a Pod and for a template."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds import containers
from actors.apiserver.machinery.kinds.operating_systems import operating_system_causes
from actors.apiserver.machinery.kinds.placement import placement_causes
from actors.apiserver.machinery.kinds.sysctls import sysctl_causes
from actors.apiserver.machinery.kinds.volumes import volumes_causes
from actors.apiserver.machinery.kinds.whole_pod_resources import whole_pod_causes
from actors.apiserver.machinery.metadata import annotation_causes, label_causes

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MAX_SECONDS = 2**31 - 1
_MAX_NAMESERVERS = 3  # of a resolver's configuration
_MAX_SEARCHES = 32
_MAX_SEARCH_CHARS = 2048
_CLOSED = {
    "fsGroupChangePolicy": ("Always", "OnRootMismatch"),
    "supplementalGroupsPolicy": ("Merge", "Strict"),
    "seLinuxChangePolicy": ("MountOption", "Recursive"),
}


def pod_spec_causes(spec: dict[str, Any], path: str = "spec") -> list[Cause]:
    """Return all that is wrong with a pod spec, defaults filled in."""
    causes = volumes_causes(spec.get("volumes"), f"{path}.volumes")
    causes += containers.all_causes(spec, path)
    causes += field.needed_one_of(f"{path}.restartPolicy", spec.get("restartPolicy", ""), _RESTART_POLICIES)
    causes += field.needed_one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy", ""), _DNS_POLICIES)
    causes += _dns_config_causes(spec, path)
    causes += placement_causes(spec, path)
    causes += _security_causes(spec, path)
    causes += _name_causes(spec, path)
    causes += _duration_causes(spec, path)
    causes += operating_system_causes(spec, path)
    causes += _gate_causes(spec.get("schedulingGates"), f"{path}.schedulingGates")
    causes += _claim_causes(spec.get("resourceClaims"), f"{path}.resourceClaims")
    causes += whole_pod_causes(spec, f"{path}.resources")
    return causes + _host_alias_causes(spec, path)


def _gate_causes(gates: list[dict] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, gate in enumerate(gates or ()):
        at, name = f"{path}[{i}]", gate.get("name", "")
        causes += field.messages(at, name, names.qualified_name(name))
        if name in seen:
            causes.append(field.duplicate(at, name))
        seen.add(name)
    return causes


def _claim_causes(claims: list[dict] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, claim in enumerate(claims or ()):
        at, name = f"{path}[{i}]", claim.get("name", "")
        if not name:
            causes.append(field.required(f"{at}.name"))
        elif name in seen:
            causes.append(field.duplicate(f"{at}.name", name))
        else:
            causes += field.messages(f"{at}.name", name, names.dns_label(name))
        seen.add(name)
        given = [one for one in ("resourceClaimName", "resourceClaimTemplateName") if claim.get(one) is not None]
        if len(given) != 1:
            few = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            many = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            causes.append(field.invalid(at, claim, many if given else few))
        for one in given:
            causes += field.messages(f"{at}.{one}", claim[one], names.dns_subdomain(claim[one]))
    return causes


def _duration_causes(spec: dict[str, Any], path: str) -> list[Cause]:
    causes = field.non_negative(f"{path}.terminationGracePeriodSeconds", spec.get("terminationGracePeriodSeconds"))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_SECONDS:
        detail = f"must be between 1 and {_MAX_SECONDS}, inclusive"
        causes.append(field.invalid(f"{path}.activeDeadlineSeconds", deadline, detail))
    return causes


def _name_causes(spec: dict[str, Any], path: str) -> list[Cause]:
    """References to other objects by name."""
    causes = []
    for name in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        if value := spec.get(name):
            causes += field.messages(f"{path}.{name}", value, names.dns_subdomain(value))
    for name in ("hostname", "subdomain"):
        if value := spec.get(name):
            causes += field.messages(f"{path}.{name}", value, names.dns_label(value))
    if override := spec.get("hostnameOverride"):
        causes += field.messages(f"{path}.hostnameOverride", override, names.dns_subdomain(override))
        if spec.get("hostNetwork"):
            causes.append(field.forbidden(f"{path}.hostnameOverride", "may not be set when `hostNetwork` is true"))
    if not spec.get("schedulerName", "x"):
        causes.append(field.required(f"{path}.schedulerName"))
    for i, reference in enumerate(spec.get("imagePullSecrets") or ()):
        if not reference.get("name"):
            causes.append(field.required(f"{path}.imagePullSecrets[{i}].name"))
    for i, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType", "")
        causes += field.messages(f"{path}.readinessGates[{i}].conditionType", kind, names.qualified_name(kind))
    return causes


def _dns_config_causes(spec: dict[str, Any], path: str) -> list[Cause]:
    config, at = spec.get("dnsConfig") or {}, f"{path}.dnsConfig"
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    causes = []
    if spec.get("dnsPolicy") == "None" and not servers:
        detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        causes.append(field.required(f"{at}.nameservers", detail))
    if len(servers) > _MAX_NAMESERVERS:
        causes.append(
            field.invalid(f"{at}.nameservers", servers, f"must not have more than {_MAX_NAMESERVERS} nameservers")
        )
    for i, server in enumerate(servers):
        causes += field.messages(f"{at}.nameservers[{i}]", server, names.ip_address(server))
    if len(searches) > _MAX_SEARCHES:
        causes.append(
            field.invalid(f"{at}.searches", searches, f"must not have more than {_MAX_SEARCHES} search paths")
        )
    for i, search in enumerate(searches):
        causes += field.messages(f"{at}.searches[{i}]", search, names.search_domain(search))
    if len(" ".join(searches)) > _MAX_SEARCH_CHARS:
        detail = f"must not have more than {_MAX_SEARCH_CHARS} characters (including spaces) in the search list"
        causes.append(field.invalid(f"{at}.searches", searches, detail))
    for i, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            causes.append(field.required(f"{at}.options[{i}]", "must not be empty"))
    return causes


def _security_causes(spec: dict[str, Any], path: str) -> list[Cause]:
    security, at = spec.get("securityContext") or {}, f"{path}.securityContext"
    causes = containers.identity_causes(security, at) + sysctl_causes(security.get("sysctls"), f"{at}.sysctls")
    for i, group in enumerate(security.get("supplementalGroups") or ()):
        if not 0 <= group <= 2**31 - 1:
            detail = "must be between 0 and 2147483647, inclusive"
            causes.append(field.invalid(f"{at}.supplementalGroups[{i}]", group, detail))
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        causes.append(field.invalid(f"{path}.shareProcessNamespace", True, detail))
    for name, supported in _CLOSED.items():
        if name in security:
            causes += field.one_of(f"{at}.{name}", security[name], supported)
    if spec.get("hostUsers") is False:
        for name in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(name):
                causes.append(field.forbidden(f"{path}.{name}", "when `hostUsers` is false"))
    return causes


def _host_alias_causes(spec: dict[str, Any], path: str) -> list[Cause]:
    causes = []
    for i, alias in enumerate(spec.get("hostAliases") or ()):
        at = f"{path}.hostAliases[{i}]"
        causes += field.messages(f"{at}.ip", alias.get("ip", ""), names.ip_address(alias.get("ip", "")))
        for j, name in enumerate(alias.get("hostnames") or ()):
            causes += field.messages(f"{at}.hostnames[{j}]", name, names.dns_subdomain(name))
    return causes


def template_causes(template: dict[str, Any] | None, path: str) -> list[Cause]:
    """Return what is wrong with a pod template, its restart policy apart."""
    if not template:
        return [field.required(path)]
    metadata = template.get("metadata") or {}
    causes = label_causes(metadata.get("labels"), f"{path}.metadata.labels")
    causes += annotation_causes(metadata.get("annotations"), f"{path}.metadata.annotations")
    spec = template.get("spec")
    if spec is None:
        return [*causes, field.required(f"{path}.spec.containers")]
    if spec.get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        causes.append(field.forbidden(f"{path}.spec.ephemeralContainers", detail))
    return causes + pod_spec_causes(spec, f"{path}.spec")

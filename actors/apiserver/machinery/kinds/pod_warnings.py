"""What the writer of a pod, or of a pod template, is warned of: nothing that is refused, but nothing wise either.

It is asked for every pod that is created, so what most pods do not have is passed over with one look.

Source: Kubernetes' `pkg/api/pod` and `pkg/api/node`. Neighbours: `pod`, `workloads` and `batch` ask.
"""

from collections.abc import Iterator
from typing import Any

from actors.api import names

Object = dict[str, Any]

DEPRECATED_LABELS = {  # of nodes
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_DEPRECATED_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
DEPRECATED_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_USE_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_USE_APPARMOR = 'deprecated since v1.30; use the "appArmorProfile" field instead'
_NO_POD = "a null labelSelector results in matching no pod"
_PROJECTED = {"configMap": "configMap", "secret": "secrets", "downwardAPI": "downwardAPI"}  # as warnings name them
_BYTES = ("memory", "ephemeral-storage")
_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def name_warnings(name: str, used_in: str) -> list[str]:
    """Return the warning of a name that becomes a part of pods' hostnames, and is no DNS label."""
    wrong = names.dns_label(name)
    if not wrong:
        return []
    return [
        f"metadata.name: this is used in {used_in}, which can result in surprising behavior; a DNS label is "
        f"recommended: [{' '.join(wrong)}]"
    ]


def template_warnings(template: Object | None, path: str) -> list[str]:
    if not template:
        return []
    return pod_warnings(template.get("spec") or {}, template.get("metadata") or {}, f"{path}.")


def pod_warnings(spec: Object, metadata: Object, at: str = "") -> list[str]:
    """Return the warnings of a pod. `at` is where a template is, with a dot; empty for a pod of its own."""
    annotations = metadata.get("annotations") or {}
    found = [
        f"{at}spec.nodeSelector[{key}]: {DEPRECATED_LABELS[key]}"
        for key in spec.get("nodeSelector") or ()
        if key in DEPRECATED_LABELS
    ]
    if affinity := spec.get("affinity"):
        found += _affinity_warnings(affinity, f"{at}spec.affinity")
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        found += _spread_warnings(constraint, f"{at}spec.topologySpreadConstraints[{i}]")
    if annotations:
        found += _annotation_warnings(spec, annotations, at)
    if volumes := spec.get("volumes"):
        found += _volume_warnings(volumes, f"{at}spec.volumes")
    for name, key in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        if name in spec:
            found += _duplicates(spec[name], key, f"{at}spec.{name}")
    if "overhead" in spec:
        found += _fractions(spec["overhead"], f"{at}spec.overhead")
    ports: dict[tuple[Any, Any], list[tuple[str, Object]]] = {}
    for where, container in _containers(spec, f"{at}spec"):
        found += _container_warnings(container, where)
        for i, port in enumerate(container.get("ports") or ()):
            found += _port_warnings(port, f"{where}.ports[{i}]", ports)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        detail = "must be >= 0; negative values are invalid and will be treated as 1"
        found.append(f"{at}spec.terminationGracePeriodSeconds: {detail}")
    return found


def _containers(spec: Object, path: str) -> Iterator[tuple[str, Object]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(kind) or ()):
            yield f"{path}.{kind}[{i}]", container


def _affinity_warnings(affinity: Object, path: str) -> list[str]:
    nodes, at = affinity.get("nodeAffinity") or {}, f"{path}.nodeAffinity"
    found = node_selector_warnings(nodes.get(_REQUIRED), f"{at}.{_REQUIRED}")
    for i, term in enumerate(nodes.get(_PREFERRED) or ()):
        found += _term_warnings(term.get("preference") or {}, f"{at}.{_PREFERRED}[{i}].preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        for i, term in enumerate(terms.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                found.append(f"{path}.{kind}.{_REQUIRED}[{i}].labelSelector: {_NO_POD}")
        for i, term in enumerate(terms.get(_PREFERRED) or ()):
            if (term.get("podAffinityTerm") or {}).get("labelSelector") is None:
                found.append(f"{path}.{kind}.{_PREFERRED}[{i}].podAffinityTerm.labelSelector: {_NO_POD}")
    return found


def node_selector_warnings(selector: Object | None, path: str) -> list[str]:
    """Return the warnings of a NodeSelector: labels of nodes that are not set any more."""
    found: list[str] = []
    for i, term in enumerate((selector or {}).get("nodeSelectorTerms") or ()):
        found += _term_warnings(term, f"{path}.nodeSelectorTerms[{i}]")
    return found


def _term_warnings(term: Object, path: str) -> list[str]:
    return [
        f"{path}.matchExpressions[{i}].key: {key} is {DEPRECATED_LABELS[key]}"
        for i, expression in enumerate(term.get("matchExpressions") or ())
        if (key := expression.get("key")) in DEPRECATED_LABELS
    ]


def _spread_warnings(constraint: Object, path: str) -> list[str]:
    key, found = constraint.get("topologyKey", ""), []
    if key in DEPRECATED_LABELS:
        found.append(f"{path}.topologyKey: {key} is {DEPRECATED_LABELS[key]}")
    if constraint.get("labelSelector") is None:
        found.append(f"{path}.labelSelector: {_NO_POD}")
    return found


def _annotation_warnings(spec: Object, annotations: dict[str, str], at: str) -> list[str]:
    where, security = f"{at}metadata.annotations", spec.get("securityContext") or {}
    found = [f"{where}[{key}]: {text}" for key, text in _DEPRECATED_ANNOTATIONS.items() if key in annotations]
    if _SECCOMP_POD in annotations and not security.get("seccompProfile"):
        found.append(f"{where}[{_SECCOMP_POD}]: {_USE_SECCOMP}")
    for _, container in _containers(spec, ""):
        own, name = container.get("securityContext") or {}, container.get("name", "")
        if (key := f"{_SECCOMP_CONTAINER}{name}") in annotations and not own.get("seccompProfile"):
            found.append(f"{where}[{key}]: {_USE_SECCOMP}")
        has_profile = security.get("appArmorProfile") or own.get("appArmorProfile")
        if at and (key := f"{_APPARMOR}{name}") in annotations and not has_profile:
            found.append(f"{where}[{key}]: {_USE_APPARMOR}")
    return found


def _volume_warnings(volumes: list[Object], path: str) -> list[str]:
    found, tokens = [], set()
    for i, volume in enumerate(volumes):
        for kind in volume:
            if kind in DEPRECATED_VOLUMES:
                found.append(f"{path}[{i}].{kind}: {DEPRECATED_VOLUMES[kind]}")
        if "ephemeral" in volume:
            template = volume["ephemeral"].get("volumeClaimTemplate") or {}
            found += claim_spec_warnings(template.get("spec"), f"{path}[{i}].ephemeral.volumeClaimTemplate.spec")
        for source in (volume.get("projected") or {}).get("sources") or ():
            if token := source.get("serviceAccountToken"):
                tokens.add(token.get("path"))
    for i, volume in enumerate(volumes) if tokens else ():  # which nearly every pod has
        for source in (volume.get("projected") or {}).get("sources") or ():
            found += _shadowed(source, tokens, f"{path}[{i}].projected.sources")
    return found


def _shadowed(source: Object, tokens: set[Any], path: str) -> list[str]:
    """Return what is projected to where a token is."""
    found = []
    for kind in source:
        shown = _PROJECTED.get(kind, "")
        for i, item in enumerate((source[kind] or {}).get("items") or ()) if shown else ():
            if item.get("path") in tokens:
                found.append(f'{path}.{shown}[{i}]: has duplicated path with ServiceAccountToken "{item["path"]}"')
    bundle = (source.get("clusterTrustBundle") or {}).get("path")
    if bundle in tokens:
        found.append(f'{path}.ClusterTrustBundle: has duplicated path with ServiceAccountToken "{bundle}"')
    return found


def _duplicates(items: list[Object] | None, key: str, path: str) -> list[str]:
    if not items or len(items) < 2:
        return []
    found, seen = [], set()
    for i, item in enumerate(items):
        value = item.get(key, "")
        if value in seen:
            found.append(f'{path}[{i}].{key}: duplicate {key} "{value}"')
        seen.add(value)
    return found


def _fractions(amounts: dict[str, str] | None, path: str) -> list[str]:
    """Return which amounts of bytes are no whole ones: in canonical form those end in m, u or n."""
    return [
        f'{path}[{name}]: fractional byte value "{amounts[name]}" is invalid, must be an integer'
        for name in _BYTES
        if amounts and name in amounts and str(amounts[name])[-1:] in ("m", "u", "n")
    ]


def claim_spec_warnings(spec: Object | None, path: str) -> list[str]:
    """Return the warnings of a PersistentVolumeClaim's spec."""
    resources = (spec or {}).get("resources") or {}
    return [
        f'{path}.resources.{kind}[storage]: fractional byte value "{amount}" is invalid, must be an integer'
        for kind in ("requests", "limits")
        if str(amount := (resources.get(kind) or {}).get("storage", ""))[-1:] in ("m", "u", "n")
    ]


def _container_warnings(container: Object, path: str) -> list[str]:
    found: list[str] = []
    for kind, amounts in (container.get("resources") or {}).items():
        if kind in ("limits", "requests"):
            found += _fractions(amounts, f"{path}.resources.{kind}")
    variables = container.get("env") or ()
    if len(variables) < 2:
        return found
    seen: set[str] = set()
    for i, variable in enumerate(variables):
        name, value = variable.get("name", ""), variable.get("value", "")
        reference = f"$({name})"
        if name in seen and (variable.get("valueFrom") or value == reference or reference not in value):
            detail = "which may be dropped when using apply"
            found.append(f'{path}.env[{i}]: hides previous definition of "{name}", {detail}')
        seen.add(name)
    return found


def _port_warnings(port: Object, path: str, seen: dict[tuple[Any, Any], list[tuple[str, Object]]]) -> list[str]:
    """Return how a port stands in the way of another one. `seen` are those before it, by number and protocol."""
    host_ip, host_port, found = port.get("hostIP", ""), port.get("hostPort", 0), []
    if host_ip and not host_port:
        shown = " ".join(
            f"{name}:{value}"
            for name, value in (
                ("Name", port.get("name", "")),
                ("HostPort", 0),
                ("ContainerPort", port.get("containerPort", 0)),
                ("Protocol", port.get("protocol", "TCP")),
                ("HostIP", host_ip),
            )
        )
        found.append(f"{path}: hostIP set without hostPort: {{{shown}}}")
    others = seen.setdefault((port.get("containerPort"), port.get("protocol", "TCP")), [])
    for where, other in others:
        other_ip, other_port = other.get("hostIP", ""), other.get("hostPort", 0)
        if (host_ip, host_port) == (other_ip, other_port):
            found.append(f"{path}: duplicate port definition with {where}")
        elif not host_port or not other_port:
            found.append(f"{path}: overlapping port definition with {where}")
        elif host_port == other_port and bool(host_ip) != bool(other_ip):
            found.append(f"{path}: dangerously ambiguous port definition with {where}")
    others.append((path, port))
    return found

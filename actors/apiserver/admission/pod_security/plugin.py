"""PodSecurity applied to writes: Pods are refused, what makes Pods is warned about, labels of namespaces are checked.

Neighbours: `chain` calls these after validation; everything that decides is in the modules beside this.
"""

from typing import Any

from actors.api import errors
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.admission.pod_security.evaluate import findings
from actors.apiserver.admission.pod_security.findings import Finding, containers
from actors.apiserver.admission.pod_security.levels import LEVELS, PRIVILEGED, LevelVersion, concerns, policy_of
from actors.apiserver.machinery import field

PODS = b"/registry/pods/"
MAX_PODS_CHECKED = 3000  # when the labels of a namespace change; Kubernetes' number
_IGNORED_SUBRESOURCES = frozenset({"attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"})
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"

# Where the pod template of what makes Pods is.
_TEMPLATES = {
    "podtemplates": ("template",),
    "replicationcontrollers": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "deployments.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}
CONTROLLERS = frozenset(_TEMPLATES)

Object = dict[str, Any]


def check_pod(asked: Admission, pod: Object, old: Object | None) -> None:
    """Refuse a Pod that its namespace does not allow; warn of one that it does not like."""
    if asked.subresource in _IGNORED_SUBRESOURCES:
        return
    labels = asked.namespace_labels()
    if not concerns(labels):
        return
    policy, complaints = policy_of(labels)
    if policy.is_open or (old is not None and not _is_significant(pod, old)):
        return
    if complaints:
        asked.annotations["pod-security.kubernetes.io/error"] = f"Failed to parse policy: {complaints[0][2]}"
    asked.annotations["pod-security.kubernetes.io/enforce-policy"] = str(policy.enforce)
    found = findings(policy.enforce, pod["metadata"], pod["spec"])
    if found:
        raise asked.forbidden(f'violates PodSecurity "{policy.enforce}": {_details(found)}')
    _tell(asked, policy.audit, policy.warn, pod["metadata"], pod["spec"])


def check_controller(asked: Admission, obj: Object) -> None:
    """Warn of a pod template whose Pods would be refused, or be warned of."""
    if asked.subresource:
        return
    labels = asked.namespace_labels()
    if not concerns(labels):
        return
    policy, _ = policy_of(labels)
    template: Any = obj
    for part in _TEMPLATES[asked.resource.group_resource]:
        template = (template or {}).get(part)
    if template and template.get("spec"):
        _tell(asked, policy.audit, policy.warn, template.get("metadata") or {}, template["spec"])


def check_namespace(asked: Admission, obj: Object, old: Object | None) -> None:
    """Refuse labels that say nothing; warn of Pods that the new labels would not allow."""
    labels = obj["metadata"].get("labels") or {}
    if asked.subresource or not concerns(labels):
        return
    policy, complaints = policy_of(labels)
    if complaints:
        before = policy_of((old or {"metadata": {}})["metadata"].get("labels") or {})[1]
        if complaints != before:
            raise _invalid_labels(obj, complaints)
    if old is None:
        return
    before_enforced = policy_of(old["metadata"].get("labels") or {})[0].enforce
    if _is_stricter(policy.enforce, before_enforced):
        asked.warnings += _warnings_of_existing(asked, obj["metadata"]["name"], policy.enforce)


def _tell(asked: Admission, audit: LevelVersion, warn: LevelVersion, metadata: Object, spec: Object) -> None:
    audited = findings(audit, metadata, spec)
    if audited:
        said = f'would violate PodSecurity "{audit}": {_details(audited)}'
        asked.annotations["pod-security.kubernetes.io/audit-violations"] = said
    warned = audited if warn == audit else findings(warn, metadata, spec)
    if warned:
        asked.warnings.append(f'would violate PodSecurity "{warn}": {_details(warned)}')


def _details(found: list[Finding]) -> str:
    return ", ".join(str(one) for one in found)


def _invalid_labels(obj: Object, complaints: list[tuple[str, str, str]]) -> errors.ApiError:
    causes = [field.invalid(f"metadata.labels[{key}]", value, why) for key, value, why in complaints]
    return errors.invalid("Namespace", obj["metadata"]["name"], causes)


def _is_stricter(new: LevelVersion, old: LevelVersion) -> bool:
    if new == old or new.level == PRIVILEGED:
        return False
    return new.minor != old.minor or LEVELS.index(new.level) > LEVELS.index(old.level)


def _warnings_of_existing(asked: Admission, namespace: str, enforce: LevelVersion) -> list[str]:
    cache = asked.parts.cache.at(PODS)
    prefix = PODS + namespace.encode() + b"/"
    names: dict[str, list[str]] = {}
    checked = 0
    for entry in cache.within(prefix):
        if checked == MAX_PODS_CHECKED:
            break
        checked += 1
        pod = entry.decode()
        found = findings(enforce, pod["metadata"], pod["spec"])
        if found:
            names.setdefault(", ".join(one.reason for one in found), []).append(pod["metadata"]["name"])
    warnings = []
    total = cache.count(prefix, prefix)
    if checked < total:
        warnings.append(
            f"new PodSecurity enforce level only checked against the first {checked} of {total} existing pods"
        )
    if names:
        warnings.append(
            f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{enforce}"'
        )
    return warnings + sorted(_of_pods(sorted(pods), why) for why, pods in names.items())


def _of_pods(pods: list[str], why: str) -> str:
    others = len(pods) - 1
    if not others:
        return f"{pods[0]}: {why}"
    return f"{pods[0]} (and {others} other {'pod' if others == 1 else 'pods'}): {why}"


def _is_significant(pod: Object, old: Object) -> bool:
    """Did an update change what a check could look at: an image, a container, a seccomp annotation?"""
    if _annotation(pod, _SECCOMP_POD) != _annotation(old, _SECCOMP_POD):
        return True
    before = {one["name"]: one.get("image") for one in containers(old["spec"])}
    return before != {one["name"]: one.get("image") for one in containers(pod["spec"])}


def _annotation(obj: Object, name: str) -> str | None:
    return (obj["metadata"].get("annotations") or {}).get(name)

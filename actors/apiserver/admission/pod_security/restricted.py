"""The checks that the restricted level has beyond, or in place of, those of baseline."""

from actors.apiserver.admission.pod_security import baseline
from actors.apiserver.admission.pod_security.findings import (
    Check,
    Finding,
    Object,
    containers,
    context,
    has_own_users,
    is_windows,
    named,
    plural,
    quoted,
    setters,
)

ALLOWED_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
     "secret"}
)  # fmt: skip
_ESCALATION_SINCE = 8
_SECCOMP_SINCE = 19
_CAPABILITIES_SINCE = 22
_RUN_AS_USER_SINCE = 23
_WINDOWS_SINCE = 25  # from which on what only Linux has is not asked of Windows


def _skips_windows(spec: Object, minor: int) -> bool:
    return minor >= _WINDOWS_SINCE and is_windows(spec)


def allow_privilege_escalation(metadata: Object, spec: Object, minor: int) -> Finding | None:
    if minor < _ESCALATION_SINCE or _skips_windows(spec, minor):
        return None
    bad = [one["name"] for one in containers(spec) if context(one).get("allowPrivilegeEscalation") is not False]
    if not bad:
        return None
    detail = f"{named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Finding("allowPrivilegeEscalation != false", detail)


def capabilities(metadata: Object, spec: Object, minor: int) -> Finding | None:
    if minor < _CAPABILITIES_SINCE:
        return baseline.capabilities(metadata, spec, minor)
    if _skips_windows(spec, minor):
        return None
    keeping: list[str] = []
    adding: list[str] = []
    added: set[str] = set()
    for one in containers(spec):
        own = context(one).get("capabilities") or {}
        if "ALL" not in (own.get("drop") or ()):
            keeping.append(one["name"])
        beyond = set(own.get("add") or ()) - {"NET_BIND_SERVICE"}
        if beyond:
            adding.append(one["name"])
            added |= beyond
    said = []
    if keeping:
        said.append(f'{named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        said.append(f"{named(adding)} must not include {quoted(sorted(added))} in securityContext.capabilities.add")
    return Finding("unrestricted capabilities", "; ".join(said)) if said else None


def volumes(metadata: Object, spec: Object, minor: int) -> Finding | None:
    bad: list[str] = []
    kinds: set[str] = set()
    for volume in spec.get("volumes") or ():
        sources = [name for name in volume if name != "name"]
        if not any(name in ALLOWED_VOLUMES for name in sources):
            bad.append(volume["name"])
            kinds.update(sources or ["unknown"])
    if not bad:
        return None
    what = plural("restricted volume type", "restricted volume types", len(kinds))
    who = f"{plural('volume', 'volumes', len(bad))} {quoted(bad)} {plural('uses', 'use', len(bad))}"
    return Finding("restricted volume types", f"{who} {what} {quoted(sorted(kinds))}")


def run_as_non_root(metadata: Object, spec: Object, minor: int) -> Finding | None:
    if has_own_users(spec):
        return None
    of_pod = context(spec).get("runAsNonRoot")
    bad = [one["name"] for one in containers(spec) if context(one).get("runAsNonRoot") is False]
    who = setters(of_pod is False, bad)
    reason = "runAsNonRoot != true"
    if who:
        return Finding(reason, f"{who} must not set securityContext.runAsNonRoot=false")
    silent = [one["name"] for one in containers(spec) if context(one).get("runAsNonRoot") is None]
    if silent and not of_pod:
        return Finding(reason, f"pod or {named(silent)} must set securityContext.runAsNonRoot=true")
    return None


def run_as_user(metadata: Object, spec: Object, minor: int) -> Finding | None:
    if minor < _RUN_AS_USER_SINCE or has_own_users(spec):
        return None
    bad = [one["name"] for one in containers(spec) if context(one).get("runAsUser") == 0]
    who = setters(context(spec).get("runAsUser") == 0, bad)
    return Finding("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def seccomp(metadata: Object, spec: Object, minor: int) -> Finding | None:
    if minor < _SECCOMP_SINCE:
        return baseline.seccomp(metadata, spec, minor)
    if _skips_windows(spec, minor):
        return None
    wrong = baseline.seccomp(metadata, spec, minor)
    if wrong is not None:
        return wrong
    if context(spec).get("seccompProfile") is not None:
        return None
    silent = [one["name"] for one in containers(spec) if context(one).get("seccompProfile") is None]
    if not silent:
        return None
    must = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Finding("seccompProfile", f"pod or {named(silent)} {must}")


CHECKS: tuple[Check, ...] = (
    allow_privilege_escalation, capabilities, baseline.proc_mount_restricted, volumes, run_as_non_root, run_as_user,
    seccomp,
)  # fmt: skip
REPLACED: frozenset[Check] = frozenset({baseline.capabilities, baseline.proc_mount, baseline.seccomp})

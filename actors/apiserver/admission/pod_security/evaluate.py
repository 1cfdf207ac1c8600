"""All that a level of a version finds wrong with a Pod."""

from actors.apiserver.admission.pod_security import baseline, restricted
from actors.apiserver.admission.pod_security.findings import Finding, Object
from actors.apiserver.admission.pod_security.levels import BASELINE, LATEST, NEWEST, PRIVILEGED, LevelVersion

_BASELINE = baseline.CHECKS
_RESTRICTED = (*(check for check in baseline.CHECKS if check not in restricted.REPLACED), *restricted.CHECKS)


def findings(policy: LevelVersion, metadata: Object, spec: Object) -> list[Finding]:
    """Return what is wrong, in Kubernetes' order: baseline checks that still apply first."""
    if policy.level == PRIVILEGED:
        return []
    minor = NEWEST if policy.minor == LATEST else min(policy.minor, NEWEST)
    checks = _BASELINE if policy.level == BASELINE else _RESTRICTED
    found = (check(metadata, spec, minor) for check in checks)
    return [one for one in found if one is not None]

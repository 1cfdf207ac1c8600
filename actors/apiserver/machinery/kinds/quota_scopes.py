"""The scopes of a ResourceQuota: which there are, what they may count, which exclude each other.

Source: Kubernetes' validation of quotas. Neighbours: `policy`; `admission.quota_rules` says what is in a scope.
"""

from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field

_CONFLICTING = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_EXISTING = frozenset({"CrossNamespacePodAffinity"}).union(*_CONFLICTING)  # scopes without values
_SCOPES = _EXISTING | {"PriorityClass", "VolumeAttributesClass"}
_COMPUTE = frozenset({"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
_OF_PODS = _COMPUTE | {"pods"}
_COUNTED = {
    **dict.fromkeys(("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass"), _OF_PODS),
    "CrossNamespacePodAffinity": _OF_PODS,
    "BestEffort": frozenset({"pods"}),
    "VolumeAttributesClass": frozenset({"persistentvolumeclaims", "requests.storage"}),
}
_STANDARD = _OF_PODS | {
    "ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage", "requests.storage", "resourcequotas",
    "services", "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps", "services.nodeports",
    "services.loadbalancers",
}  # fmt: skip


def scope_causes(spec: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with a quota's scopes and scopeSelector."""
    hard, scopes = sorted(spec.get("hard") or ()), spec.get("scopes") or []
    at = "spec.scopes"
    causes: list[Cause] = []
    for scope in scopes:
        if scope not in _SCOPES:
            causes.append(field.invalid(at, scopes, "unsupported scope"))
        causes += _uncounted_causes(scope, hard, at, scopes)
    if _conflict(scopes):
        causes.append(field.invalid(at, scopes, "conflicting scopes"))
    return causes + _selector_causes(spec.get("scopeSelector") or {}, hard)


def _uncounted_causes(scope: str, hard: list[str], at: str, shown: Any) -> list[Cause]:
    counted = _COUNTED.get(scope, _STANDARD)
    wrong = [name for name in hard if name in _STANDARD and name not in counted]
    return [field.invalid(at, shown, "unsupported scope applied to resource") for _ in wrong]


def _conflict(scopes: list[str]) -> bool:
    return any(pair <= set(scopes) for pair in _CONFLICTING)


def _selector_causes(selector: dict[str, Any], hard: list[str]) -> list[Cause]:
    at, terms = "spec.scopeSelector.matchExpressions", selector.get("matchExpressions") or []
    causes: list[Cause] = []
    for term in terms:
        scope, operator, values = term.get("scopeName", ""), term.get("operator", ""), term.get("values") or []
        if scope not in _SCOPES:
            causes.append(field.invalid(f"{at}.scopeName", scope, "unsupported scope"))
        causes += _uncounted_causes(scope, hard, at, selector)
        if scope in _EXISTING and operator != "Exists":
            detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, " + (
                "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
                "ResourceQuotaScopeCrossNamespacePodAffinity"
            )
            causes.append(field.invalid(f"{at}.operator", operator, detail))
        causes += _value_causes(operator, values, at)
    if _conflict([term.get("scopeName", "") for term in terms]):
        causes.append(field.invalid(at, selector, "conflicting scopes"))
    return causes


def _value_causes(operator: str, values: list[str], at: str) -> list[Cause]:
    if operator in ("In", "NotIn"):
        detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
        return [] if values else [field.required(f"{at}.values", detail)]
    if operator in ("Exists", "DoesNotExist"):
        detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
        return [field.invalid(f"{at}.values", values, detail)] if values else []
    return [field.invalid(f"{at}.operator", operator, "not a valid selector operator")]

"""Where a pod may run: node selectors, affinity, tolerations, spread constraints; and label selectors in general."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.metadata import label_causes

_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_LABEL_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TOLERATION_OPERATORS = ("", "Equal", "Exists", "Lt", "Gt")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")
_HARD, _SOFT = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"


def placement_causes(spec: dict[str, Any], path: str) -> list[Cause]:
    causes = label_causes(spec.get("nodeSelector"), f"{path}.nodeSelector")
    affinity = spec.get("affinity") or {}
    causes += _node_affinity_causes(affinity.get("nodeAffinity") or {}, f"{path}.affinity.nodeAffinity")
    for name in ("podAffinity", "podAntiAffinity"):
        causes += _pod_affinity_causes(affinity.get(name) or {}, f"{path}.affinity.{name}")
    causes += tolerations_causes(spec.get("tolerations"), f"{path}.tolerations")
    return causes + _spread_causes(spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints")


def label_selector_causes(selector: dict[str, Any] | None, path: str) -> list[Cause]:
    """Return what is wrong with a LabelSelector."""
    if not selector:
        return []
    causes = label_causes(selector.get("matchLabels"), f"{path}.matchLabels")
    for i, term in enumerate(selector.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{i}]"
        causes += _expression_causes(term, at, _LABEL_OPERATORS)
        causes += field.messages(f"{at}.key", term.get("key", ""), names.qualified_name(term.get("key", "")))
    return causes


def _expression_causes(term: dict[str, Any], at: str, operators: tuple[str, ...]) -> list[Cause]:
    operator, values = term.get("operator", ""), term.get("values") or ()
    if operator not in operators:
        return [field.invalid(f"{at}.operator", operator, "not a valid selector operator")]
    if operator in ("In", "NotIn") and not values:
        return [field.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")]
    if operator in ("Exists", "DoesNotExist") and values:
        return [field.forbidden(f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")]
    if operator in ("Gt", "Lt") and len(values) != 1:
        detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
        return [field.required(f"{at}.values", detail)]
    return []


def node_selector_causes(selector: dict[str, Any], path: str) -> list[Cause]:
    terms = selector.get("nodeSelectorTerms")
    if not terms:
        return [field.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")]
    causes = []
    for i, term in enumerate(terms):
        causes += _node_term_causes(term, f"{path}.nodeSelectorTerms[{i}]")
    return causes


def _node_term_causes(term: dict[str, Any], path: str) -> list[Cause]:
    causes = []
    for i, expression in enumerate(term.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{i}]"
        causes += _expression_causes(expression, at, _NODE_OPERATORS)
        key = expression.get("key", "")
        causes += field.messages(f"{at}.key", key, names.qualified_name(key))
    for i, expression in enumerate(term.get("matchFields") or ()):
        at = f"{path}.matchFields[{i}]"
        if expression.get("key") != "metadata.name":
            causes.append(field.invalid(f"{at}.key", expression.get("key", ""), "not a valid field selector key"))
        if expression.get("operator") not in ("In", "NotIn"):
            causes.append(
                field.invalid(f"{at}.operator", expression.get("operator", ""), "not a valid selector operator")
            )
    return causes


def _node_affinity_causes(affinity: dict[str, Any], path: str) -> list[Cause]:
    causes = []
    if _HARD in affinity:
        causes += node_selector_causes(affinity[_HARD], f"{path}.{_HARD}")
    for i, term in enumerate(affinity.get(_SOFT) or ()):
        at = f"{path}.{_SOFT}[{i}]"
        causes += _weight_causes(term, at)
        causes += _node_term_causes(term.get("preference") or {}, f"{at}.preference")
    return causes


def _weight_causes(term: dict[str, Any], at: str) -> list[Cause]:
    weight = term.get("weight", 0)
    return [] if 1 <= weight <= 100 else [field.invalid(f"{at}.weight", weight, "must be in the range 1-100")]


def _pod_affinity_causes(affinity: dict[str, Any], path: str) -> list[Cause]:
    causes = []
    for i, term in enumerate(affinity.get(_HARD) or ()):
        causes += _pod_term_causes(term, f"{path}.{_HARD}[{i}]")
    for i, term in enumerate(affinity.get(_SOFT) or ()):
        at = f"{path}.{_SOFT}[{i}]"
        causes += _weight_causes(term, at)
        causes += _pod_term_causes(term.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")
    return causes


def _pod_term_causes(term: dict[str, Any], at: str) -> list[Cause]:
    causes = label_selector_causes(term.get("labelSelector"), f"{at}.labelSelector")
    causes += label_selector_causes(term.get("namespaceSelector"), f"{at}.namespaceSelector")
    for i, namespace in enumerate(term.get("namespaces") or ()):
        causes += field.messages(f"{at}.namespaces[{i}]", namespace, names.dns_label(namespace))
    selector, keys, others = term.get("labelSelector"), term.get("matchLabelKeys"), term.get("mismatchLabelKeys")
    causes += _label_keys_causes(keys, f"{at}.matchLabelKeys", selector)
    causes += _label_keys_causes(others, f"{at}.mismatchLabelKeys", selector)
    causes += _twice_selected_causes(keys, selector, at)
    for i, key in enumerate(keys or ()):
        if key in (others or ()):
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            causes.append(field.invalid(f"{at}.matchLabelKeys[{i}]", key, detail))
    key = term.get("topologyKey", "")
    if not key:
        return [*causes, field.required(f"{at}.topologyKey", "can not be empty")]
    return causes + field.messages(f"{at}.topologyKey", key, names.qualified_name(key))


def _label_keys_causes(keys: list[str] | None, at: str, selector: dict[str, Any] | None) -> list[Cause]:
    if not keys:
        return []
    causes = (
        [] if selector is not None else [field.forbidden(at, "must not be specified when labelSelector is not set")]
    )
    for i, key in enumerate(keys):
        causes += field.messages(f"{at}[{i}]", key, names.qualified_name(key))
    return causes


def _twice_selected_causes(keys: list[str] | None, selector: dict[str, Any] | None, at: str) -> list[Cause]:
    """Complain of keys that the selector names itself. The one expression that was merged is not its own."""
    named = {*((selector or {}).get("matchLabels") or ())}
    places = {key: i for i, key in enumerate(keys or ())}
    causes = []
    for term in (selector or {}).get("matchExpressions") or ():
        key = term.get("key", "")
        if key in places and key in named:
            detail = "exists in both matchLabelKeys and labelSelector"
            causes.append(field.invalid(f"{at}[{places[key]}]", key, detail))
        named.add(key)
    return causes


def merge_label_keys(spec: dict[str, Any], labels: dict[str, str]) -> None:
    """Narrow a new pod's selectors to its own labels, or away from them, as matchLabelKeys and mismatchLabelKeys say.

    Source: KEP-3633 for affinity; KEP-3243, with MatchLabelKeysInPodTopologySpreadSelectorMerge, for spreading.
    """
    affinity = spec.get("affinity") or {}
    for name in ("podAffinity", "podAntiAffinity"):
        of_kind = affinity.get(name) or {}
        weighted = [one.get("podAffinityTerm") or {} for one in of_kind.get(_SOFT) or ()]
        for term in (*weighted, *(of_kind.get(_HARD) or ())):
            _merge_keys(term, "matchLabelKeys", "In", labels)
            _merge_keys(term, "mismatchLabelKeys", "NotIn", labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _merge_keys(constraint, "matchLabelKeys", "In", labels)


def _merge_keys(term: dict[str, Any], name: str, operator: str, labels: dict[str, str]) -> None:
    """A term without a selector selects nothing, whatever its keys."""
    selector, keys = term.get("labelSelector"), [key for key in term.get(name) or () if key in labels]
    if selector is None or not keys:
        return
    made = [{"key": key, "operator": operator, "values": [labels[key]]} for key in keys]
    selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *made]


def tolerations_causes(tolerations: list[dict] | None, path: str) -> list[Cause]:
    causes = []
    for i, toleration in enumerate(tolerations or ()):
        at, key = f"{path}[{i}]", toleration.get("key", "")
        operator, effect = toleration.get("operator", ""), toleration.get("effect", "")
        if key:
            causes += field.messages(f"{at}.key", key, names.qualified_name(key))
        elif operator != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            causes.append(field.invalid(f"{at}.operator", operator, detail))
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            causes.append(field.invalid(f"{at}.effect", effect, detail))
        causes += field.one_of(f"{at}.operator", operator, _TOLERATION_OPERATORS)
        if operator == "Exists" and toleration.get("value"):
            detail = "value must be empty when `operator` is 'Exists'"
            causes.append(field.invalid(f"{at}.operator", toleration, detail))
        elif operator in ("", "Equal"):
            value = toleration.get("value", "")
            causes += field.messages(f"{at}.value", value, names.label_value(value))
        if effect:
            causes += field.one_of(f"{at}.effect", effect, _EFFECTS)
    return causes


def _spread_causes(constraints: list[dict] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for i, constraint in enumerate(constraints or ()):
        at = f"{path}[{i}]"
        if constraint.get("maxSkew", 0) <= 0:
            causes.append(field.invalid(f"{at}.maxSkew", constraint.get("maxSkew", 0), "must be greater than zero"))
        if not constraint.get("topologyKey"):
            causes.append(field.required(f"{at}.topologyKey", "can not be empty"))
        when = constraint.get("whenUnsatisfiable", "")
        causes += field.one_of(f"{at}.whenUnsatisfiable", when, _UNSATISFIABLE)
        if constraint.get("minDomains", 1) <= 0:
            causes.append(field.invalid(f"{at}.minDomains", constraint["minDomains"], "must be greater than zero"))
        elif "minDomains" in constraint and when != "DoNotSchedule":
            detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}"
            causes.append(field.invalid(f"{at}.minDomains", constraint["minDomains"], detail))
        pair = (constraint.get("topologyKey", ""), when)
        if pair in seen:
            causes.append(field.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {when}}}"))
        seen.add(pair)
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if name in constraint:
                causes += field.one_of(f"{at}.{name}", constraint[name], ("Honor", "Ignore"))
        causes += _spread_selector_causes(constraint, at)
    return causes


def _spread_selector_causes(constraint: dict[str, Any], at: str) -> list[Cause]:
    selector, keys = constraint.get("labelSelector"), constraint.get("matchLabelKeys")
    causes = _label_keys_causes(keys, f"{at}.matchLabelKeys", selector)
    causes += _twice_selected_causes(keys, selector, at)
    return causes + label_selector_causes(selector, f"{at}.labelSelector")


def taints_causes(taints: list[dict] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[tuple] = set()
    for i, taint in enumerate(taints or ()):
        at, key = f"{path}[{i}]", taint.get("key", "")
        causes += field.messages(f"{at}.key", key, names.qualified_name(key))
        causes += field.messages(f"{at}.value", taint.get("value", ""), names.label_value(taint.get("value", "")))
        causes += field.needed_one_of(f"{at}.effect", taint.get("effect", ""), _EFFECTS)
        identity = (key, taint.get("effect"))
        if identity in seen:
            causes.append(field.duplicate(at, {"key": key, "effect": taint.get("effect")}))
        seen.add(identity)
    return causes

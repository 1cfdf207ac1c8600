"""FlowSchema and PriorityLevelConfiguration: which requests are alike, and how much of the server each kind may take.

Two of each are mandatory: `exempt`, whose spec nobody may change, and `catch-all`, which only may change its shares.

Source: flowcontrol.apiserver.k8s.io/v1's documentation. Neighbours: `fairness` in serving acts on them.
"""

import math
from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.with_status import WithStatus

GROUP = "flowcontrol.apiserver.k8s.io"
EXEMPT, CATCH_ALL = "exempt", "catch-all"
DEFAULT_PRECEDENCE, MAX_PRECEDENCE = 1000, 10_000
DEFAULT_SHARES = 30
DEFAULT_QUEUES, DEFAULT_HAND_SIZE, DEFAULT_QUEUE_LENGTH = 64, 8, 50
MAX_QUEUES = 10_000_000
MAX_HAND_BITS = 60  # of hash that dealing a hand may take
VERBS = frozenset(
    ("get", "list", "create", "update", "patch", "delete", "deletecollection", "watch", "proxy", "post", "put", "head",
     "options", "connect", "*")
)  # fmt: skip


class FlowSchemaStrategy(WithStatus):
    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        return names.dns_subdomain(name, prefix)

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("matchingPrecedence"):
            spec["matchingPrecedence"] = DEFAULT_PRECEDENCE

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
        precedence = spec.get("matchingPrecedence", 0)
        causes = field.within("spec.matchingPrecedence", precedence, 1, MAX_PRECEDENCE)
        if precedence == 1 and name != EXEMPT:
            detail = "only the schema named 'exempt' may have matchingPrecedence 1"
            causes.append(field.invalid("spec.matchingPrecedence", precedence, detail))
        method = spec.get("distinguisherMethod")
        if method is not None:
            causes += field.one_of("spec.distinguisherMethod.type", method.get("type", ""), ("ByUser", "ByNamespace"))
        level = (spec.get("priorityLevelConfiguration") or {}).get("name", "")
        if not level:
            causes.append(field.required("spec.priorityLevelConfiguration.name", "must reference a priority level"))
        else:
            wrong = names.dns_subdomain(level)
            causes += field.messages("spec.priorityLevelConfiguration.name", level, wrong)
        for i, rule in enumerate(spec.get("rules") or ()):
            causes += _rule_causes(rule, f"spec.rules[{i}]")
        if name in (EXEMPT, CATCH_ALL) and (level != name or _precedence_of(name) != precedence):
            causes.append(field.invalid("spec", name, f"spec of '{name}' must equal the fixed value"))
        return causes


class PriorityLevelConfigurationStrategy(WithStatus):
    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        return names.dns_subdomain(name, prefix)

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("type") == "Exempt":
            exempt = spec.setdefault("exempt", {})
            exempt.setdefault("nominalConcurrencyShares", 0)
            exempt.setdefault("lendablePercent", 0)
        limited = spec.get("limited")
        if limited is None:
            return
        limited.setdefault("nominalConcurrencyShares", DEFAULT_SHARES)
        limited.setdefault("lendablePercent", 0)
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            for name, value in (
                ("queues", DEFAULT_QUEUES),
                ("handSize", DEFAULT_HAND_SIZE),
                ("queueLengthLimit", DEFAULT_QUEUE_LENGTH),
            ):
                queuing[name] = queuing.get(name) or value

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
        kind, limited, exempt = spec.get("type", ""), spec.get("limited"), spec.get("exempt")
        causes = field.one_of("spec.type", kind, ("Exempt", "Limited"))
        if (name == EXEMPT) != (kind == "Exempt"):
            detail = "must be 'Exempt' if and only if `name` is 'exempt'"
            causes.append(field.invalid("spec.type", kind, detail))
        if kind == "Exempt":
            if limited is not None:
                causes.append(field.forbidden("spec.limited", "must be nil if the type is not Limited"))
            causes += _shares_causes(exempt or {}, "spec.exempt")
        elif kind == "Limited":
            if exempt is not None:
                causes.append(field.forbidden("spec.exempt", "must be nil if the type is Limited"))
            if limited is None:
                causes.append(field.required("spec.limited", "must not be empty when type is Limited"))
            else:
                causes += _limited_causes(limited, "spec.limited")
        return causes


def _precedence_of(mandatory: str) -> int:
    return 1 if mandatory == EXEMPT else MAX_PRECEDENCE


def _rule_causes(rule: dict[str, Any], at: str) -> list[Cause]:
    causes = []
    if not rule.get("subjects"):
        causes.append(field.required(f"{at}.subjects", "subjects must contain at least one value"))
    for i, subject in enumerate(rule.get("subjects") or ()):
        causes += _subject_causes(subject, f"{at}.subjects[{i}]")
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        causes.append(field.required(at, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    for i, one in enumerate(rule.get("resourceRules") or ()):
        here = f"{at}.resourceRules[{i}]"
        causes += _list_causes(one, here, "verbs", VERBS)
        causes += _list_causes(one, here, "apiGroups")
        causes += _list_causes(one, here, "resources")
        if not one.get("namespaces") and not one.get("clusterScope"):
            detail = "resource rules that are not cluster scoped must supply at least one namespace"
            causes.append(field.required(f"{here}.namespaces", detail))
    for i, one in enumerate(rule.get("nonResourceRules") or ()):
        here = f"{at}.nonResourceRules[{i}]"
        causes += _list_causes(one, here, "verbs", VERBS)
        causes += _list_causes(one, here, "nonResourceURLs")
        for j, path in enumerate(one.get("nonResourceURLs") or ()):
            if path != "*" and (not path.startswith("/") or "*" in path.removesuffix("/*")):
                detail = "must start with slash, and may hold no wildcard but /* at its end"
                causes.append(field.invalid(f"{here}.nonResourceURLs[{j}]", path, detail))
    return causes


def _subject_causes(subject: dict[str, Any], at: str) -> list[Cause]:
    kind = subject.get("kind", "")
    causes = field.one_of(f"{at}.kind", kind, ("ServiceAccount", "User", "Group"))
    if causes:
        return causes
    part = kind[:1].lower() + kind[1:]
    for other in ("user", "group", "serviceAccount"):
        if other != part and subject.get(other) is not None:
            causes.append(field.forbidden(f"{at}.{other}", f"{other} is forbidden when subject kind is '{kind}'"))
    given = subject.get(part)
    if given is None:
        causes.append(field.required(f"{at}.{part}", f"{part} is required when subject kind is '{kind}'"))
    else:
        needed = ("namespace", "name") if kind == "ServiceAccount" else ("name",)
        causes += [field.required(f"{at}.{part}.{name}") for name in needed if not given.get(name)]
    return causes


def _list_causes(rule: dict[str, Any], at: str, name: str, allowed: frozenset[str] | None = None) -> list[Cause]:
    """A list that must not be empty, and says `*` alone or not at all."""
    values = rule.get(name) or []
    if not values:
        return [field.required(f"{at}.{name}", f"{name} must contain at least one value")]
    if "*" in values and len(values) > 1:
        return [field.invalid(f"{at}.{name}", values, f"if '*' is present, must not specify other {name}")]
    if allowed is not None and not allowed.issuperset(values):
        return [field.not_supported(f"{at}.{name}", values, allowed)]
    return []


def _shares_causes(part: dict[str, Any], at: str) -> list[Cause]:
    causes = field.non_negative(f"{at}.nominalConcurrencyShares", part.get("nominalConcurrencyShares"))
    return causes + field.within(f"{at}.lendablePercent", part.get("lendablePercent") or 0, 0, 100)


def _limited_causes(limited: dict[str, Any], at: str) -> list[Cause]:
    causes = _shares_causes(limited, at)
    causes += field.non_negative(f"{at}.borrowingLimitPercent", limited.get("borrowingLimitPercent"))
    response = limited.get("limitResponse") or {}
    kind, queuing = response.get("type", ""), response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            detail = "must be nil if limited.limitResponse.type is not Limited"
            causes.append(field.forbidden(f"{at}.limitResponse.queuing", detail))
    elif kind == "Queue":
        if queuing is None:
            detail = "must not be empty if limited.limitResponse.type is Queue"
            causes.append(field.required(f"{at}.limitResponse.queuing", detail))
        else:
            causes += _queuing_causes(queuing, f"{at}.limitResponse.queuing")
    else:
        causes.append(field.not_supported(f"{at}.limitResponse.type", kind, ("Queue", "Reject")))
    return causes


def _queuing_causes(queuing: dict[str, Any], at: str) -> list[Cause]:
    queues, hand, length = (queuing.get(name, 0) for name in ("queues", "handSize", "queueLengthLimit"))
    causes = [
        field.invalid(f"{at}.{name}", value, "must be positive")
        for name, value in (("queueLengthLimit", length), ("queues", queues), ("handSize", hand))
        if value <= 0
    ]
    if causes:
        return causes
    if queues > MAX_QUEUES:
        return [field.invalid(f"{at}.queues", queues, f"must not be greater than {MAX_QUEUES}")]
    if hand > queues:
        return [field.invalid(f"{at}.handSize", hand, f"should not be greater than queues ({queues})")]
    if hand * math.log2(queues) > MAX_HAND_BITS:
        detail = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than 60"
        return [field.invalid(f"{at}.handSize", hand, detail)]
    return []

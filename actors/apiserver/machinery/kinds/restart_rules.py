"""restartPolicy of a single container, and the rules that override it by exit code."""

from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field

_POLICIES = ("Always", "Never", "OnFailure")
_ACTIONS = ("Restart", "RestartAllContainers")
_OPERATORS = ("In", "NotIn")
_MAX_RULES = 20
_MAX_CODES = 255


def causes(container: dict[str, Any], path: str) -> list[Cause]:
    """Return what is wrong with a container's own restart policy."""
    found: list[Cause] = []
    policy, rules, at = container.get("restartPolicy"), container.get("restartPolicyRules") or (), "restartPolicyRules"
    if policy is not None:
        found += field.one_of(f"{path}.restartPolicy", policy, _POLICIES)
    elif rules:
        found.append(field.required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used"))
    if len(rules) > _MAX_RULES:
        found.append(field.too_many(f"{path}.{at}", len(rules), _MAX_RULES))
    for i, rule in enumerate(rules):
        found += _rule_causes(rule, f"{path}.{at}[{i}]")
    return found


def _rule_causes(rule: dict[str, Any], at: str) -> list[Cause]:
    found = field.needed_one_of(f"{at}.action", rule.get("action", ""), _ACTIONS)
    codes = rule.get("exitCodes")
    if codes is None:
        return [*found, field.required(f"{at}.exitCodes", "must be specified")]
    found += field.needed_one_of(f"{at}.exitCodes.operator", codes.get("operator", ""), _OPERATORS)
    values = codes.get("values") or ()
    if not values:
        found.append(field.required(f"{at}.exitCodes.values", "must specify at least one exit code"))
    if len(values) > _MAX_CODES:
        found.append(field.too_many(f"{at}.exitCodes.values", len(values), _MAX_CODES))
    return found

"""What configurations of admission share: rules, selectors, match conditions. Their defaults, and what can be wrong.

Source: Kubernetes' documentation of dynamic admission control. Neighbours: `webhook_configuration` and
`admission_policy` have the kinds; `webhooks.rules` in serving matches requests by them.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.placement import label_selector_causes

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
MAX_MATCH_CONDITIONS = 64
BOOL, STRING, STRING_OR_NULL = ("BOOL",), ("STRING",), ("STRING", "NULL")  # types of expressions
_TYPE_NAMES = {"BOOL": "bool", "STRING": "string", "NULL": "null_type"}


def default_rules(rules: list[dict[str, Any]] | None) -> None:
    for rule in rules or ():
        rule.setdefault("scope", "*")


def rule_causes(rule: dict[str, Any], at: str) -> list[Cause]:
    """Return what is wrong with one rule with operations."""
    causes = []
    operations = rule.get("operations") or []
    if not operations:
        causes.append(field.required(f"{at}.operations"))
    if len(operations) > 1 and "*" in operations:
        detail = "if '*' is present, must not specify other operations"
        causes.append(field.invalid(f"{at}.operations", operations, detail))
    for i, operation in enumerate(operations):
        causes += field.one_of(f"{at}.operations[{i}]", operation, OPERATIONS)
    for name, wildcard in (("apiGroups", "groups"), ("apiVersions", "versions")):
        values = rule.get(name) or []
        if not values:
            causes.append(field.required(f"{at}.{name}"))
        if len(values) > 1 and "*" in values:
            detail = f"if '*' is present, must not specify other API {wildcard}"
            causes.append(field.invalid(f"{at}.{name}", values, detail))
    causes += _resource_causes(rule.get("resources") or [], f"{at}.resources")
    return causes + field.one_of(f"{at}.scope", rule.get("scope", "*"), SCOPES)


def _resource_causes(resources: list[str], at: str) -> list[Cause]:
    causes = [] if resources else [field.required(at)]
    if len(resources) > 1 and "*/*" in resources:
        causes.append(field.invalid(at, resources, "if '*/*' is present, must not specify other resources"))
    for i, one in enumerate(resources):
        if not one:
            causes.append(field.required(f"{at}[{i}]"))
        elif (
            one.endswith("/*")
            and one != "*/*"
            and any(other.startswith(one[:-1]) and other != one for other in resources)
        ):
            detail = f"if '{one}' is present, must not specify {one[:-1]}x"
            causes.append(field.invalid(f"{at}[{i}]", one, detail))
    return causes


def selector_causes(part: dict[str, Any], at: str) -> list[Cause]:
    causes = label_selector_causes(part.get("namespaceSelector"), f"{at}.namespaceSelector")
    return causes + label_selector_causes(part.get("objectSelector"), f"{at}.objectSelector")


def match_condition_causes(
    conditions: list[dict[str, Any]] | None, at: str, more_names: tuple[str, ...] = ()
) -> list[Cause]:
    """Return what is wrong with match conditions. `more_names` are of variables besides those of every condition."""
    causes: list[Cause] = []
    if len(conditions or ()) > MAX_MATCH_CONDITIONS:
        causes.append(field.too_many(at, len(conditions or ()), MAX_MATCH_CONDITIONS))
    seen: set[str] = set()
    for i, condition in enumerate(conditions or ()):
        name = condition.get("name", "")
        if not name:
            causes.append(field.required(f"{at}[{i}].name"))
        else:
            causes += field.messages(f"{at}[{i}].name", name, names.qualified_name(name))
        if name in seen:
            causes.append(field.duplicate(f"{at}[{i}].name", name))
        seen.add(name)
        expression = condition.get("expression") or ""
        if expression.strip():
            causes += expression_causes(expression, f"{at}[{i}].expression", BOOL, more_names)
        else:
            causes.append(field.required(f"{at}[{i}].expression"))
    return causes


def expression_causes(
    expression: str, at: str, wanted: tuple[str, ...], more_names: tuple[str, ...], variables: tuple[str, ...] = ()
) -> list[Cause]:
    """Return a cause when an expression does not compile, or has a type that is none of those wanted (if any are).

    What is not known before there is an object has the dynamic type, which will do. `variables` are a policy's.
    """
    from actors.apiserver.cel.errors import CompileError  # loads CEL: not before somebody writes an expression
    from actors.apiserver.policies.declared_inputs import compile_declared

    try:
        made = compile_declared(expression, more_names, variables).result_type()
    except CompileError as error:
        return [field.invalid(at, expression, f"compilation failed: {error}")]
    if not wanted or made in wanted or made == "DYN":
        return []
    names_of = [_TYPE_NAMES[one] for one in wanted]
    said = names_of[0] if len(names_of) == 1 else f"one of [{' '.join(names_of)}]"
    return [field.invalid(at, expression, f"must evaluate to {said}")]

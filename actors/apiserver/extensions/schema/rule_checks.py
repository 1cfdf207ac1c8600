"""Whether the CEL rules of a schema are good: they compile against its types, and cannot cost too much.

This is done when a definition is written; after that a rule is only run. Neighbours: `rules` runs them; `declare` gives
the types; `definition` asks.
"""

from dataclasses import dataclass, field
from typing import Any

from actors.api.errors import Cause
from actors.apiserver.cel import cost, declared, tree, typecheck
from actors.apiserver.cel.declared import MAX_REQUEST_BYTES, Declared
from actors.apiserver.cel.environment import Environment
from actors.apiserver.cel.errors import CompileError
from actors.apiserver.cel.ranges import MAX
from actors.apiserver.extensions.jsonpath import BadPath, field_steps
from actors.apiserver.extensions.schema import structural
from actors.apiserver.extensions.schema.declare import declare
from actors.apiserver.extensions.schema.node import Node
from actors.apiserver.extensions.schema.rules import OLD_SELF, OLD_SELF_LIST, SELF, with_optional_old_self
from actors.apiserver.machinery import field as causes_

RULE_COST_LIMIT = 10_000_000  # of one rule on all the values it may be run on, in `cost`'s units: Kubernetes' limit
SCHEMA_COST_LIMIT = 100_000_000  # of all rules of a schema together
MAX_MESSAGE_CHARS = 2048
REASONS = ("FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate")

_SHARE_NAMED = 100  # a rule that takes a hundredth of the limit of the schema is named when that is exceeded


@dataclass(slots=True)
class _Found:
    causes: list[Cause] = field(default_factory=list)
    costs: list[tuple[str, int]] = field(default_factory=list)


def causes_of(node: Node, path: str) -> list[Cause]:
    """Return what is wrong with the rules of a schema; `path` is where the schema stands."""
    found = _Found()
    _visit(node, path, 1, "", found)
    total = min(MAX, sum(one for _, one in found.costs))
    if total > SCHEMA_COST_LIMIT:
        for where, one in found.costs:
            if one > SCHEMA_COST_LIMIT // _SHARE_NAMED:
                detail = "contributed to estimated rule & messageExpression cost total exceeding cost limit for entire "
                found.causes.append(causes_.forbidden(where, detail + "OpenAPIv3 schema"))
        name = "x-kubernetes-validations estimated rule & messageExpression cost total for entire OpenAPIv3 schema"
        found.causes.append(causes_.forbidden(path, _over(name, total, SCHEMA_COST_LIMIT)))
    return found.causes


def _visit(node: Node, path: str, times: int | None, uncorrelatable: str, found: _Found) -> None:
    """Check the rules of a node that may occur so many times, None being as often as a request has room for.

    `uncorrelatable` names a list that has no past.
    """
    rules = node.schema.get(structural.RULES) or ()
    if rules:
        _check_all(node, list(rules), path, times, uncorrelatable, found)
    for name, inner in node.properties.items():
        _visit(inner, f"{path}.properties[{name}]", times, uncorrelatable, found)
    if isinstance(node.additional, Node):
        within = _times(times, node.schema.get("maxProperties"))
        _visit(node.additional, f"{path}.additionalProperties", within, uncorrelatable, found)
    if node.items is not None:
        lost = uncorrelatable or ("" if node.list_type == "map" else path)
        _visit(node.items, f"{path}.items", _times(times, node.schema.get("maxItems")), lost, found)


def _times(times: int | None, most: int | None) -> int | None:
    return None if times is None or most is None else times * most


def _check_all(node: Node, rules: list[Any], path: str, times: int | None, uncorrelatable: str, found: _Found) -> None:
    if node.list_type and node.wanted == "":
        where = f"{path}.type"
        found.causes.append(causes_.required(where, "must not be empty for x-kubernetes-validations"))
        return
    own = declare(node)
    if times is None:
        times = MAX_REQUEST_BYTES // (own.smallest_bytes + 1)
    plain = typecheck.checked({SELF: own, OLD_SELF: own})
    optional = typecheck.checked({SELF: own, OLD_SELF_LIST: declared.list_of(own, 1)})
    for i, rule in enumerate(rules):
        where = f"{path}.{structural.RULES}[{i}]"
        _check_form(rule, where, node, found.causes)
        env, sizes = plain, {SELF: own, OLD_SELF: own}
        if rule.get("optionalOldSelf"):
            env, sizes = optional, {SELF: own, OLD_SELF_LIST: declared.list_of(own, 1)}
        _check_rule(rule, where, env, sizes, times, uncorrelatable, found)


def _check_form(rule: dict[str, Any], where: str, node: Node, causes: list[Cause]) -> None:
    message = rule.get("message", "")
    if not (rule.get("rule") or "").strip():
        causes.append(causes_.required(f"{where}.rule", "rule is not specified"))
    if message and not message.strip():
        detail = "message must be non-empty if specified"
        causes.append(causes_.invalid(f"{where}.message", message, detail))
    elif "\n" in message:
        causes.append(causes_.invalid(f"{where}.message", message, "message must not contain line breaks"))
    elif len(message) > MAX_MESSAGE_CHARS:
        causes.append(causes_.too_long(f"{where}.message", MAX_MESSAGE_CHARS))
    elif "\n" in (rule.get("rule") or "").strip() and not message:
        detail = "message must be specified if rule contains line breaks"
        causes.append(causes_.required(f"{where}.message", detail))
    if rule.get("messageExpression") is not None and not rule["messageExpression"].strip():
        detail = "messageExpression must be non-empty if specified"
        causes.append(causes_.required(f"{where}.messageExpression", detail))
    if rule.get("reason"):
        causes += causes_.one_of(f"{where}.reason", rule["reason"], REASONS)
    if path := rule.get("fieldPath"):
        causes += _path_causes(path, f"{where}.fieldPath", node)


def _path_causes(path: str, where: str, node: Node) -> list[Cause]:
    """Complain unless a path leads to a field of the schema."""
    try:
        steps = field_steps(path)
    except BadPath as error:
        return [causes_.invalid(where, path, f"fieldPath must be a valid path: {error}")]
    for step in steps:
        inner = node.properties.get(step)
        if inner is None and isinstance(node.additional, Node):
            inner = node.additional
        if inner is None:
            detail = f"fieldPath must be a valid path: does not refer to a valid field: {step}"
            return [causes_.invalid(where, path, detail)]
        node = inner
    return []


def _check_rule(
    rule: dict[str, Any],
    where: str,
    env: Environment,
    sizes: dict[str, Declared],
    times: int,
    uncorrelatable: str,
    found: _Found,
) -> None:
    for name, wanted, word in (("rule", "BOOL", "bool"), ("messageExpression", "STRING", "string")):
        text = (rule.get(name) or "").strip()
        if not text:
            continue
        try:
            program = env.compile(with_optional_old_self(text) if rule.get("optionalOldSelf") else text)
            serialized = program.serialized()
        except CompileError as error:
            found.causes.append(causes_.invalid(f"{where}.{name}", text, f"compilation failed: {error}"))
            continue
        if program.result_type() not in (wanted, "DYN"):
            detail = f"cel expression must evaluate to a {word}"
            found.causes.append(causes_.invalid(f"{where}.{name}", text, detail))
            continue
        uses_old = rule.get("optionalOldSelf") or OLD_SELF in tree.identifiers(serialized)
        if name == "rule" and uses_old and uncorrelatable:
            detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
            found.causes.append(causes_.invalid(f"{where}.rule", text, detail))
        estimated = cost.estimate(serialized, sizes)
        if name == "rule":
            _check_cost("estimated rule cost", estimated * times, f"{where}.{name}", found)
        else:
            _check_cost("estimated messageExpression cost", estimated, f"{where}.{name}", found)


def _check_cost(name: str, total: int, where: str, found: _Found) -> None:
    total = min(MAX, total)
    found.costs.append((where, total))
    if total > RULE_COST_LIMIT:
        found.causes.append(causes_.forbidden(where, _over(name, total, RULE_COST_LIMIT)))


def _over(name: str, total: int, limit: int) -> str:
    factor = total / limit
    if factor > 100:
        shown = "more than 100x"
    else:
        shown = f"{factor:.6f}x" if factor < 1.5 else f"{factor:.1f}x"
    return (
        f"{name} exceeds budget by factor of {shown} (try simplifying the rule, or adding maxItems, maxProperties, and "
        "maxLength where arrays, maps, and strings are declared)"
    )

"""A Job's policies: which failures of pods count, what is a failure of an index, and when enough has succeeded.

Source: batch/v1's documentation, and Kubernetes' validation. Neighbours: `batch`.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field

MAX_RULES = 20
MAX_EXIT_CODES = 255
MAX_CONDITIONS = 20
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_STATUSES = ("False", "True", "Unknown")

Object = dict[str, Any]


def policy_causes(spec: Object, path: str) -> list[Cause]:
    """Return what is wrong with the policies of a Job's spec."""
    causes = _index_causes(spec, path)
    if (policy := spec.get("podFailurePolicy")) is not None:
        causes += _only_never(spec, path, "podFailurePolicy")
        rules = policy.get("rules") or []
        if len(rules) > MAX_RULES:
            causes.append(field.too_many(f"{path}.podFailurePolicy.rules", len(rules), MAX_RULES))
        for i, rule in enumerate(rules):
            causes += _failure_causes(spec, rule, f"{path}.podFailurePolicy.rules[{i}]")
    if (policy := spec.get("successPolicy")) is not None:
        causes += _success_causes(spec, policy, f"{path}.successPolicy")
    if replacement := spec.get("podReplacementPolicy"):
        supported = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
        causes += field.one_of(f"{path}.podReplacementPolicy", replacement, supported)
    return causes


def _index_causes(spec: Object, path: str) -> list[Cause]:
    limit, most, completions = (spec.get(name) for name in ("backoffLimitPerIndex", "maxFailedIndexes", "completions"))
    causes: list[Cause] = []
    if limit is not None:
        if spec.get("completionMode") != "Indexed":
            causes.append(field.invalid(f"{path}.backoffLimitPerIndex", limit, "requires indexed completion mode"))
        causes += _only_never(spec, path, "backoffLimitPerIndex")
    if most is not None:
        if limit is None:
            causes.append(field.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
        if completions is not None and most > completions:
            causes.append(field.invalid(f"{path}.maxFailedIndexes", most, "must be less than or equal to completions"))
    return causes


def _only_never(spec: Object, path: str, name: str) -> list[Cause]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "Always")
    if policy in ("Never", "Always"):  # the second is refused in any Job
        return []
    detail = f'only "Never" is supported when {name} is specified'
    return [field.invalid(f"{path}.template.spec.restartPolicy", policy, detail)]


def _failure_causes(spec: Object, rule: Object, at: str) -> list[Cause]:
    action, codes, conditions = rule.get("action"), rule.get("onExitCodes"), rule.get("onPodConditions") or []
    causes = field.needed_one_of(f"{at}.action", action, _ACTIONS)
    if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        causes.append(field.invalid(f"{at}.action", action, "requires the backoffLimitPerIndex to be set"))
    if codes is not None:
        causes += _exit_code_causes(spec, codes, f"{at}.onExitCodes")
    if len(conditions) > MAX_CONDITIONS:
        causes.append(field.too_many(f"{at}.onPodConditions", len(conditions), MAX_CONDITIONS))
    for i, pattern in enumerate(conditions):
        kind = pattern.get("type", "")
        causes += field.messages(f"{at}.onPodConditions[{i}].type", kind, names.qualified_name(kind))
        causes += field.needed_one_of(f"{at}.onPodConditions[{i}].status", pattern.get("status", "True"), _STATUSES)
    if codes is not None and conditions:
        causes.append(_whole(at, "specifying both OnExitCodes and OnPodConditions is not supported"))
    elif codes is None and not conditions:
        causes.append(_whole(at, "specifying one of OnExitCodes and OnPodConditions is required"))
    return causes


def _exit_code_causes(spec: Object, codes: Object, at: str) -> list[Cause]:
    operator, values, container = codes.get("operator"), codes.get("values") or [], codes.get("containerName")
    causes = field.needed_one_of(f"{at}.operator", operator, ("In", "NotIn"))
    template = (spec.get("template") or {}).get("spec") or {}
    known = {one.get("name") for kind in ("containers", "initContainers") for one in template.get(kind) or ()}
    if container is not None and container not in known:
        detail = "must be one of the container or initContainer names in the pod template"
        causes.append(field.invalid(f"{at}.containerName", container, detail))
    if not values:
        causes.append(field.invalid(f"{at}.values", values, "at least one value is required"))
    elif len(values) > MAX_EXIT_CODES:
        causes.append(field.too_many(f"{at}.values", len(values), MAX_EXIT_CODES))
    for i, value in enumerate(values):
        if operator == "In" and value == 0:
            causes.append(field.invalid(f"{at}.values[{i}]", value, "must not be 0 for the In operator"))
        if value in values[:i]:
            causes.append(field.duplicate(f"{at}.values[{i}]", value))
    if values != sorted(values):
        causes.append(field.invalid(f"{at}.values", values, "must be ordered"))
    return causes


def _success_causes(spec: Object, policy: Object, at: str) -> list[Cause]:
    rules = policy.get("rules") or []
    causes = [] if spec.get("completionMode") == "Indexed" else [_whole(at, "requires indexed completion mode")]
    if not rules:
        detail = "at least one rules must be specified when the successPolicy is specified"
        causes.append(field.required(f"{at}.rules", detail))
    if len(rules) > MAX_RULES:
        causes.append(field.too_many(f"{at}.rules", len(rules), MAX_RULES))
    for i, rule in enumerate(rules):
        count = rule.get("succeededCount")
        if count is None and not rule.get("succeededIndexes"):
            detail = "at least one of succeededCount or succeededIndexes must be specified"
            causes.append(field.required(f"{at}.rules[{i}]", detail))
        causes += field.non_negative(f"{at}.rules[{i}].succeededCount", count)
        if count is not None and spec.get("completions") is not None and count > spec["completions"]:
            detail = f"must be less than or equal to {spec['completions']} (the number of specified completions)"
            causes.append(field.invalid(f"{at}.rules[{i}].succeededCount", count, detail))
    return causes


def _whole(at: str, detail: str) -> Cause:
    """A cause that shows no value: it is about several fields together."""
    return Cause("FieldValueInvalid", f"Invalid value: {detail}", at)

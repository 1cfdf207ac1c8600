"""Metrics and behaviour of a HorizontalPodAutoscaler.

Source: autoscaling/v2's documentation, and Kubernetes' validation. Neighbours: `policy`.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field, quantities
from actors.apiserver.machinery.kinds.placement import label_selector_causes

MAX_WINDOW_S = 3600
MAX_PERIOD_S = 1800
_SOURCES = {
    "ContainerResource": "containerResource", "External": "external", "Object": "object", "Pods": "pods",
    "Resource": "resource",
}  # fmt: skip
_TARGETS = ("AverageValue", "Utilization", "Value")

Object = dict[str, Any]


def segment_causes(name: str, path: str, missing: str = "") -> list[Cause]:
    """Return what is wrong with a name that becomes a part of a path."""
    return field.messages(path, name, names.path_segment(name)) if name else [field.required(path, missing)]


def metric_causes(metric: Object, at: str) -> list[Cause]:
    """Return what is wrong with one metric."""
    kind = metric.get("type", "")
    if not kind:
        return [field.required(f"{at}.type", "must specify a metric source type")]
    if kind not in _SOURCES:
        return [field.not_supported(f"{at}.type", kind, _SOURCES)]
    wanted = _SOURCES[kind]
    causes = [
        field.forbidden(f"{at}.{name}", "must populate the given metric source only")
        for name in _SOURCES.values()
        if name != wanted and metric.get(name) is not None
    ]
    source = metric.get(wanted)
    if source is None:
        return [*causes, field.required(f"{at}.{wanted}", "must populate information for the given metric source")]
    return causes + _source_causes(wanted, source, f"{at}.{wanted}")


def _source_causes(name: str, source: Object, at: str) -> list[Cause]:
    target = source.get("target") or {}
    causes: list[Cause] = []
    if name in ("resource", "containerResource"):
        if not source.get("name"):
            causes.append(field.required(f"{at}.name", "must specify a resource name"))
        if name == "containerResource" and not source.get("container"):
            causes.append(field.required(f"{at}.container", "must specify a container"))
        return causes + _target_causes(target, f"{at}.target") + _of_resource_causes(target, f"{at}.target")
    metric = (source.get("metric") or {}).get("name", "")
    causes += segment_causes(metric, f"{at}.metric.name", "must specify a metric name")
    causes += label_selector_causes((source.get("metric") or {}).get("selector"), f"{at}.metric.selector")
    if name == "object":
        described = source.get("describedObject") or {}
        for part in ("kind", "name"):
            causes += segment_causes(described.get(part, ""), f"{at}.describedObject.{part}")
    causes += _target_causes(target, f"{at}.target")
    value, average = target.get("value"), target.get("averageValue")
    if name == "pods" and average is None:
        detail = "must specify a positive target averageValue"
        causes.append(field.required(f"{at}.target.averageValue", detail))
    elif name == "object" and value is None and average is None:
        detail = "must set either a target value or averageValue"
        causes.append(field.required(f"{at}.target.averageValue", detail))
    elif name == "external" and value is None and average is None:
        detail = "must set either a target value for metric or a per-pod target"
        causes.append(field.required(f"{at}.target.averageValue", detail))
    elif name == "external" and value is not None and average is not None:
        detail = "may not set both a target value for metric and a per-pod target"
        causes.append(field.forbidden(f"{at}.target.value", detail))
    return causes


def _target_causes(target: Object, at: str) -> list[Cause]:
    kind = target.get("type", "")
    if not kind:
        return [field.required(f"{at}.type", "must specify a metric target type")]
    causes = field.one_of(f"{at}.type", kind, _TARGETS)
    for name in ("value", "averageValue"):
        if target.get(name) is not None and quantities.amount(target[name]) <= 0:
            causes.append(field.invalid(f"{at}.{name}", target[name], "must be positive"))
    percent = target.get("averageUtilization")
    if percent is not None and percent < 1:
        causes.append(field.invalid(f"{at}.averageUtilization", percent, "must be greater than 0"))
    return causes


def _of_resource_causes(target: Object, at: str) -> list[Cause]:
    percent, average = target.get("averageUtilization"), target.get("averageValue")
    if percent is None and average is None:
        return [
            field.required(f"{at}.averageUtilization", "must set either a target raw value or a target utilization")
        ]
    if percent is not None and average is not None:
        return [field.forbidden(f"{at}.averageValue", "may not set both a target raw value and a target utilization")]
    return []


def rules_causes(rules: Object, at: str) -> list[Cause]:
    """Return what is wrong with how to scale in one direction."""
    causes: list[Cause] = []
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        causes.append(
            field.invalid(f"{at}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
        )
    if window is not None and window > MAX_WINDOW_S:
        detail = f"must be less than or equal to {MAX_WINDOW_S}"
        causes.append(field.invalid(f"{at}.stabilizationWindowSeconds", window, detail))
    if rules.get("selectPolicy") is not None:
        causes += field.one_of(f"{at}.selectPolicy", rules["selectPolicy"], ("Disabled", "Max", "Min"))
    if (tolerance := rules.get("tolerance")) is not None and quantities.amount(tolerance) < 0:
        detail = "must be greater than or equal to 0"
        causes.append(field.invalid(f"{at}.tolerance", tolerance, detail))
    if not rules.get("policies"):
        causes.append(field.required(f"{at}.policies", "must specify at least one Policy"))
    for i, policy in enumerate(rules.get("policies") or ()):
        causes += _policy_causes(policy, f"{at}.policies[{i}]")
    return causes


def _policy_causes(policy: Object, at: str) -> list[Cause]:
    causes = field.one_of(f"{at}.type", policy.get("type", ""), ("Percent", "Pods"))
    for name in ("value", "periodSeconds"):
        if policy.get(name, 0) <= 0:
            causes.append(field.invalid(f"{at}.{name}", policy.get(name, 0), "must be greater than zero"))
    if policy.get("periodSeconds", 0) > MAX_PERIOD_S:
        detail = f"must be less than or equal to {MAX_PERIOD_S}"
        causes.append(field.invalid(f"{at}.periodSeconds", policy["periodSeconds"], detail))
    return causes

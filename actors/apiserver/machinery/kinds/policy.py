"""PodDisruptionBudget, PriorityClass, ResourceQuota, LimitRange, HorizontalPodAutoscaler."""

from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.amounts import limit_causes, quota_causes
from actors.apiserver.machinery.kinds.conditions import condition_causes
from actors.apiserver.machinery.kinds.placement import label_selector_causes
from actors.apiserver.machinery.kinds.quota_scopes import scope_causes
from actors.apiserver.machinery.kinds.scaling_rules import metric_causes, rules_causes, segment_causes
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.kinds.workloads import int_or_percent_causes
from actors.apiserver.machinery.resource import Strategy

HIGHEST_USER_PRIORITY = 1_000_000_000  # priorities above are the system's own
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_DEFAULT_UTILIZATION_PERCENT = 80
_SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


class PodDisruptionBudgetStrategy(WithStatus):
    counts = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj.get("spec") or {}
        causes = label_selector_causes(spec.get("selector"), "spec.selector")
        for name in ("minAvailable", "maxUnavailable"):
            causes += int_or_percent_causes(spec.get(name), f"spec.{name}", 100)
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            causes.append(field.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
        if policy := spec.get("unhealthyPodEvictionPolicy"):
            causes += field.one_of("spec.unhealthyPodEvictionPolicy", policy, ("IfHealthyBudget", "AlwaysAllow"))
        return causes

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        status = obj["status"]
        causes = [cause for name in self.counts for cause in field.non_negative(f"status.{name}", status[name])]
        return causes + condition_causes(status.get("conditions"), "status.conditions")


class PriorityClassStrategy(Strategy):
    def default(self, obj: dict[str, Any]) -> None:
        obj.setdefault("value", 0)
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
        causes = []
        if name.startswith("system-"):
            if _SYSTEM_PRIORITIES.get(name) != value:
                detail = "priority class names with 'system-' prefix are reserved for system use only"
                causes.append(field.forbidden("metadata.name", detail))
        elif value > HIGHEST_USER_PRIORITY:
            detail = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
            causes.append(field.forbidden("value", detail))
        return causes + field.one_of("preemptionPolicy", obj["preemptionPolicy"], ("Never", "PreemptLowerPriority"))

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return [
            field.immutable(name, obj.get(name))
            for name in ("value", "preemptionPolicy")
            if obj.get(name, 0) != old.get(name, 0)
        ]


class ResourceQuotaStrategy(WithStatus):
    tracks_generation = False

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        causes: list[Cause] = []
        for name, amount in ((obj.get("spec") or {}).get("hard") or {}).items():
            causes += quota_causes(name, amount, f"spec.hard[{name}]")
        return causes + scope_causes(obj.get("spec") or {})

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        after, before = (obj.get("spec") or {}).get("scopes"), (old.get("spec") or {}).get("scopes")
        return [] if sorted(after or ()) == sorted(before or ()) else [field.immutable("spec.scopes", after)]


class LimitRangeStrategy(Strategy):
    allow_create_on_update = True

    def default(self, obj: dict[str, Any]) -> None:
        """For containers: what has a maximum has that as its default, and what has a default requests as much."""
        for item in (obj.get("spec") or {}).get("limits") or ():
            if item.get("type") != "Container":
                continue
            defaults, requests = item.setdefault("default", {}), item.setdefault("defaultRequest", {})
            for name, amount in (item.get("max") or {}).items():
                defaults.setdefault(name, amount)
            for source in (defaults, item.get("min") or {}):
                for name, amount in source.items():
                    requests.setdefault(name, amount)

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        causes: list[Cause] = []
        seen: set[str] = set()
        for i, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
            at, kind = f"spec.limits[{i}]", item.get("type", "")
            if kind in seen:
                causes.append(field.duplicate(f"{at}.type", kind))
            seen.add(kind)
            causes += limit_causes(item, at)
        return causes


class HorizontalPodAutoscalerStrategy(WithStatus):
    """autoscaling/v2."""

    tracks_generation = False
    counts = ("desiredReplicas",)

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("minReplicas", 1)
        if not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": _DEFAULT_UTILIZATION_PERCENT}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        behavior = spec.get("behavior")
        if behavior is not None:
            for name, rules in (("scaleUp", _SCALE_UP), ("scaleDown", _SCALE_DOWN)):
                chosen = behavior.setdefault(name, {})
                for key, value in rules.items():
                    chosen.setdefault(key, value)

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj["spec"]
        least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
        causes = []
        if least < 1:
            causes.append(field.invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
        if most < 1:
            causes.append(field.invalid("spec.maxReplicas", most, "must be greater than 0"))
        elif most < least:
            causes.append(field.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
        target = spec.get("scaleTargetRef") or {}
        for name in ("kind", "name"):
            causes += segment_causes(target.get(name, ""), f"spec.scaleTargetRef.{name}")
        for i, metric in enumerate(spec.get("metrics") or ()):
            causes += metric_causes(metric, f"spec.metrics[{i}]")
        for name, rules in (spec.get("behavior") or {}).items():
            causes += rules_causes(rules, f"spec.behavior.{name}")
        return causes

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        status = obj["status"]
        numbers = ("currentReplicas", "desiredReplicas")
        return [cause for name in numbers for cause in field.non_negative(f"status.{name}", status.get(name))]

"""HorizontalPodAutoscaler in its first form: autoscaling/v1 is converted from and to autoscaling/v2, which is stored.

The first form knows one metric, the processor's utilization. All else that the second one has travels as JSON in
annotations, whose metrics are in the first form's own shape, so that nothing is lost on the way there and back.

Source: Kubernetes' conversion of autoscaling/v1. Neighbours: `policy` has the second form's strategy.
"""

from typing import Any

import orjson

from actors.api.errors import Cause
from actors.apiserver.machinery.kinds.policy import HorizontalPodAutoscalerStrategy
from actors.apiserver.machinery.resource import Conversion

Object = dict[str, Any]

PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, CURRENT_METRICS = PREFIX + "metrics", PREFIX + "current-metrics"
CONDITIONS, BEHAVIOR = PREFIX + "conditions", PREFIX + "behavior"
_ANNOTATIONS = (METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR)
_SOURCES = ("resource", "containerResource", "pods", "object", "external")
_SELECTORS = {"external": "metricSelector"}  # what the first form calls a metric's selector; otherwise `selector`

# the first form's name: the second's, of a metric's target and of its current value
_TARGETS = {
    "targetAverageUtilization": "averageUtilization",
    "targetAverageValue": "averageValue",
    "targetValue": "value",
}
_CURRENTS = {
    "currentAverageUtilization": "averageUtilization",
    "currentAverageValue": "averageValue",
    "currentValue": "value",
}
_OF_OBJECT = {"averageValue": "averageValue"}  # an object's average has no prefix in the first form
_TYPES = {"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}


def _old_metric(metric: Object, part: str, names: dict[str, str]) -> Object:
    """Return a metric of the second form as the first one has it. `part` is `target` or `current`."""
    made: Object = {"type": metric.get("type", "")}
    for source in _SOURCES:
        if source not in metric:
            continue
        inner = metric[source]
        values = inner.get(part) or {}
        known = {**{value: name for name, value in names.items()}, **(_OF_OBJECT if source == "object" else {})}
        old = {known[name]: value for name, value in values.items() if name in known}
        old |= {name: inner[name] for name in ("name", "container") if name in inner}
        if "describedObject" in inner:
            old["target"] = inner["describedObject"]
        if "metric" in inner:
            old["metricName"] = inner["metric"].get("name", "")
            if "selector" in inner["metric"]:
                old[_SELECTORS.get(source, "selector")] = inner["metric"]["selector"]
        made[source] = old
    return made


def _new_metric(metric: Object, part: str, names: dict[str, str]) -> Object:
    """The way back."""
    made: Object = {"type": metric.get("type", "")}
    for source in _SOURCES:
        if source not in metric:
            continue
        old = metric[source]
        known = names | (_OF_OBJECT if source == "object" else {})
        values = {new: old[name] for name, new in known.items() if name in old}
        inner = {name: old[name] for name in ("name", "container") if name in old}
        if "target" in old:
            inner["describedObject"] = old["target"]
        if "metricName" in old:
            selector = old.get(_SELECTORS.get(source, "selector"))
            inner["metric"] = {"name": old["metricName"], **({"selector": selector} if selector else {})}
        if part == "target":
            values = {"type": next((_TYPES[name] for name in _TYPES if name in values), ""), **values}
        made[source] = {**inner, part: values}
    return made


def _is_processor(metric: Object, part: str) -> bool:
    resource = metric.get("resource") or {}
    found = resource.get("name") == "cpu" and "averageUtilization" in (resource.get(part) or {})
    return metric.get("type") == "Resource" and found


def _take_processor(metrics: list[Object], part: str) -> tuple[int | None, list[Object]]:
    """Return the processor's utilization, of the first metric that is it, and the other metrics."""
    for place, metric in enumerate(metrics):
        if _is_processor(metric, part):
            return metric["resource"][part]["averageUtilization"], metrics[:place] + metrics[place + 1 :]
    return None, metrics


def from_stored(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = {k: v for k, v in (obj["metadata"].get("annotations") or {}).items() if k not in _ANNOTATIONS}

    def keep(name: str, value: Any) -> None:
        if value:
            annotations[name] = orjson.dumps(value).decode()

    percent, others = _take_processor(spec.pop("metrics", None) or [], "target")
    keep(METRICS, [_old_metric(metric, "target", _TARGETS) for metric in others])
    keep(BEHAVIOR, spec.pop("behavior", None))
    if percent is not None:
        spec["targetCPUUtilizationPercentage"] = percent
    current, others = _take_processor(status.pop("currentMetrics", None) or [], "current")
    keep(CURRENT_METRICS, [_old_metric(metric, "current", _CURRENTS) for metric in others])
    keep(CONDITIONS, status.pop("conditions", None))
    if current is not None:
        status["currentCPUUtilizationPercentage"] = current
    return _put_together(obj, "autoscaling/v1", annotations, spec, status)


def to_stored(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = dict(obj["metadata"].get("annotations") or {})
    kept = {name: _read(annotations.pop(name, "")) for name in _ANNOTATIONS}
    metrics = _metrics(kept[METRICS], "target", _TARGETS)
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        spec["metrics"] = metrics
    if isinstance(kept[BEHAVIOR], dict):
        spec["behavior"] = kept[BEHAVIOR]
    currents = _metrics(kept[CURRENT_METRICS], "current", _CURRENTS)
    current = status.pop("currentCPUUtilizationPercentage", None)
    if current is not None:
        now = {"averageUtilization": current}
        currents.insert(0, {"type": "Resource", "resource": {"name": "cpu", "current": now}})
    if currents:
        status["currentMetrics"] = currents
    if isinstance(kept[CONDITIONS], list):
        status["conditions"] = kept[CONDITIONS]
    return _put_together(obj, "autoscaling/v2", annotations, spec, status)


def _read(text: str) -> Any:
    """Return what an annotation holds. It is the writer's own; nonsense in it is as good as nothing."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _metrics(found: Any, part: str, names: dict[str, str]) -> list[Object]:
    metrics = found if isinstance(found, list) else []
    well_formed = [
        metric
        for metric in metrics
        if isinstance(metric, dict) and all(isinstance(metric.get(source, {}), dict) for source in _SOURCES)
    ]
    return [_new_metric(metric, part, names) for metric in well_formed]


def _put_together(obj: Object, api_version: str, annotations: Object, spec: Object, status: Object) -> Object:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    made = {**obj, "apiVersion": api_version, "metadata": metadata, "spec": spec}
    return {**made, "status": status} if "status" in obj else made


AS_V2 = Conversion("autoscaling", "v2", to_stored, from_stored)


class FirstAutoscalerStrategy(HorizontalPodAutoscalerStrategy):
    """autoscaling/v1: held to what the second form demands, in which the object will be stored."""

    def default(self, obj: Object) -> None:
        stored = to_stored(obj)
        super().default(stored)
        made = from_stored(stored)
        obj["spec"] = made["spec"]
        if "annotations" in made["metadata"]:
            obj["metadata"]["annotations"] = made["metadata"]["annotations"]

    def validate(self, obj: Object) -> list[Cause]:
        return super().validate(to_stored(obj))

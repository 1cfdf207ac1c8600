"""HorizontalPodAutoscaler in its two forms: what the first cannot say is kept for the second."""

import json

from actors.apiserver.machinery.kinds import autoscaling
from actors.apiserver.machinery.kinds.autoscaling import FirstAutoscalerStrategy, from_stored, to_stored
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.table import to_table

METRIC = {"name": "requests", "selector": {"matchLabels": {"a": "b"}}}
TARGET = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
PROCESSOR = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}
METRICS = [
    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
    {
        "type": "ContainerResource",
        "containerResource": {
            "name": "cpu",
            "container": "c",
            "target": {"type": "Utilization", "averageUtilization": 60},
        },
    },
    {"type": "Pods", "pods": {"metric": METRIC, "target": {"type": "AverageValue", "averageValue": "1k"}}},
    {
        "type": "Object",
        "object": {"describedObject": TARGET, "metric": METRIC, "target": {"type": "Value", "value": "10"}},
    },
    {"type": "External", "external": {"metric": METRIC, "target": {"type": "AverageValue", "averageValue": "30"}}},
]
STATUS = {
    "currentReplicas": 1,
    "currentMetrics": [
        {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 20}}},
        {"type": "Pods", "pods": {"metric": METRIC, "current": {"averageValue": "2k"}}},
    ],
    "conditions": [{"type": "AbleToScale", "status": "True"}],
}


def stored(*metrics: dict, **fields: object) -> dict:
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 3, "minReplicas": 1, "metrics": list(metrics)}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "x"},
        "spec": spec,
    } | fields


def test_there_and_back():
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    obj = stored(PROCESSOR, *METRICS, status=STATUS)
    obj["spec"]["behavior"] = behavior
    first = from_stored(obj)
    assert first["apiVersion"] == "autoscaling/v1"
    assert first["spec"] == {
        "scaleTargetRef": TARGET,
        "maxReplicas": 3,
        "minReplicas": 1,
        "targetCPUUtilizationPercentage": 50,
    }
    assert first["status"] == {"currentReplicas": 1, "currentCPUUtilizationPercentage": 20}
    assert to_stored(first) == obj


def test_the_annotations_are_in_the_first_forms_words():
    annotations = from_stored(stored(*METRICS))["metadata"]["annotations"]
    found = json.loads(annotations[autoscaling.METRICS])
    selector = METRIC["selector"]
    assert found == [
        {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}},
        {
            "type": "ContainerResource",
            "containerResource": {"name": "cpu", "container": "c", "targetAverageUtilization": 60},
        },
        {"type": "Pods", "pods": {"metricName": "requests", "selector": selector, "targetAverageValue": "1k"}},
        {
            "type": "Object",
            "object": {"target": TARGET, "metricName": "requests", "selector": selector, "targetValue": "10"},
        },
        {
            "type": "External",
            "external": {"metricName": "requests", "metricSelector": selector, "targetAverageValue": "30"},
        },
    ]


def test_nonsense_in_annotations_is_dropped():
    obj = from_stored(stored())
    obj["metadata"]["annotations"] = {autoscaling.METRICS: '[1, {"pods": 2}]', autoscaling.BEHAVIOR: "{", "mine": "x"}
    found = to_stored(obj)
    assert found["metadata"]["annotations"] == {"mine": "x"}
    assert "metrics" not in found["spec"] and "behavior" not in found["spec"]


def test_the_first_form_has_the_seconds_defaults_and_rules():
    obj = from_stored(stored())
    del obj["spec"]["minReplicas"]
    strategy = FirstAutoscalerStrategy()
    strategy.default(obj)
    assert (obj["spec"]["minReplicas"], obj["spec"]["targetCPUUtilizationPercentage"]) == (1, 80)
    obj["spec"]["maxReplicas"] = 0
    assert [cause.field for cause in strategy.validate(obj)] == ["spec.maxReplicas"]


def test_both_forms_look_alike_in_a_table():
    cells = []
    for version, obj in (("v2", stored(PROCESSOR)), ("v1", from_stored(stored(PROCESSOR)))):
        resource = REGISTRY.lookup("autoscaling", version, "horizontalpodautoscalers")
        assert resource is not None
        cells.append(to_table(resource, [obj], 0.0, "None", {})["rows"][0]["cells"])
    assert cells[0] == cells[1]
    assert cells[0][2] == "cpu: <unknown>/50%"

# ruff: noqa: E501 - a table reads best with one case a line
"""Objects that exist while fuzzers patch them, and where they are."""

from typing import Any

HERE = "/namespaces/default"
CONTAINER = {
    "name": "c", "image": "i:1", "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}],
    "env": [{"name": "A", "value": "1"}], "resources": {"requests": {"cpu": "100m"}}, "args": ["x"],
}  # fmt: skip
TEMPLATE = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [CONTAINER], "tolerations": [{"operator": "Exists"}]},
}


def _named(kind: str, api_version: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": "f", "labels": {"app": "a"}, "annotations": {"n": "1"}, "finalizers": ["example.org/hold"]}
    return {"kind": kind, "apiVersion": api_version, "metadata": metadata, **more}


OBJECTS: dict[str, dict[str, Any]] = {
    f"/api/v1{HERE}/configmaps": _named("ConfigMap", "v1", data={"a": "1"}),
    f"/api/v1{HERE}/secrets": _named("Secret", "v1", data={"a": "YQ=="}),
    f"/api/v1{HERE}/services": _named(
        "Service", "v1", spec={"ports": [{"name": "p", "port": 80}, {"name": "q", "port": 81}], "selector": {"app": "a"}}
    ),
    f"/api/v1{HERE}/pods": _named(
        "Pod", "v1", spec={**TEMPLATE["spec"], "volumes": [{"name": "v", "emptyDir": {}}]}
    ),
    f"/apis/apps/v1{HERE}/deployments": _named(
        "Deployment", "apps/v1", spec={"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE}
    ),
    f"/apis/batch/v1{HERE}/jobs": _named(
        "Job", "batch/v1", spec={"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}
    ),
    f"/apis/networking.k8s.io/v1{HERE}/networkpolicies": _named(
        "NetworkPolicy", "networking.k8s.io/v1", spec={"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}
    ),
    f"/apis/rbac.authorization.k8s.io/v1{HERE}/roles": _named(
        "Role", "rbac.authorization.k8s.io/v1", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    ),
    f"/apis/autoscaling/v2{HERE}/horizontalpodautoscalers": _named(
        "HorizontalPodAutoscaler", "autoscaling/v2",
        spec={"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "f"}},
    ),
    "/api/v1/nodes": _named("Node", "v1", spec={"taints": [{"key": "k", "effect": "NoSchedule"}]}),
}  # fmt: skip
PARTS = {
    f"/api/v1{HERE}/pods": ["status", "resize", "ephemeralcontainers"],
    f"/apis/apps/v1{HERE}/deployments": ["status", "scale"],
    f"/api/v1{HERE}/services": ["status"],
    "/api/v1/nodes": ["status"],
}

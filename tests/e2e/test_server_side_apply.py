"""Server-side apply with the real kubectl: ownership, conflicts, force, diff, and the move from client-side apply."""

import json
from typing import Any

import pytest

from tests.cluster import Cluster

pytestmark = pytest.mark.timeout(120)

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: web
          image: {image}
          ports: [{{containerPort: 80}}]
"""
CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}}}
data: {data}
"""
SERVER_SIDE = ("apply", "--server-side", "-f", "-")


def deployment(name: str, replicas: int = 1, image: str = "nginx:1.27") -> str:
    return DEPLOYMENT.format(name=name, replicas=replicas, image=image)


def config_map(name: str, **data: str) -> str:
    return CONFIG_MAP.format(name=name, data=json.dumps(data))


def shown(cluster: Cluster, *words: str) -> dict[str, Any]:
    return json.loads(cluster.kubectl("get", *words, "-o", "json", "--show-managed-fields"))


def entries(cluster: Cluster, *words: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The managed fields by manager, operation and subresource."""
    found = shown(cluster, *words)["metadata"].get("managedFields", ())
    return {(e["manager"], e["operation"], e.get("subresource", "")): e["fieldsV1"] for e in found}


def refused(cluster: Cluster, *words: str, stdin: str) -> str:
    return cluster.run("kubectl", *words, stdin=stdin, status=1).stderr


def test_apply_creates_and_then_changes_nothing(simulated_cluster):
    cluster = simulated_cluster
    said = cluster.kubectl(*SERVER_SIDE, stdin=config_map("plain", a="1"))
    assert said == "configmap/plain serverside-applied\n"
    first = shown(cluster, "configmap", "plain")
    cluster.kubectl(*SERVER_SIDE, stdin=config_map("plain", a="1"))
    assert shown(cluster, "configmap", "plain") == first
    (entry,) = first["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {"f:data": {"f:a": {}}}
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("kubectl", "Apply", "v1")


def test_what_is_no_longer_applied_goes(simulated_cluster):
    cluster = simulated_cluster
    cluster.kubectl(*SERVER_SIDE, stdin=config_map("shrinks", a="1", b="2"))
    cluster.kubectl(*SERVER_SIDE, "--field-manager=other", stdin=config_map("shrinks", b="2", c="3"))
    cluster.kubectl(*SERVER_SIDE, stdin=config_map("shrinks", a="1"))
    assert cluster.get("configmap", "shrinks")["data"] == {"a": "1", "b": "2", "c": "3"}
    cluster.kubectl(*SERVER_SIDE, "--field-manager=other", stdin=config_map("shrinks", c="3"))
    assert cluster.get("configmap", "shrinks")["data"] == {"a": "1", "c": "3"}


def test_a_conflict_names_manager_and_field_until_forced(simulated_cluster):
    cluster = simulated_cluster
    cluster.kubectl(*SERVER_SIDE, stdin=deployment("contested", replicas=1))
    cluster.kubectl("scale", "deployment", "contested", "--replicas=2")
    owned = entries(cluster, "deployment", "contested")
    assert owned["kubectl", "Update", "scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owned["kubectl", "Apply", ""]["f:spec"]
    said = refused(cluster, *SERVER_SIDE, stdin=deployment("contested", replicas=1))
    assert 'Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1' in said
    assert ".spec.replicas" in said and "--force-conflicts" in said
    cluster.kubectl(*SERVER_SIDE, "--force-conflicts", stdin=deployment("contested", replicas=1))
    assert cluster.get("deployment", "contested")["spec"]["replicas"] == 1
    assert ("kubectl", "Update", "scale") not in entries(cluster, "deployment", "contested")


def test_components_own_what_they_write(simulated_cluster):
    cluster = simulated_cluster
    cluster.kubectl(*SERVER_SIDE, stdin=deployment("owned"))
    cluster.kubectl("rollout", "status", "deployment/owned", "--timeout=60s", limit_s=70)
    status = entries(cluster, "deployment", "owned")["kube-controller-manager", "Update", "status"]
    assert "f:readyReplicas" in status["f:status"] and "f:spec" not in status
    name = cluster.get("pods", "-l", "app=owned")["items"][0]["metadata"]["name"]
    of_pod = entries(cluster, "pod", name)
    assert "f:containers" in of_pod["kube-controller-manager", "Update", ""]["f:spec"]
    assert "f:nodeName" not in of_pod["kube-controller-manager", "Update", ""]["f:spec"]
    assert "f:phase" in of_pod["kubelet", "Update", "status"]["f:status"]


def test_unknown_fields_are_refused(simulated_cluster):
    text = deployment("typo").replace("replicas:", "replicsa:")
    said = refused(simulated_cluster, *SERVER_SIDE, stdin=text)
    assert ".spec.replicsa: field not declared in schema" in said


def test_diff_shows_what_would_change_and_changes_nothing(simulated_cluster):
    cluster = simulated_cluster
    cluster.kubectl(*SERVER_SIDE, stdin=deployment("diffed"))
    before = shown(cluster, "deployment", "diffed")["metadata"]["generation"]
    same = cluster.run("kubectl", "diff", "--server-side", "-f", "-", stdin=deployment("diffed"), status=0)
    assert same.stdout == ""
    other = deployment("diffed", image="nginx:1.28")
    said = cluster.run("kubectl", "diff", "--server-side", "-f", "-", stdin=other, status=1).stdout
    assert "-      - image: nginx:1.27" in said and "+      - image: nginx:1.28" in said
    new = cluster.run("kubectl", "diff", "--server-side", "-f", "-", stdin=deployment("not-yet"), status=1).stdout
    assert "+  name: not-yet" in new
    assert shown(cluster, "deployment", "diffed")["metadata"]["generation"] == before


def test_dry_run_changes_nothing(simulated_cluster):
    cluster = simulated_cluster
    said = cluster.kubectl(*SERVER_SIDE, "--dry-run=server", stdin=config_map("dry", a="1"))
    assert said == "configmap/dry serverside-applied (server dry run)\n"
    assert "NotFound" in cluster.run("kubectl", "get", "configmap", "dry", status=1).stderr


def test_a_client_side_apply_goes_over_to_the_server(simulated_cluster):
    cluster = simulated_cluster
    cluster.apply(deployment("moves", replicas=1))
    assert ("kubectl-client-side-apply", "Update", "") in entries(cluster, "deployment", "moves")
    cluster.kubectl(*SERVER_SIDE, stdin=deployment("moves", replicas=2))
    found = shown(cluster, "deployment", "moves")
    assert found["spec"]["replicas"] == 2
    owned = entries(cluster, "deployment", "moves")
    assert ("kubectl-client-side-apply", "Update", "") not in owned
    assert "f:replicas" in owned["kubectl", "Apply", ""]["f:spec"]
    last = found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert json.loads(last)["spec"]["replicas"] == 2
    without_labels = deployment("moves", replicas=2).replace("labels: {app: moves}\nspec", "\nspec")
    cluster.kubectl(*SERVER_SIDE, stdin=without_labels)
    assert "labels" not in cluster.get("deployment", "moves")["metadata"]
    cluster.apply(deployment("moves", replicas=3))
    assert cluster.get("deployment", "moves")["spec"]["replicas"] == 3


def test_a_status_is_applied_through_its_subresource(simulated_cluster):
    cluster = simulated_cluster
    cluster.kubectl(*SERVER_SIDE, stdin=deployment("with-status"))
    status = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: with-status}
spec: {replicas: 7}
status:
  conditions:
    - {type: Example, status: "True", lastTransitionTime: "2026-01-01T00:00:00Z", reason: Told, message: ""}
"""
    words = ("--subresource=status", "--field-manager=teller")
    cluster.kubectl(*SERVER_SIDE, *words, stdin=status)
    found = cluster.get("deployment", "with-status")
    assert found["spec"]["replicas"] == 1
    assert "Example" in [condition["type"] for condition in found["status"]["conditions"]]
    owned = entries(cluster, "deployment", "with-status")["teller", "Apply", "status"]
    assert list(owned) == ["f:status"] and 'k:{"type":"Example"}' in owned["f:status"]["f:conditions"]


def test_managed_fields_are_hidden_unless_wanted(simulated_cluster):
    cluster = simulated_cluster
    cluster.kubectl(*SERVER_SIDE, stdin=config_map("hidden", a="1"))
    assert "managedFields" not in cluster.kubectl("get", "configmap", "hidden", "-o", "yaml")
    assert "managedFields" in cluster.kubectl("get", "configmap", "hidden", "-o", "yaml", "--show-managed-fields")


def test_who_edits_owns(simulated_cluster):
    cluster = simulated_cluster
    cluster.kubectl(*SERVER_SIDE, stdin=config_map("edited", a="1"))
    cluster.kubectl("patch", "configmap", "edited", "--type=merge", "-p", '{"data": {"a": "2"}}')
    said = refused(cluster, *SERVER_SIDE, stdin=config_map("edited", a="1"))
    assert 'conflict with "kubectl-patch" using v1: .data.a' in said
    cluster.kubectl("label", "configmap", "edited", "x=y")
    assert entries(cluster, "configmap", "edited")["kubectl-label", "Update", ""] == {
        "f:metadata": {"f:labels": {".": {}, "f:x": {}}}
    }


def test_managed_fields_can_be_dropped(simulated_cluster):
    cluster = simulated_cluster
    cluster.kubectl(*SERVER_SIDE, stdin=config_map("dropped", a="1"))
    reset = '[{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]'
    cluster.kubectl("patch", "configmap", "dropped", "--type=json", "-p", reset)
    assert entries(cluster, "configmap", "dropped") == {}
    cluster.kubectl(*SERVER_SIDE, stdin=config_map("dropped", a="1", b="2"))
    owned = entries(cluster, "configmap", "dropped")
    assert owned["before-first-apply", "Update", ""] == {"f:data": {".": {}, "f:a": {}}}
    assert owned["kubectl", "Apply", ""] == {"f:data": {"f:a": {}, "f:b": {}}}

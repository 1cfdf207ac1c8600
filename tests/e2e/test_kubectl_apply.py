"""kubectl's ways from a manifest to an object: apply, diff, edit, patch, replace, kustomize, prune."""

import json
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.e2e.kubectl import Kubectl

pytestmark = pytest.mark.timeout(120)

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: c, image: "i:1"}]}
"""
FROM_STDIN = ("-f", "-")


def deployment(name: str, replicas: int = 1) -> str:
    return MANIFEST.replace("NAME", name).replace("replicas: 1", f"replicas: {replicas}")


@pytest.fixture(scope="module")
def kubectl(shared_cluster: Cluster) -> Kubectl:
    shared_cluster.kubectl("create", "namespace", "kubectl-apply")
    return Kubectl(shared_cluster, "kubectl-apply")


def replicas(kubectl: Kubectl, name: str) -> int:
    return kubectl.get("deployment", name)["spec"]["replicas"]


def test_apply_remembers_what_was_applied(kubectl):
    assert kubectl("apply", *FROM_STDIN, stdin=deployment("a")) == "deployment.apps/a created"
    assert kubectl("apply", *FROM_STDIN, stdin=deployment("a")) == "deployment.apps/a unchanged"
    assert kubectl("apply", *FROM_STDIN, stdin=deployment("a", 2)) == "deployment.apps/a configured"
    assert "replicas: 2" in kubectl("apply", "view-last-applied", "deployment/a")
    kubectl("apply", "set-last-applied", *FROM_STDIN, stdin=deployment("a", 3))
    kubectl("apply", "edit-last-applied", "deployment/a", editor="sed -i s/i:1/i:9/")
    last = kubectl.get("deployment", "a")["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert json.loads(last)["spec"]["template"]["spec"]["containers"][0]["image"] == "i:9"
    assert replicas(kubectl, "a") == 2


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_a_dry_run_and_a_diff_change_nothing(kubectl, how):
    name = f"diff{len(how)}"
    kubectl("apply", *how, *FROM_STDIN, stdin=deployment(name))
    assert kubectl("diff", *how, *FROM_STDIN, stdin=deployment(name)) == ""
    lines = kubectl("diff", *how, *FROM_STDIN, stdin=deployment(name, 2), status=1).splitlines()
    assert {"-  replicas: 1", "+  replicas: 2"} <= set(lines)
    dry = kubectl("apply", *how, "--dry-run=server", "-o", "json", *FROM_STDIN, stdin=deployment(name, 2))
    assert json.loads(dry)["spec"]["replicas"] == 2
    assert replicas(kubectl, name) == 1


def test_edit_by_a_script(kubectl):
    kubectl("apply", *FROM_STDIN, stdin=deployment("e"))
    assert kubectl("edit", "deployment/e", editor="sed -i 's/replicas: 1$/replicas: 4/'").endswith("edited")
    assert replicas(kubectl, "e") == 4
    assert "Edit cancelled" in kubectl.said("edit", "deployment/e", editor="true").stderr
    wrong = kubectl.refused("edit", "deployment/e", editor="sed -i 's/replicas: 4$/replicas: many/'")
    assert "replicas" in wrong
    more = "sed -i 's/^status:$/status:\\n  collisionCount: 7/; s/replicas: 4$/replicas: 5/'"
    kubectl("edit", "deployment/e", "--subresource=status", editor=more)
    edited = kubectl.get("deployment", "e")
    assert (edited["status"]["collisionCount"], edited["spec"]["replicas"]) == (7, 4)


def test_patches_of_every_type(kubectl):
    kubectl("apply", *FROM_STDIN, stdin=deployment("p"))
    containers = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}]}}}}
    kubectl("patch", "deployment", "p", "-p", json.dumps(containers))
    container = kubectl.get("deployment", "p")["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"]) == ("i:1", [{"name": "A", "value": "1"}])
    kubectl("patch", "deployment", "p", "--type=merge", "-p", "spec: {paused: true, replicas: 2}")
    operations = [{"op": "test", "path": "/spec/replicas", "value": 2}, {"op": "remove", "path": "/spec/paused"}]
    kubectl("patch", "deployment", "p", "--type=json", "-p", json.dumps(operations))
    assert "paused" not in kubectl.get("deployment", "p")["spec"]
    assert "testing value /spec/replicas failed" in kubectl.refused(
        "patch", "deployment", "p", "--type=json", "-p", '[{"op":"test","path":"/spec/replicas","value":7}]'
    )
    kubectl("patch", "deployment", "p", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":3}}')
    assert kubectl("get", "deployment", "p", "--subresource=scale", "-o", "jsonpath={.spec.replicas}") == "3"
    kubectl(
        "patch",
        "deployment",
        "p",
        "--subresource=status",
        "-p",
        '{"status":{"collisionCount":5}, "spec":{"replicas":9}}',
    )
    assert kubectl.get("deployment", "p")["status"]["collisionCount"] == 5
    assert replicas(kubectl, "p") == 3


def test_create_and_replace(kubectl):
    kubectl("create", "--save-config", *FROM_STDIN, stdin=deployment("r"))
    assert "already exists" in kubectl.refused("create", *FROM_STDIN, stdin=deployment("r"))
    before = kubectl.get("deployment", "r")["metadata"]["uid"]
    kubectl("replace", *FROM_STDIN, stdin=deployment("r", 2))
    assert kubectl.get("deployment", "r")["metadata"]["uid"] == before
    moved = deployment("r").replace("app: r", "app: other")
    assert "field is immutable" in kubectl.refused("replace", *FROM_STDIN, stdin=moved)
    kubectl("replace", "--force", *FROM_STDIN, stdin=moved)
    assert kubectl.get("deployment", "r")["metadata"]["uid"] != before


def test_kustomize(kubectl, tmp_path: Path):
    (tmp_path / "d.yaml").write_text(deployment("k"))
    kustomization = "resources: [d.yaml]\nnamePrefix: over-\nconfigMapGenerator: [{name: gen, literals: [a=b]}]\n"
    (tmp_path / "kustomization.yaml").write_text(kustomization)
    assert "name: over-k" in kubectl("kustomize", str(tmp_path))
    assert kubectl("apply", "-k", str(tmp_path)).count("created") == 2
    assert kubectl("diff", "-k", str(tmp_path)) == ""
    assert kubectl("get", "-k", str(tmp_path), "-o", "name").count("over-") == 2
    assert kubectl("delete", "-k", str(tmp_path)).count("deleted") == 2


@pytest.mark.parametrize("by", ["selector", "applyset"])
def test_prune_removes_what_is_applied_no_more(kubectl, by):
    def config_map(name: str) -> dict:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{by}-{name}", "labels": {"by": by}}}

    prune = {
        "selector": ["--prune", "-l", f"by={by}", "--prune-allowlist=core/v1/ConfigMap"],
        "applyset": ["--prune", f"--applyset={by}"],
    }[by]
    both = {"apiVersion": "v1", "kind": "List", "items": [config_map("one"), config_map("two")]}
    environment = {"KUBECTL_APPLYSET": "true"}
    kubectl("apply", *prune, *FROM_STDIN, stdin=json.dumps(both), environment=environment)
    said = kubectl("apply", *prune, *FROM_STDIN, stdin=json.dumps(config_map("one")), environment=environment)
    assert f"configmap/{by}-two pruned" in said
    assert kubectl("get", "configmaps", "-l", f"by={by}", "-o", "name") == f"configmap/{by}-one"


def test_generated_names_and_lists_of_many_kinds(kubectl):
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "plain"}, "stringData": {"a": "b"}},
    ]
    made = kubectl(
        "create", *FROM_STDIN, "-o", "name", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )
    assert made.startswith("configmap/g-")
    assert kubectl("get", "secret", "plain", "-o", "go-template={{.data.a | base64decode}}") == "b"

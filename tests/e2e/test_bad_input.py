"""What the user gets wrong is said clearly, in Kubernetes' words, and nothing stored is lost."""

import json
import re

import pytest

from tests.cluster import Cluster, eventually

pytestmark = pytest.mark.timeout(120)

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "1"}}


@pytest.fixture(scope="module", autouse=True)
def kept(simulated_cluster: Cluster):
    """An object that must be there, unchanged, after all that nonsense."""
    made = json.loads(simulated_cluster.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(CONFIG_MAP)))
    yield
    assert simulated_cluster.get("configmap", "kept") == made


def refused(cluster: Cluster, manifest: str, *words: str) -> str:
    done = cluster.run("kubectl", *(words or ("apply", "-f", "-")), stdin=manifest, status=None)
    assert done.returncode == 1, (done.stdout, done.stderr)
    return done.stderr


def test_a_manifest_that_is_not_yaml(simulated_cluster):
    assert "error converting YAML to JSON" in refused(simulated_cluster, "a: [1, 2")


def test_an_unknown_field_is_named(simulated_cluster):
    manifest = (
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {contaners: [], containers: [{name: a, image: b}]}}"
    )
    assert 'unknown field "spec.contaners"' in refused(simulated_cluster, manifest)


def test_a_mistyped_field_is_named(simulated_cluster):
    manifest = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: p}, spec: {replicas: three}}"
    assert "spec.replicas" in refused(simulated_cluster, manifest)


def test_every_invalid_field_is_named(simulated_cluster):
    manifest = (
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Maybe, containers: [{name: A_b}]}}"
    )
    said = refused(simulated_cluster, manifest)
    assert 'The Pod "p" is invalid' in said
    for field in ("spec.containers[0].name", "spec.containers[0].image", "spec.restartPolicy"):
        assert field in said


def test_an_unknown_kind(simulated_cluster):
    said = refused(simulated_cluster, "{apiVersion: v1, kind: Gadget, metadata: {name: g}}")
    assert 'no matches for kind "Gadget" in version "v1"' in said


def test_a_missing_namespace(simulated_cluster):
    manifest = json.dumps(CONFIG_MAP | {"metadata": {"name": "x", "namespace": "nowhere"}})
    assert 'namespaces "nowhere" not found' in refused(simulated_cluster, manifest, "create", "-f", "-")


def test_a_wrong_resource_version(simulated_cluster):
    manifest = json.dumps(CONFIG_MAP | {"metadata": {"name": "kept", "resourceVersion": "1"}, "data": {"a": "2"}})
    said = refused(simulated_cluster, manifest, "replace", "-f", "-")
    assert "the object has been modified; please apply your changes to the latest version" in said


def test_what_exists_already(simulated_cluster):
    said = refused(simulated_cluster, json.dumps(CONFIG_MAP), "create", "-f", "-")
    assert 'configmaps "kept" already exists' in said


def test_what_is_not_there(simulated_cluster):
    assert '(NotFound): pods "ghost" not found' in refused(simulated_cluster, "", "get", "pod", "ghost")


def test_an_unknown_token_is_unauthorized(simulated_cluster):
    done = simulated_cluster.run(
        "kubectl", "get", "pods", "--token=nonsense", "--kubeconfig", "/dev/null", "--insecure-skip-tls-verify",
        "--server", _server(simulated_cluster), status=1,
    )  # fmt: skip
    assert "Unauthorized" in done.stderr or "logged in" in done.stderr


def test_a_service_account_may_not_do_what_no_role_allows(simulated_cluster):
    token = simulated_cluster.kubectl("create", "token", "default").strip()
    done = simulated_cluster.run(
        "kubectl", "get", "secrets", f"--token={token}", "--kubeconfig", "/dev/null", "--insecure-skip-tls-verify",
        "--server", _server(simulated_cluster), status=1,
    )  # fmt: skip
    assert re.search(r'secrets is forbidden: User "system:serviceaccount:default:default" cannot list', done.stderr)


def test_a_second_kubus_on_the_same_data_dir_is_refused(simulated_cluster):
    done = simulated_cluster.kubus("up", "--detach", "--config", str(simulated_cluster.config), status=None)
    assert done.returncode != 0
    assert str(simulated_cluster.status()["supervisor"]["pid"]) in done.stderr + done.stdout


def test_a_config_with_a_typo_names_file_and_key(simulated_cluster, tmp_path):
    config = tmp_path / "typo.yaml"
    config.write_text("nodes: {m1: {roles: [state]}}\napiserver:\n  prot: 6443\n")
    done = simulated_cluster.kubus("up", "--config", str(config), "--data-dir", str(tmp_path / "d"), status=None)
    said = done.stderr + done.stdout
    assert done.returncode != 0
    assert str(config) in said
    assert "prot" in said
    assert "port" in said


def test_a_port_that_is_taken_is_named(simulated_cluster, tmp_path):
    port = _server(simulated_cluster).rsplit(":", 1)[1]
    config = tmp_path / "taken.yaml"
    config.write_text(simulated_cluster.config.read_text().replace("port: 0", f"port: {port}"))
    done = simulated_cluster.kubus(
        "up", "--detach", "--config", str(config), "--data-dir", str(tmp_path / "d"), status=None
    )
    said = done.stderr + done.stdout
    assert done.returncode != 0
    assert re.search(rf"{port}.*(taken|in use)|(taken|in use).*{port}", said), said


def test_a_deployment_goes_through_its_phases_on_simulated_nodes(simulated_cluster):
    simulated_cluster.kubectl("create", "deployment", "played", "--image=any/thing:1", "--replicas=6")
    simulated_cluster.kubectl("rollout", "status", "deployment/played", "--timeout=30s", limit_s=40)
    pods = simulated_cluster.get("pods", "-l", "app=played")["items"]
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert {pod["spec"]["nodeName"] for pod in pods} == {"w1-0", "w1-1", "w1-2"}
    simulated_cluster.kubectl("delete", "deployment", "played")
    eventually(lambda: simulated_cluster.get("pods", "-l", "app=played")["items"] == [], "the pods are gone")


def _server(cluster: Cluster) -> str:
    return cluster.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}").strip()

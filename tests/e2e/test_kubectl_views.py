"""kubectl's commands that look: get in all its forms, describe, explain, events, auth, discovery, proxy."""

import json
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.cluster import Cluster, eventually
from tests.e2e.kubectl import Kubectl

pytestmark = pytest.mark.timeout(120)

NAMES = ["v0", "v1", "v2"]


@pytest.fixture(scope="module")
def kubectl(shared_cluster: Cluster) -> Kubectl:
    """A namespace with three running pods, each on a node of its own, and three config maps."""
    shared_cluster.kubectl("create", "namespace", "kubectl-views")
    kubectl = Kubectl(shared_cluster, "kubectl-views")
    items: list[dict] = []
    for number, name in enumerate(NAMES):
        metadata = {"name": name, "labels": {"app": "v", "number": str(number)}}
        spec = {"nodeName": f"w1-{number}", "containers": [{"name": "c", "image": f"i:{number}"}]}
        items.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        items.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"n": str(9 - number)}})
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=30s")
    return kubectl


GETS = {
    "-o name": "pod/v0 pod/v1 pod/v2",
    "-o jsonpath={.items[*].metadata.name}": "v0 v1 v2",
    "-o jsonpath={.items[?(@.spec.nodeName=='w1-1')].metadata.name}": "v1",
    "-o custom-columns=N:.metadata.name,I:.spec.containers[*].image": "N I v0 i:0 v1 i:1 v2 i:2",
    "-o go-template={{range.items}}{{.metadata.name}};{{end}}": "v0;v1;v2;",
    "-o name --chunk-size=1": "pod/v0 pod/v1 pod/v2",
    "-o name --sort-by={.spec.nodeName}": "pod/v0 pod/v1 pod/v2",
    "-o name --field-selector=spec.nodeName=w1-2,status.phase!=Failed": "pod/v2",
    "-o name -l number!=0,app": "pod/v1 pod/v2",
    "-o name --selector=number notin (0,1)": "pod/v2",
    "--no-headers --show-kind -l number=1 -L app": "pod/v1 1/1 Running 0 AGE v",
    "--show-labels -l number=1": "NAME READY STATUS RESTARTS AGE LABELS v1 1/1 Running 0 AGE app=v,number=1",
    "nobody --ignore-not-found": "",
}


@pytest.mark.parametrize("words", GETS)
def test_get(kubectl, words):
    said = kubectl("get", "pods", *_words(words)).split()
    ages = [word for word in said if word[:-1].isdigit() and word[-1] in "smh"]
    assert " ".join("AGE" if word in ages else word for word in said) == GETS[words]


def _words(words: str) -> list[str]:
    """Split at blanks before an option or a name, not at those within a selector."""
    if "notin" in words:
        first, _, selector = words.partition("--selector=")
        return [*first.split(), f"--selector={selector}"]
    return words.split()


def test_get_wide_sorted_and_of_many_kinds(kubectl):
    wide = kubectl("get", "pods", "-o", "wide").splitlines()
    assert [line.split()[6] for line in wide] == ["NODE", "w1-0", "w1-1", "w1-2"]
    by_data = kubectl("get", "configmaps", "-l", "app=v", "--sort-by={.data.n}", "-o", "name").split()
    assert by_data == ["configmap/v2", "configmap/v1", "configmap/v0"]
    assert kubectl("get", "pod/v0", "cm/v1", "-o", "name").split() == ["pod/v0", "configmap/v1"]
    assert kubectl("get", "pods.v1.", "v0", "-o", "name") == "pod/v0"
    assert kubectl("get", "pods", "--server-print=false", "--no-headers").count("v") == 3
    missing = kubectl.said("get", "pods", "v0", "nobody", status=1)
    assert "v0" in missing.stdout
    assert 'pods "nobody" not found' in missing.stderr
    for form in ("yaml", "json", "kyaml"):
        assert "v0" in kubectl("get", "pod", "v0", "-o", form)
    assert "managedFields" not in kubectl("get", "pod", "v0", "-o", "yaml")
    assert "managedFields" in kubectl("get", "pod", "v0", "-o", "yaml", "--show-managed-fields")


def test_get_watches(kubectl):
    command = ["kubectl", "-n", kubectl.namespace, "get", "configmaps", "-l", "watched", "-w", "--output-watch-events"]
    cluster = kubectl.cluster
    columns = ["-o", "custom-columns=E:.type,N:.object.metadata.name"]
    with subprocess.Popen([*command, *columns], stdout=subprocess.PIPE, text=True, env=cluster.environment()) as watch:
        assert watch.stdout is not None
        labelled = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "w", "labels": {"watched": "1"}}}
        kubectl("create", "-f", "-", stdin=json.dumps(labelled))
        seen = [watch.stdout.readline().split() for _ in range(2)]
        kubectl("label", "configmap", "w", "watched=2", "--overwrite")
        seen.append(watch.stdout.readline().split())
        kubectl("label", "configmap", "w", "watched-")  # it leaves what is watched
        seen.append(watch.stdout.readline().split())
        watch.terminate()
    assert seen == [["E", "N"], ["ADDED", "w"], ["MODIFIED", "w"], ["DELETED", "w"]]


def test_wait(kubectl):
    kubectl("wait", "pods", "-l", "app=v", "--for=condition=Ready=true", "--timeout=10s")
    kubectl("wait", "pod/v0", "--for=jsonpath={.status.phase}=Running", "--timeout=10s")
    kubectl("wait", "pod/v0", "--for=jsonpath={.status.podIP}", "--timeout=10s")
    assert "timed out" in kubectl.refused("wait", "pod/v0", "--for=condition=Nope", "--timeout=1s")
    kubectl("create", "configmap", "brief")
    kubectl("delete", "configmap", "brief")
    kubectl("wait", "--for=delete", "configmap/brief", "--timeout=5s")
    with subprocess.Popen(
        ["kubectl", "-n", kubectl.namespace, "wait", "--for=create", "configmap/later", "--timeout=30s"],
        env=kubectl.cluster.environment(),
        stdout=subprocess.PIPE,
    ) as waiting:
        kubectl("create", "configmap", "later")
        assert waiting.wait(30) == 0


def test_describe_and_events(kubectl):
    described = kubectl("describe", "pod", "v0")
    assert "Node:             w1-0/" in described
    assert "Started container c" in described
    assert "Started" in kubectl("events", "--for", "pod/v0", "--types=Normal", "--no-headers")
    assert "pod/v1" in kubectl("get", "events", "--field-selector=involvedObject.name=v1,reason=Started")
    assert "Allocated resources" in kubectl("describe", "node", "w1-0")
    assert "Active" in kubectl("describe", "namespace", kubectl.namespace)
    assert kubectl("logs", "-l", "app=v", "--all-containers", "--prefix", "--tail=1", "--since=1h") == ""


def test_explain(kubectl):
    assert "FIELD: containerPort <integer>" in kubectl("explain", "pod.spec.containers.ports.containerPort")
    recursive = kubectl("explain", "deployment.spec", "--recursive", "--api-version=apps/v1")
    assert "requiredDuringSchedulingIgnoredDuringExecution" in recursive
    old = kubectl("explain", "pods.spec.containers", "--output=plaintext-openapiv2")
    assert "RESOURCE: containers <[]Object>" in old
    assert 'field "nosuch" does not exist' in kubectl.refused("explain", "pods.spec.nosuch")


def test_what_is_served(kubectl):
    resources = kubectl("api-resources", "--namespaced=false", "--verbs=list", "--sort-by=kind", "--no-headers")
    kinds = [line.split()[-1] for line in resources.splitlines()]
    assert kinds == sorted(kinds, key=str.lower) or kinds == sorted(kinds)
    assert "deployments.apps" in kubectl("api-resources", "--categories=all", "--cached=false", "-o", "name").split()
    wide = kubectl("api-resources", "--api-group=apps", "-o", "wide", "--no-headers")
    assert "create,delete,deletecollection,get,list,patch,update,watch" in wide
    versions = kubectl("api-versions").split()
    assert {"v1", "apps/v1", "autoscaling/v1", "autoscaling/v2"} <= set(versions)
    assert "serverVersion" in json.loads(kubectl("version", "-o", "json"))
    assert "Kubernetes control plane" in kubectl("cluster-info")


def test_cluster_info_dump(kubectl, tmp_path: Path):
    kubectl("cluster-info", "dump", f"--namespaces={kubectl.namespace}", f"--output-directory={tmp_path}")
    found = {path.name for path in (tmp_path / kubectl.namespace).iterdir()}
    assert {"pods.json", "events.json", "deployments.json", "v0"} <= found


def test_auth(kubectl):
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,pods/log")
    kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=kubectl-views:default")
    robot = "--as=system:serviceaccount:kubectl-views:default"
    assert kubectl("auth", "can-i", "get", "pods", "--subresource=log", robot) == "yes"
    assert kubectl("auth", "can-i", "delete", "pods", robot, status=1) == "no"
    listed = {tuple(line.split()) for line in kubectl("auth", "can-i", "--list", robot).splitlines()}
    assert ("pods/log", "[]", "[]", "[get", "list]") in listed
    assert "Username" in kubectl("auth", "whoami")
    assert "cannot delete" in kubectl.refused("delete", "pod", "v0", robot)


def test_top(kubectl):
    assert len(kubectl("top", "node", "--no-headers").splitlines()) == 3
    assert len(kubectl("top", "pod", "--containers", "--no-headers", "--sort-by=cpu").splitlines()) == 3


def test_proxy(kubectl):
    command = ["kubectl", "proxy", "--port=0", "--reject-paths=^/apis/apps"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=kubectl.cluster.environment()) as proxy:
        try:
            assert proxy.stdout is not None
            address = proxy.stdout.readline().rsplit(" ", 1)[1].strip()
            base = f"http://{address}/api/v1/namespaces/{kubectl.namespace}/pods"
            with urllib.request.urlopen(f"{base}/v0", timeout=10) as answer:
                assert json.load(answer)["metadata"]["name"] == "v0"
            with urllib.request.urlopen(f"{base}?watch=1&timeoutSeconds=1&resourceVersion=0", timeout=10) as answer:
                seen = {json.loads(line)["object"]["metadata"]["name"] for line in answer}
            assert seen == set(NAMES)
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"http://{address}/apis/apps/v1", timeout=10)
        finally:
            proxy.terminate()


def test_config_and_kuberc(kubectl, tmp_path: Path):
    config = tmp_path / "config"
    config.write_text((kubectl.cluster.data_dir / "kubeconfig").read_text())
    own = ("--kubeconfig", str(config))
    kubectl("config", "set-context", "--current", "--namespace=kubectl-views", *own)
    kubectl("config", "rename-context", kubectl("config", "current-context", *own), "renamed", *own)
    token = kubectl("create", "token", "default")
    kubectl("config", "set-credentials", "robot", f"--token={token}", *own)
    cluster = kubectl("config", "get-clusters", *own).split()[-1]
    kubectl("config", "set-context", "as-robot", f"--cluster={cluster}", "--user=robot", *own)
    kubectl("config", "use-context", "as-robot", *own)
    assert "system:serviceaccount:kubectl-views:default" in kubectl("auth", "whoami", *own)
    assert "token: REDACTED" in kubectl("config", "view", "--minify", *own)
    kubectl("config", "delete-context", "renamed", *own)
    preferences = tmp_path / "kuberc"
    preferences.write_text("apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n")
    rc = ("--kuberc", str(preferences))
    alias = ["--section=aliases", "--name=mine", "--command=get", "--prependarg=pods", "--option=output=name"]
    kubectl("kuberc", "set", *alias, *rc)
    assert kubectl.cluster.kubectl("mine", "-n", kubectl.namespace, *rc).split() == [f"pod/{name}" for name in NAMES]


def test_what_needs_no_cluster(kubectl):
    assert "__start_kubectl" in kubectl("completion", "bash")
    assert "--as-group" in kubectl("options")
    assert "unable to find any kubectl plugins" in kubectl.refused(
        "plugin", "list", environment={"PATH": _path(kubectl)}
    )


def _path(kubectl: Kubectl) -> str:
    """A PATH on which nothing is but kubectl."""
    return kubectl.cluster.environment()["PATH"].split(":")[0]


def test_a_pod_is_seen_until_the_end(kubectl):
    kubectl("run", "last", "--image=i")
    kubectl("wait", "pod/last", "--for=condition=Ready", "--timeout=30s")
    kubectl("delete", "pod", "last")
    eventually(lambda: "last" not in kubectl("get", "pods", "-o", "name"), "the pod is gone")

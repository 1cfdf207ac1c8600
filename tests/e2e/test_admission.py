"""Admission as users meet it: kubectl against real control-plane processes, webhooks behind real TLS."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster import Cluster, eventually
from tests.e2e.webhook_server import WebhookServer, deny, serving

pytestmark = pytest.mark.timeout(180)

CONFIG_MAPS = [
    {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE", "UPDATE"]}
]


@pytest.fixture(scope="module")
def webhooks(tmp_path_factory) -> Iterator[WebhookServer]:
    with serving(tmp_path_factory.mktemp("webhooks")) as server:
        yield server


@pytest.fixture
def namespace(simulated_cluster: Cluster, request) -> Iterator[str]:
    """A namespace of the test's own, gone afterwards with the webhooks that were made for it."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:50]
    simulated_cluster.kubectl("create", "namespace", name)
    yield name
    for kind in ("mutating", "validating"):
        simulated_cluster.kubectl("delete", f"{kind}webhookconfigurations", "--all", "--wait=false")
    simulated_cluster.kubectl("delete", "namespace", name, "--wait=false")


def hook(webhooks: WebhookServer, name: str, namespace: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "rules": CONFIG_MAPS,
        "clientConfig": webhooks.client_config(f"/{name}"),
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        **more,
    }


def configure(cluster: Cluster, kind: str, name: str, *hooks: dict[str, Any], labels: dict | None = None) -> None:
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name, "labels": labels or {}},
        "webhooks": list(hooks),
    }
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(body))


def config_map(cluster: Cluster, namespace: str, name: str, *literals: str) -> Any:
    words = [f"--from-literal={one}" for one in literals]
    return cluster.run("kubectl", "-n", namespace, "create", "configmap", name, *words, status=None)


def data_of(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    return cluster.get("-n", namespace, "configmap", name).get("data", {})


def test_deny(simulated_cluster, webhooks, namespace):
    """AdmissionWebhook: a validating webhook refuses creation, update and deletion, in its own words."""
    webhooks.answers["/deny.e2e.test"] = deny("this webhook denies all requests")
    rules = [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["configmaps"], "operations": ["*"]}]
    config_map(simulated_cluster, namespace, "before", "a=b")
    configure(simulated_cluster, "Validating", "deny", hook(webhooks, "deny.e2e.test", namespace, rules=rules))
    said = config_map(simulated_cluster, namespace, "one").stderr
    assert 'admission webhook "deny.e2e.test" denied the request: this webhook denies all requests' in said
    for words in (("label", "configmap", "before", "x=y"), ("delete", "configmap", "before")):
        done = simulated_cluster.run("kubectl", "-n", namespace, *words, status=1)
        assert "denied the request" in done.stderr


def test_fail_closed(simulated_cluster, webhooks, namespace):
    """AdmissionWebhook: should unconditionally reject operations on fail closed webhook (no CA bundle)."""
    config = webhooks.client_config("/allow", trusted=False)
    closed = hook(webhooks, "closed.e2e.test", namespace, clientConfig=config, failurePolicy="Fail")
    configure(simulated_cluster, "Validating", "closed", closed)
    said = config_map(simulated_cluster, namespace, "one").stderr
    assert 'failed calling webhook "closed.e2e.test": failed to call webhook: Post "https://127.0.0.1:' in said
    assert "x509: certificate signed by unknown authority" in said


def test_connections_are_kept(simulated_cluster, webhooks, namespace):
    """A webhook is called over one connection, not a new one each time; warnings reach kubectl's user."""
    webhooks.answers["/warn.e2e.test"] = lambda request: {"allowed": True, "warnings": ["mind the gap"]}
    configure(simulated_cluster, "Validating", "warn", hook(webhooks, "warn.e2e.test", namespace))
    assert "Warning: mind the gap" in config_map(simulated_cluster, namespace, "zero").stderr
    before = webhooks.connections
    for i in range(5):
        config_map(simulated_cluster, namespace, f"cm-{i}")
    assert webhooks.connections == before


def test_a_webhook_behind_a_service_without_endpoints(simulated_cluster, webhooks, namespace):
    simulated_cluster.kubectl("-n", namespace, "create", "service", "clusterip", "hook", "--tcp=443:8443")
    service = {"service": {"name": "hook", "namespace": namespace, "path": "/x"}}
    configure(simulated_cluster, "Validating", "s", hook(webhooks, "svc.e2e.test", namespace, clientConfig=service))
    said = config_map(simulated_cluster, namespace, "one").stderr
    assert f'Post "https://hook.{namespace}.svc:443/x?timeout=10s": no endpoints available for service "hook"' in said


def used(cluster: Cluster, namespace: str) -> dict[str, str]:
    return cluster.get("-n", namespace, "resourcequota", "q").get("status", {}).get("used", {})


def test_a_quota_holds_against_many_at_once(simulated_cluster, namespace):
    """Creations at the same time never exceed, and a ReplicaSet says why its pods are missing."""
    in_namespace = ("-n", namespace)
    simulated_cluster.kubectl(*in_namespace, "create", "quota", "q", "--hard=pods=3,count/configmaps=5")
    eventually(lambda: used(simulated_cluster, namespace), "the quota is counted")
    with ThreadPoolExecutor(4) as many:
        done = list(many.map(lambda i: config_map(simulated_cluster, namespace, f"c{i}").returncode, range(8)))
    assert done.count(0) == 4, "one is the namespace's own"
    simulated_cluster.kubectl(*in_namespace, "create", "deployment", "web", "--image=i", "--replicas=5")

    def refused() -> bool:
        (found,) = simulated_cluster.get(*in_namespace, "replicasets")["items"]
        conditions = {one["type"]: one for one in found["status"].get("conditions", ())}
        failure = conditions.get("ReplicaFailure", {})
        return failure.get("reason") == "FailedCreate" and "exceeded quota: q" in failure["message"]

    eventually(refused, "the ReplicaSet tells of the quota")
    assert used(simulated_cluster, namespace)["pods"] == "3"
    simulated_cluster.kubectl(*in_namespace, "scale", "deployment", "web", "--replicas=1")
    eventually(lambda: used(simulated_cluster, namespace)["pods"] == "1", "two pods are given back")


def test_pod_security(simulated_cluster, namespace):
    """Pod Security Standards by namespace labels."""
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    simulated_cluster.kubectl("label", "namespace", namespace, enforce)
    done = simulated_cluster.run("kubectl", "-n", namespace, "run", "p", "--image=i", status=1)
    assert 'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation' in done.stderr
    done = simulated_cluster.run("kubectl", "-n", namespace, "create", "deployment", "web", "--image=i")
    assert 'Warning: would violate PodSecurity "restricted:latest"' in done.stderr


POLICIES = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: replicas.e2e.test}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
  variables:
  - {name: replicas, expression: object.spec.replicas}
  validations:
  - expression: variables.replicas <= 5
    messageExpression: "'at most 5 replicas, not ' + string(variables.replicas)"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: replicas.e2e.test}
spec:
  policyName: replicas.e2e.test
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: label.e2e.test}
spec:
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: 'Object{metadata: Object.metadata{labels: {"made-by": request.userInfo.username}}}'
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: label.e2e.test}
spec:
  policyName: label.e2e.test
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}
"""


def test_policies(simulated_cluster, namespace):
    """ValidatingAdmissionPolicy and MutatingAdmissionPolicy, with server-side apply and kubectl's words."""
    simulated_cluster.kubectl("apply", "--server-side", "-f", "-", stdin=POLICIES.replace("NAMESPACE", namespace))
    in_namespace = ("-n", namespace)
    simulated_cluster.kubectl(*in_namespace, "create", "deployment", "web", "--image=i", "--replicas=2")
    assert simulated_cluster.get(*in_namespace, "deployment", "web")["metadata"]["labels"]["made-by"]
    done = simulated_cluster.run("kubectl", *in_namespace, "scale", "deployment", "web", "--replicas=6")
    assert done.returncode == 0, "a policy for deployments is not one for their scale"
    done = simulated_cluster.run("kubectl", *in_namespace, "create", "deployment", "big", "--image=i", "--replicas=9",
                                 status=1)  # fmt: skip
    assert (
        "ValidatingAdmissionPolicy 'replicas.e2e.test' with binding 'replicas.e2e.test' denied request: at most 5 "
        "replicas, not 9"
    ) in done.stderr
    table = simulated_cluster.kubectl("get", "validatingadmissionpolicies")
    assert table.split() == ["NAME", "VALIDATIONS", "PARAMKIND", "AGE", "replicas.e2e.test", "1", "<unset>",
                             table.split()[-1]]  # fmt: skip


def test_deny_attach_and_exec(simulated_cluster, webhooks, namespace):
    """AdmissionWebhook: should be able to deny attaching pod."""
    webhooks.answers["/connect.e2e.test"] = deny("attaching to pod 'to-be-attached-pod' is not allowed")
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/attach", "pods/exec"],
              "operations": ["CONNECT"]}]  # fmt: skip
    configure(simulated_cluster, "Validating", "connect", hook(webhooks, "connect.e2e.test", namespace, rules=rules))
    simulated_cluster.kubectl("-n", namespace, "run", "to-be-attached-pod", "--image=i")
    running = ("wait", "--for=condition=Ready", "pod/to-be-attached-pod", "--timeout=30s")
    simulated_cluster.kubectl("-n", namespace, *running)
    for words in (("attach", "to-be-attached-pod", "-i"), ("exec", "to-be-attached-pod", "--", "true")):
        done = simulated_cluster.run("kubectl", "-n", namespace, *words, status=1)
        assert "attaching to pod 'to-be-attached-pod' is not allowed" in done.stderr
    assert {request["operation"] for request in webhooks.asked[-2:]} == {"CONNECT"}
    assert webhooks.asked[-1]["object"]["command"] == ["true"]


TOKEN_READER = """
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: kubus.local/toolbox:latest
    workingDir: /var/run/secrets/kubernetes.io/serviceaccount
    command: [sh, -c, "for f in namespace token ca.crt; do head -n 1 $f; echo; done"]
"""


def test_a_token_in_a_real_pod(real_cluster):
    """ServiceAccounts: should mount an API token into pods: token, CA and namespace, and the token is good."""
    real_cluster.kubectl("apply", "-f", "-", stdin=TOKEN_READER)
    real_cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=60s")
    namespace, token, ca = real_cluster.kubectl("logs", "reader").split()[:3]
    assert (namespace, ca) == ("default", "-----BEGIN")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == "system:serviceaccount:default:default"
    assert claims["kubernetes.io"]["pod"]["name"] == "reader"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = real_cluster.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(review))
    assert json.loads(answer)["status"]["authenticated"] is True
    real_cluster.kubectl("delete", "pod", "reader", "--wait=false")

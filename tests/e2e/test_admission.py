"""Admission as users meet it: kubectl against real control-plane processes, webhooks behind real TLS."""

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster, eventually
from tests.e2e.webhook_server import WebhookServer, allow, deny, patch, serving, slowly

pytestmark = pytest.mark.timeout(180)

CONFIG_MAPS = [
    {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE", "UPDATE"]}
]
LABELS = {"e2e": "list"}


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


def test_discovery(simulated_cluster):
    """AdmissionWebhook: should include webhook resources in discovery documents; so are policies and bindings."""
    resources = json.loads(simulated_cluster.kubectl("get", "--raw", "/apis/admissionregistration.k8s.io/v1"))
    names = {one["name"] for one in resources["resources"]}
    assert names >= {
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicies/status",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    }


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


def test_ordered_mutation(simulated_cluster, webhooks, namespace):
    """AdmissionWebhook: should mutate configmap: the second webhook sees what the first has added."""
    webhooks.answers["/first.e2e.test"] = patch({"op": "add", "path": "/data/mutation-stage-1", "value": "yes"})
    webhooks.answers["/second.e2e.test"] = lambda request: (
        patch({"op": "add", "path": "/data/mutation-stage-2", "value": "yes"})(request)
        if "mutation-stage-1" in request["object"]["data"]
        else allow(request)
    )
    configure(
        simulated_cluster,
        "Mutating",
        "ordered",
        hook(webhooks, "first.e2e.test", namespace),
        hook(webhooks, "second.e2e.test", namespace),
    )
    config_map(simulated_cluster, namespace, "to-be-mutated", "mutation-start=yes")
    expected = {"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"}
    assert data_of(simulated_cluster, namespace, "to-be-mutated") == expected


def test_fail_closed(simulated_cluster, webhooks, namespace):
    """AdmissionWebhook: should unconditionally reject operations on fail closed webhook (no CA bundle)."""
    config = webhooks.client_config("/allow", trusted=False)
    closed = hook(webhooks, "closed.e2e.test", namespace, clientConfig=config, failurePolicy="Fail")
    configure(simulated_cluster, "Validating", "closed", closed)
    said = config_map(simulated_cluster, namespace, "one").stderr
    assert 'failed calling webhook "closed.e2e.test": failed to call webhook: Post "https://127.0.0.1:' in said
    assert "x509: certificate signed by unknown authority" in said


@pytest.mark.parametrize(("timeout", "policy", "passes"), [(1, "Fail", False), (1, "Ignore", True), (10, "Fail", True)])
def test_timeouts(simulated_cluster, webhooks, timeout, policy, passes):
    """AdmissionWebhook: should honor timeout."""
    webhooks.answers["/slow.e2e.test"] = slowly(2)
    slow = hook(webhooks, "slow.e2e.test", "default", timeoutSeconds=timeout, failurePolicy=policy)
    configure(simulated_cluster, "Validating", "slow", slow)
    began = time.monotonic()
    done = config_map(simulated_cluster, "default", f"slow-{timeout}-{policy.lower()}")
    took = time.monotonic() - began
    simulated_cluster.kubectl("delete", "validatingwebhookconfiguration", "slow")
    assert (done.returncode == 0) is passes, done.stderr
    if timeout == 1:
        assert took < 2
    if not passes:
        assert "context deadline exceeded" in done.stderr


def test_configurations_are_exempt(simulated_cluster, webhooks, namespace):
    """AdmissionWebhook: should not be able to mutate or prevent deletion of webhook configuration objects."""
    webhooks.answers["/all.e2e.test"] = deny("never")
    rules = [
        {"apiGroups": ["admissionregistration.k8s.io"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
    ]
    everything = hook(webhooks, "all.e2e.test", namespace, rules=rules)
    configure(simulated_cluster, "Validating", "guard", everything)
    configure(simulated_cluster, "Mutating", "changer", everything)
    configure(simulated_cluster, "Validating", "plain", hook(webhooks, "all.e2e.test", namespace))
    simulated_cluster.kubectl("delete", "validatingwebhookconfiguration", "plain", "guard")


@pytest.mark.parametrize("kind", ["Mutating", "Validating"])
def test_list_and_delete_by_label(simulated_cluster, webhooks, kind):
    """AdmissionWebhook: listing mutating/validating webhooks should work, and so does deletecollection."""
    webhooks.answers["/add.e2e.test"] = patch({"op": "add", "path": "/data/added", "value": "yes"})
    webhooks.answers["/deny.e2e.test"] = deny("no")
    name = "add.e2e.test" if kind == "Mutating" else "deny.e2e.test"
    plural = f"{kind.lower()}webhookconfigurations"
    for i in range(3):
        configure(simulated_cluster, kind, f"many-{i}", hook(webhooks, name, "default"), labels=LABELS)
    assert len(simulated_cluster.get(plural, "-l", "e2e=list")["items"]) == 3
    done = config_map(simulated_cluster, "default", f"during-{kind.lower()}", "a=b")
    if kind == "Mutating":
        assert data_of(simulated_cluster, "default", "during-mutating")["added"] == "yes"
    else:
        assert done.returncode == 1
    path = f"/apis/admissionregistration.k8s.io/v1/{plural}?labelSelector=e2e%3Dlist"
    simulated_cluster.kubectl("delete", "--raw", path)
    assert simulated_cluster.get(plural, "-l", "e2e=list")["items"] == []
    assert config_map(simulated_cluster, "default", f"after-{kind.lower()}", "a=b").returncode == 0
    assert "added" not in data_of(simulated_cluster, "default", f"after-{kind.lower()}")


def test_match_conditions(simulated_cluster, webhooks, namespace):
    """AdmissionWebhook: should mutate everything except 'skip-me' configmaps."""
    webhooks.answers["/conditions.e2e.test"] = patch({"op": "add", "path": "/data/mutated", "value": "yes"})
    conditions = [{"name": "skip-me", "expression": "object.metadata.name != 'skip-me'"}]
    skipping = hook(webhooks, "conditions.e2e.test", namespace, matchConditions=conditions)
    configure(simulated_cluster, "Mutating", "conditions", skipping)
    for name in ("skip-me", "other"):
        config_map(simulated_cluster, namespace, name, "a=b")
    assert "mutated" not in data_of(simulated_cluster, namespace, "skip-me")
    assert "mutated" in data_of(simulated_cluster, namespace, "other")


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


QUOTA = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: q}
spec: {hard: {pods: "3", requests.cpu: "1", count/configmaps: "50", services.nodeports: "0"}}
"""


def pod(name: str, cpu: str) -> str:
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
    )


def used(cluster: Cluster, namespace: str) -> dict[str, str]:
    return cluster.get("-n", namespace, "resourcequota", "q").get("status", {}).get("used", {})


def test_a_quota(simulated_cluster, namespace):
    """ResourceQuota: promptly calculated; captures the life of a pod, refuses what exceeds, releases what went."""
    in_namespace = ("-n", namespace)
    simulated_cluster.kubectl(*in_namespace, "apply", "-f", "-", stdin=QUOTA)
    counted = {"pods": "0", "requests.cpu": "0", "count/configmaps": "1", "services.nodeports": "0"}
    eventually(lambda: used(simulated_cluster, namespace) == counted, "the quota is counted")
    simulated_cluster.kubectl(*in_namespace, "create", "-f", "-", stdin=pod("a", "600m"))
    assert used(simulated_cluster, namespace)["requests.cpu"] == "600m"
    done = simulated_cluster.run("kubectl", *in_namespace, "create", "-f", "-", stdin=pod("b", "500m"), status=1)
    assert (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, '
        "limited: requests.cpu=1"
    ) in done.stderr
    simulated_cluster.kubectl(*in_namespace, "delete", "pod", "a", "--grace-period=1")
    eventually(lambda: used(simulated_cluster, namespace)["pods"] == "0", "the pod's share is given back")
    simulated_cluster.kubectl(*in_namespace, "create", "-f", "-", stdin=pod("b", "1"))


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


def test_a_limit_range(simulated_cluster, namespace):
    """LimitRange: should create a LimitRange with defaults and ensure pod has those defaults applied."""
    limits = {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [limits]}}
    simulated_cluster.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(body))
    simulated_cluster.kubectl("-n", namespace, "run", "p", "--image=i")
    made = simulated_cluster.get("-n", namespace, "pod", "p")["spec"]["containers"][0]
    assert made["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "500m"}}
    big = json.loads(pod("big", "2"))
    big["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "2"}
    done = simulated_cluster.run("kubectl", "-n", namespace, "create", "-f", "-", stdin=json.dumps(big), status=1)
    assert "maximum cpu usage per Container is 1, but limit is 2" in done.stderr


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


WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.e2e.test}
spec:
  group: e2e.test
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
  - &version
    name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          data:
            type: object
            properties: {mutation-start: {type: string}, mutation-stage-1: {type: string}}
  - {<<: *version, name: v2, storage: false}
"""


def widget(name: str) -> str:
    data = {"mutation-start": "yes"}
    return json.dumps({"apiVersion": "e2e.test/v1", "kind": "Widget", "metadata": {"name": name}, "data": data})


def test_custom_resources(simulated_cluster, webhooks, namespace):
    """AdmissionWebhook: mutate custom resource, with pruning; deny its creation, update and deletion; deny CRDs."""
    definition = json.dumps(yaml.safe_load(WIDGETS))
    simulated_cluster.kubectl("apply", "-f", "-", stdin=definition)
    established = ("wait", "--for=condition=Established", "crd/widgets.e2e.test", "--timeout=30s")
    simulated_cluster.kubectl(*established)
    webhooks.answers["/widgets.e2e.test"] = patch(
        {"op": "add", "path": "/data/mutation-stage-1", "value": "yes"},
        {"op": "add", "path": "/data/mutation-stage-2", "value": "yes"},
    )
    rules = [{"apiGroups": ["e2e.test"], "apiVersions": ["v2"], "resources": ["widgets"], "operations": ["CREATE"]}]
    configure(simulated_cluster, "Mutating", "widgets", hook(webhooks, "widgets.e2e.test", namespace, rules=rules))
    in_namespace = ("-n", namespace)
    simulated_cluster.kubectl(*in_namespace, "create", "-f", "-", stdin=widget("one"))
    expected = {"mutation-start": "yes", "mutation-stage-1": "yes"}
    assert simulated_cluster.get(*in_namespace, "widget", "one")["data"] == expected, "what the schema lacks is pruned"
    assert webhooks.asked[-1]["object"]["apiVersion"] == "e2e.test/v2", "shown as the version that the rules name"
    assert webhooks.asked[-1]["requestKind"]["version"] == "v1"

    webhooks.answers["/nothing.e2e.test"] = deny("the custom resource contains unwanted data")
    rules = [rules[0] | {"apiVersions": ["*"], "operations": ["*"]}]
    configure(simulated_cluster, "Validating", "nothing", hook(webhooks, "nothing.e2e.test", namespace, rules=rules))
    for words in (("create", "-f", "-"), ("label", "widget", "one", "a=b"), ("delete", "widget", "one")):
        done = simulated_cluster.run("kubectl", *in_namespace, *words, stdin=widget("two"), status=1)
        assert "the custom resource contains unwanted data" in done.stderr


def test_deny_definitions(simulated_cluster, webhooks, namespace):
    """AdmissionWebhook: should deny crd creation."""
    webhooks.answers["/crds.e2e.test"] = deny("the custom resource definition is unwanted")
    rules = [{"apiGroups": ["apiextensions.k8s.io"], "apiVersions": ["*"], "resources": ["customresourcedefinitions"],
              "operations": ["CREATE"]}]  # fmt: skip
    configure(simulated_cluster, "Validating", "crds", hook(webhooks, "crds.e2e.test", namespace, rules=rules))
    definition = WIDGETS.replace("widgets", "gadgets").replace("Widget", "Gadget").replace("widget", "gadget")
    done = simulated_cluster.run("kubectl", "create", "-f", "-", stdin=definition, status=1)
    assert "the custom resource definition is unwanted" in done.stderr


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

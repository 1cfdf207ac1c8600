"""Who may do what, as kubectl sees it: certificates, tokens, access reviews, audit, fairness; real control plane."""

import base64
import http.client
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.actors.apiserver.certificates_of import new_key, request_pem, signing_request
from tests.cluster import SIMULATED_CONFIG, Cluster, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

POLICY = {
    "kind": "Policy",
    "apiVersion": "audit.k8s.io/v1",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
        {
            "level": "RequestResponse",
            "resources": [{"group": "", "resources": ["configmaps"]}],
            "namespaces": ["default"],
        },
        {"level": "None"},
    ],
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    config = yaml.safe_load(SIMULATED_CONFIG)
    config["apiserver"] |= {"audit": {"policy": POLICY}}
    made = Cluster(real=False, config=yaml.safe_dump(config))
    try:
        made.up()
        yield made
    finally:
        made.purge()
        made.forget()


def pem_of(key) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Https:
    """Requests as they are, with a token or a certificate."""

    def __init__(self, cluster: Cluster, token: str = "", certificate: str = "", key: str = "") -> None:
        config = yaml.safe_load((cluster.data_dir / "kubeconfig").read_text())
        known = config["clusters"][0]["cluster"]
        host, _, port = known["server"].removeprefix("https://").rpartition(":")
        authority = base64.b64decode(known["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        if certificate:
            context.load_cert_chain(certificate, key)
        self._connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        self._connection.request("GET", path, headers=self._headers | headers)
        answer = self._connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def apply_json(cluster: Cluster, obj: dict) -> None:
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(obj))


def test_a_certificate_by_csr_lets_its_owner_in(cluster: Cluster, tmp_path: Path):
    """Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]"""
    key = new_key()
    pem = request_pem("jane", ("developers",), (), key)
    apply_json(cluster, signing_request("jane", "kubernetes.io/kube-apiserver-client", pem, expirationSeconds=3600))
    assert "Pending" in cluster.kubectl("get", "csr", "jane")
    assert "approved" in cluster.kubectl("certificate", "approve", "jane")

    def issued() -> str:
        return cluster.get("csr", "jane")["status"].get("certificate", "")

    certificate = base64.b64decode(eventually(issued, "the certificate is issued"))
    assert "Approved,Issued" in cluster.kubectl("get", "csr", "jane")
    (tmp_path / "jane.crt").write_bytes(certificate)
    (tmp_path / "jane.key").write_bytes(pem_of(key))
    by = ("--client-certificate", str(tmp_path / "jane.crt"), "--client-key", str(tmp_path / "jane.key"))
    config = yaml.safe_load((cluster.data_dir / "kubeconfig").read_text())
    config["users"][0]["user"] = {}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    who = cluster.kubectl("--kubeconfig", str(tmp_path / "kubeconfig"), *by, "auth", "whoami")
    assert "jane" in who and "developers" in who and "X509SHA256" in who
    refused = cluster.run("kubectl", "--kubeconfig", str(tmp_path / "kubeconfig"), *by, "get", "pods", status=1)
    assert 'User "jane" cannot list resource "pods"' in refused.stderr
    cluster.kubectl("create", "rolebinding", "jane", "--clusterrole=view", "--user=jane")
    cluster.kubectl("--kubeconfig", str(tmp_path / "kubeconfig"), *by, "get", "pods")


def test_denied_and_wrong_requests_get_nothing(cluster: Cluster):
    apply_json(cluster, signing_request("denied", "kubernetes.io/kube-apiserver-client", request_pem("eve")))
    cluster.kubectl("certificate", "deny", "denied")
    assert "Denied" in cluster.kubectl("get", "csr", "denied")
    again = cluster.run("kubectl", "certificate", "approve", "denied", status=None)
    assert again.returncode != 0 or "Denied" in cluster.kubectl("get", "csr", "denied")
    wrong = signing_request(
        "wrong", "kubernetes.io/kubelet-serving", request_pem("eve"), ("digital signature", "server auth")
    )
    apply_json(cluster, wrong)
    cluster.kubectl("certificate", "approve", "wrong")
    eventually(lambda: "Failed" in cluster.kubectl("get", "csr", "wrong"), "the signer refuses")


def test_a_kubelet_joins_by_bootstrap_token_and_its_request_is_approved(cluster: Cluster):
    data = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
    }
    secret = {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": data,
    }
    apply_json(cluster, secret)
    token = "abcdef.0123456789abcdef"
    assert Https(cluster, token).get("/api/v1/nodes")[0] == 403
    request = signing_request(
        "joining", "kubernetes.io/kube-apiserver-client-kubelet", request_pem("system:node:w9", ("system:nodes",))
    )
    config = yaml.safe_load((cluster.data_dir / "kubeconfig").read_text())
    config["users"][0]["user"] = {"token": token}
    (cluster.data_dir / "joining").write_text(yaml.safe_dump(config))
    cluster.kubectl("--kubeconfig", str(cluster.data_dir / "joining"), "create", "-f", "-", stdin=json.dumps(request))
    eventually(lambda: "Approved,Issued" in cluster.kubectl("get", "csr", "joining"), "the request is approved")
    assert cluster.get("csr", "joining")["spec"]["username"] == "system:bootstrap:abcdef"


def test_tokens_of_service_accounts(cluster: Cluster):
    cluster.kubectl("create", "serviceaccount", "robot")
    token = cluster.kubectl("create", "token", "robot", "--duration=10m").strip()
    who = cluster.kubectl("auth", "whoami", "--token", token, "-o", "json", "--kubeconfig", _without_user(cluster))
    info = json.loads(who)["status"]["userInfo"]
    assert info["username"] == "system:serviceaccount:default:robot"
    assert info["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
    refused = cluster.run("kubectl", "create", "token", "robot", "--duration=1m", status=1)
    assert "less than 10 minutes" in refused.stderr
    keys = json.loads(cluster.kubectl("get", "--raw", "/openid/v1/jwks"))
    found = json.loads(cluster.kubectl("get", "--raw", "/.well-known/openid-configuration"))
    assert keys["keys"] and found["jwks_uri"].endswith("/openid/v1/jwks")
    cluster.kubectl("delete", "serviceaccount", "robot")
    assert eventually(lambda: Https(cluster, token).get("/api")[0] == 401, "the token dies with its account")


def test_a_token_secret_is_filled_and_goes_with_its_account(cluster: Cluster):
    cluster.kubectl("create", "serviceaccount", "old")
    metadata = {"name": "old-token", "annotations": {"kubernetes.io/service-account.name": "old"}}
    kind = "kubernetes.io/service-account-token"
    apply_json(cluster, {"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "type": kind})
    data = eventually(lambda: cluster.get("secret", "old-token").get("data"), "the Secret is filled")
    token = base64.b64decode(data["token"]).decode()
    assert Https(cluster, token).get("/api")[0] == 200
    cluster.kubectl("delete", "serviceaccount", "old")
    gone = ["kubectl", "get", "secret", "old-token"]
    eventually(lambda: cluster.run(*gone, status=None).returncode == 1, "the Secret goes with its account")


def _without_user(cluster: Cluster) -> str:
    config = yaml.safe_load((cluster.data_dir / "kubeconfig").read_text())
    config["users"][0]["user"] = {}
    path = cluster.data_dir / "nobody"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_can_i_and_impersonation(cluster: Cluster):
    cluster.kubectl("create", "clusterrole", "pod-reader", "--verb=get,list", "--resource=pods")
    cluster.kubectl("create", "rolebinding", "ann", "--clusterrole=pod-reader", "--user=ann")
    assert cluster.kubectl("auth", "can-i", "list", "pods", "--as=ann").strip() == "yes"
    assert cluster.run("kubectl", "auth", "can-i", "delete", "pods", "--as=ann", status=1).stdout.strip() == "no"
    assert cluster.run("kubectl", "auth", "can-i", "list", "pods", "-n", "kube-system", "--as=ann", status=1)
    listed = cluster.kubectl("auth", "can-i", "--list", "--as=ann")
    assert any(line.split()[0] == "pods" and "[get list]" in line for line in listed.splitlines())
    who = json.loads(cluster.kubectl("auth", "whoami", "--as=ann", "--as-group=g", "--as-uid=7", "-o", "json"))
    assert who["status"]["userInfo"] == {
        "username": "ann", "uid": "7", "groups": ["g", "system:authenticated"],
    }  # fmt: skip
    assert cluster.kubectl("auth", "can-i", "*", "*").strip() == "yes"


def test_reconcile_and_escalation(cluster: Cluster):
    role = {
        "kind": "Role",
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": "reconciled", "namespace": "default"},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}],
    }
    assert "reconciled" in cluster.kubectl("auth", "reconcile", "-f", "-", stdin=json.dumps(role))
    role["rules"][0]["verbs"] = ["list"]
    cluster.kubectl("auth", "reconcile", "-f", "-", stdin=json.dumps(role))
    verbs = {verb for rule in cluster.get("role", "reconciled")["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "list"}
    cluster.kubectl("create", "rolebinding", "bob-admin", "--clusterrole=admin", "--user=bob")
    refused = cluster.run("kubectl", "create", "role", "x", "--verb=get", "--resource=nodes", "--as=bob", status=1)
    assert "attempting to grant RBAC permissions not currently held" in refused.stderr
    cluster.kubectl("create", "role", "y", "--verb=get", "--resource=pods", "--as=bob")


def test_strangers_learn_health_and_version_only(cluster: Cluster):
    stranger = Https(cluster)
    assert [stranger.get(path)[0] for path in ("/healthz", "/livez", "/readyz", "/version")] == [200] * 4
    assert [stranger.get(path)[0] for path in ("/api", "/metrics", "/readyz/ping")] == [401] * 3
    assert stranger.get("/readyz?verbose")[2].endswith(b"readyz check passed\n")
    assert Https(cluster, "nonsense").get("/healthz")[0] == 401
    assert "[+]ping ok" in cluster.kubectl("get", "--raw", "/livez?verbose")


def test_flow_control_is_there_and_answers_say_so(cluster: Cluster):
    """API priority and fairness should support FlowSchema API operations [Conformance]"""
    listed = eventually(
        lambda: [line for line in cluster.kubectl("get", "flowschemas").splitlines() if "False" in line][12:],
        "all flow schemas have their status",
    )
    assert listed and "catch-all" in cluster.kubectl("get", "prioritylevelconfigurations")
    token = cluster.kubectl("create", "token", "default").strip()
    _, headers, _ = Https(cluster, token).get("/api/v1/namespaces/default/pods")
    schema = cluster.get("flowschema", "service-accounts")
    assert headers["x-kubernetes-pf-flowschema-uid"] == schema["metadata"]["uid"]
    metrics = cluster.kubectl("get", "--raw", "/metrics")
    assert 'apiserver_flowcontrol_dispatched_requests_total{flow_schema="service-accounts"' in metrics
    assert "apiserver_request_duration_seconds_bucket" in metrics and "process_resident_memory_bytes" in metrics


def test_the_audit_log_tells_what_the_policy_says(cluster: Cluster):
    cluster.kubectl("create", "configmap", "audited", "--from-literal=a=b")
    cluster.kubectl("create", "secret", "generic", "hidden", "--from-literal=password=swordfish")

    def events() -> list[dict]:
        log = cluster.data_dir / "logs" / "audit.log"
        return [json.loads(line) for line in log.read_text().splitlines()]

    def about(name: str) -> list[dict]:
        return [one for one in events() if (one.get("objectRef") or {}).get("name") == name]

    created = eventually(lambda: about("audited"), "the ConfigMap's creation is told of")[-1]
    assert created["level"] == "RequestResponse" and created["verb"] == "create"
    assert created["user"]["username"] == "kubernetes-admin" and created["sourceIPs"] == ["127.0.0.1"]
    assert created["requestObject"]["data"] == {"a": "b"} and created["responseObject"]["metadata"]["uid"]
    secret = eventually(lambda: about("hidden"), "the Secret's creation is told of")[-1]
    assert secret["level"] == "Metadata" and "requestObject" not in secret
    assert "swordfish" not in (cluster.data_dir / "logs" / "audit.log").read_text()


def test_an_api_server_stops_in_good_order(cluster: Cluster):
    """Requests that are being worked on are answered; the next ones find a new process."""
    began = time.monotonic()
    cluster.kubus("restart", "apiserver@m1")
    eventually(lambda: cluster.run("kubectl", "get", "--raw", "/readyz", status=None).returncode == 0, "it is back")
    assert time.monotonic() - began < 30

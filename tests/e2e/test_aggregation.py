"""An API server behind the cluster's own: found by discovery, asked in the name of who asks, missed when it is away."""

import base64
import json

import pytest

from tests.cluster import Cluster, eventually
from tests.e2e.extension_server import GROUP, VERSION, ExtensionServer

pytestmark = pytest.mark.timeout(120)

API_SERVICE = f"{VERSION}.{GROUP}"


def condition(cluster: Cluster) -> tuple[str, str]:
    found = cluster.get("apiservice", API_SERVICE).get("status", {}).get("conditions", [])
    return next(((one["status"], one["reason"]) for one in found if one["type"] == "Available"), ("", ""))


def test_our_own_groups_are_local(simulated_cluster: Cluster):
    cluster = simulated_cluster
    eventually(lambda: "v1.apps" in cluster.kubectl("get", "apiservices", "-o", "name"), "local API services")
    found = cluster.get("apiservice", "v1.apps")
    assert found["status"]["conditions"][0]["reason"] == "Local"


def test_a_server_behind_ours(simulated_cluster: Cluster):
    """aggregator-supports-the-sample-apiserver."""
    cluster = simulated_cluster
    server = ExtensionServer(cluster.data_dir / "pki" / "front-proxy-ca.crt", "sample.default.svc")
    try:
        cluster.apply(_service(server.port))
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(_api_service(server)))
        eventually(lambda: condition(cluster) == ("True", "Passed"), "the API service is available", 15)
        assert "flunders" in cluster.kubectl("api-resources", f"--api-group={GROUP}")
        made = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Flunder", "metadata": {"name": "one"}}
        cluster.kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps(made))
        assert cluster.get("fl", "one")["metadata"]["name"] == "one"
        watched = cluster.kubectl("get", "--raw", f"/apis/{GROUP}/{VERSION}/namespaces/default/flunders?watch=1")
        assert json.loads(watched)["type"] == "ADDED"
        assert server.askers[-1] == {
            "proxy": "front-proxy-client",
            "user": "kubernetes-admin",
            "groups": ["system:masters", "system:authenticated"],
        }
        cluster.kubectl("get", "fl", "--as=alice", "--as-group=system:masters")
        assert server.askers[-1]["user"] == "alice"
        done = cluster.run("kubectl", "get", "fl", "--as=mallory", status=1)
        assert "Forbidden" in done.stderr
        cluster.kubectl("delete", "fl", "one")
    finally:
        server.close()
        cluster.kubectl("delete", "apiservice", API_SERVICE, "--ignore-not-found")
    done = cluster.run("kubectl", "get", "--raw", f"/apis/{GROUP}/{VERSION}", status=1)
    assert "NotFound" in done.stderr


def test_a_server_that_is_not_there(simulated_cluster: Cluster):
    cluster = simulated_cluster
    missing = _api_service(None)
    missing["spec"]["service"]["name"] = "nobody"
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(missing))
    try:
        eventually(lambda: condition(cluster) == ("False", "ServiceNotFound"), "the API service is unavailable", 15)
        done = cluster.run("kubectl", "get", "--raw", f"/apis/{GROUP}/{VERSION}/flunders", status=1)
        assert "service unavailable" in done.stderr or "currently unable to handle" in done.stderr
        cluster.kubectl("get", "pods")  # everything else goes on
    finally:
        cluster.kubectl("delete", "apiservice", API_SERVICE)


def _service(port: int) -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: sample, namespace: default}}
spec:
  type: ExternalName
  externalName: localhost
  ports: [{{port: {port}}}]
"""


def _api_service(server: ExtensionServer | None) -> dict:
    spec = {
        "group": GROUP,
        "version": VERSION,
        "groupPriorityMinimum": 2000,
        "versionPriority": 200,
        "service": {"namespace": "default", "name": "sample", "port": server.port if server else 443},
    }
    if server is not None:
        spec["caBundle"] = base64.b64encode(server.certificate).decode()
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": API_SERVICE},
        "spec": spec,
    }

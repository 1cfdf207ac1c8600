"""Custom resources with kubectl and the official Python client."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config, dynamic, watch

from tests.cluster import Cluster, eventually

pytestmark = pytest.mark.timeout(180)

CRON_TAB = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: crontabs.stable.example.com
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Cron, type: string, jsonPath: .spec.cron}
    schema:
      openAPIV3Schema:
        type: object
        description: A table of times.
        properties:
          spec:
            type: object
            required: [cron]
            x-kubernetes-validations:
            - {rule: self.replicas < 8, message: that many help nobody}
            properties:
              cron: {type: string, description: When it runs., pattern: '^\\S+( \\S+){4}$'}
              replicas: {type: integer, default: 2}
              template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""
OBJECT = """
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: mine}
spec: {cron: '* * * * */5'}
"""


@pytest.fixture(scope="module")
def cluster(simulated_cluster: Cluster) -> Iterator[Cluster]:
    yield simulated_cluster


@pytest.fixture
def cron_tabs(cluster: Cluster) -> Iterator[Cluster]:
    cluster.apply(CRON_TAB)
    cluster.kubectl("wait", "--for=condition=established", "crd/crontabs.stable.example.com", "--timeout=10s")
    yield cluster
    cluster.kubectl("delete", "crd", "crontabs.stable.example.com", "--timeout=20s")


def api(cluster: Cluster) -> client.ApiClient:
    return config.new_client_from_config(str(cluster.data_dir / "kubeconfig"))


def test_kubectl_works_with_it_at_once(cron_tabs: Cluster):
    """Custom Resource Definition, create; Custom Resource OpenAPI Publish, with validation schema."""
    assert "created" in cron_tabs.apply(OBJECT)
    assert "unchanged" in cron_tabs.apply(OBJECT)
    assert "configured" in cron_tabs.apply(OBJECT.replace("/5", "/6"))
    lines = cron_tabs.kubectl("get", "ct").splitlines()
    assert [line.split() for line in lines] == [["NAME", "CRON"], ["mine", "*", "*", "*", "*", "*/6"]]
    assert "crontab.stable.example.com/mine" in cron_tabs.kubectl("get", "all", "-o", "name")
    explained = cron_tabs.kubectl("explain", "crontabs.spec.cron")
    assert "When it runs." in explained
    assert "crontabs" in cron_tabs.kubectl("api-resources", "--api-group=stable.example.com")
    cron_tabs.kubectl("scale", "ct/mine", "--replicas=3")
    assert cron_tabs.get("ct", "mine")["spec"]["replicas"] == 3
    cron_tabs.kubectl(
        "patch", "ct", "mine", "--subresource=status", "--type=merge", "-p", '{"status": {"replicas": 3}}'
    )
    cron_tabs.kubectl("wait", "ct/mine", "--for=jsonpath={.status.replicas}=3", "--timeout=5s")
    cron_tabs.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=OBJECT)
    cron_tabs.kubectl("delete", "ct", "mine")


def test_kubectl_is_told_what_is_wrong(cron_tabs: Cluster):
    """Server side field validation, unknown fields CR fails validation."""
    done = cron_tabs.run("kubectl", "apply", "-f", "-", stdin=OBJECT.replace("cron:", "crom:"), status=1)
    assert 'unknown field "spec.crom"' in done.stderr
    done = cron_tabs.run("kubectl", "apply", "-f", "-", stdin=OBJECT.replace("* * * * */5", "often"), status=1)
    assert "spec.cron in body should match" in done.stderr
    many = OBJECT.replace("'}", "', replicas: 9}")
    done = cron_tabs.run("kubectl", "apply", "-f", "-", stdin=many, status=1)
    assert "that many help nobody" in done.stderr
    bad = CRON_TAB.replace("self.replicas < 8", "self.replicant < 8")
    done = cron_tabs.run("kubectl", "apply", "-f", "-", stdin=bad, status=1)
    assert "undefined field 'replicant'" in done.stderr


def test_the_dynamic_client_and_its_watch(cron_tabs: Cluster):
    """Custom Resource Definition, watch."""
    with api(cron_tabs) as connection:
        tabs = dynamic.DynamicClient(connection).resources.get(api_version="stable.example.com/v1", kind="CronTab")
        seen = []
        tabs.create(namespace="default", body={**_object("watched")})
        for event in watch.Watch().stream(
            client.CustomObjectsApi(connection).list_namespaced_custom_object,
            "stable.example.com", "v1", "default", "crontabs", timeout_seconds=20,
        ):  # fmt: skip
            seen.append((event["type"], event["object"]["spec"]["replicas"]))
            if event["type"] == "ADDED":
                tabs.patch(
                    namespace="default", name="watched", body={"spec": {"replicas": 4}},
                    content_type="application/merge-patch+json",
                )  # fmt: skip
            elif event["type"] == "MODIFIED":
                tabs.delete(namespace="default", name="watched")
            else:
                break
        assert seen == [("ADDED", 2), ("MODIFIED", 4), ("DELETED", 4)]


def test_a_namespace_takes_its_objects_along(cron_tabs: Cluster):
    cron_tabs.kubectl("create", "namespace", "brief")
    cron_tabs.kubectl("apply", "-n", "brief", "-f", "-", stdin=OBJECT)
    cron_tabs.kubectl("delete", "namespace", "brief", "--timeout=60s")
    assert cron_tabs.get("ct", "-A")["items"] == []


def test_an_owner_takes_its_objects_along(cron_tabs: Cluster):
    cron_tabs.kubectl("create", "configmap", "owner")
    uid = cron_tabs.get("configmap", "owner")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    made = _object("owned")
    made["metadata"]["ownerReferences"] = [owner]
    cron_tabs.kubectl("create", "-f", "-", stdin=json.dumps(made))
    cron_tabs.kubectl("delete", "configmap", "owner")
    # The garbage collector hears of new definitions; should it miss that, it looks every 30 s, as Kubernetes' does.
    eventually(lambda: not cron_tabs.get("ct")["items"], "the object went with its owner", limit_s=60)


def _object(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "stable.example.com/v1",
        "kind": "CronTab",
        "metadata": {"name": name},
        "spec": {"cron": "* * * * */5"},
    }

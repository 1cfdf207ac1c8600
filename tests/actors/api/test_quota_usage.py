"""What objects use of a quota, and which quota speaks of which object."""

import pytest

from actors.api.quota.amounts import amount, amounts, shown, written
from actors.api.quota.pod_resources import pod_limits, pod_requests
from actors.api.quota.usage import group_resource_of, matching, speaks_of, total, undeclared, usage

NOW = 1_700_000_000.0


def container(name: str = "c", requests: dict | None = None, limits: dict | None = None, **more) -> dict:
    return {"name": name, "resources": {"requests": requests or {}, "limits": limits or {}}, **more}


def pod(*containers: dict, init: tuple[dict, ...] = (), phase: str = "Pending", **spec) -> dict:
    return {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"containers": list(containers) or [container()], "initContainers": list(init), **spec},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("one", "other", "sum_"),
    [
        ("1Gi", "512Mi", "1536Mi"),
        ("1Gi", "1000", "1073742824"),
        ("500m", "1", "1500m"),
        ("500m", "500m", "1"),
        ("0", "1Gi", "1Gi"),
        ("1", "1Gi", "1073741825"),
        ("1k", "0", "1k"),
        ("1500000Ki", "0", "1500000Ki"),
    ],
)
def test_sums_keep_their_format(one, other, sum_):
    assert str(amount(one) + amount(other)) == sum_


def test_amounts_in_a_message():
    assert shown(amounts({"pods": "1", "cpu": "1500m"})) == "cpu=1500m,pods=1"


@pytest.mark.parametrize(
    ("of", "requests"),
    [
        (pod(container(requests={"cpu": "1"}), container(requests={"cpu": "500m"})), {"cpu": "1500m"}),
        (pod(container(requests={"cpu": "1"}), init=(container(requests={"cpu": "2"}),)), {"cpu": "2"}),
        (pod(container(requests={"cpu": "1"}), init=(container(requests={"cpu": "500m"}),)), {"cpu": "1"}),
        (
            pod(container(requests={"cpu": "1"}), init=(container(requests={"cpu": "1"}, restartPolicy="Always"),)),
            {"cpu": "2"},
        ),
        (
            pod(
                container(requests={"cpu": "1"}),
                init=(
                    container(requests={"cpu": "1"}, restartPolicy="Always"),
                    container(requests={"cpu": "3"}),
                ),
            ),
            {"cpu": "4"},
        ),
        (pod(container(requests={"cpu": "1"}), overhead={"cpu": "250m", "memory": "1Mi"}),
         {"cpu": "1250m", "memory": "1Mi"}),
        (pod(container(requests={"cpu": "1"}), resources={"requests": {"cpu": "3"}}), {"cpu": "3"}),
    ],
)  # fmt: skip
def test_what_a_pod_requests(of, requests):
    assert written(pod_requests(of)) == requests


def test_overhead_is_added_to_limits_that_are_there():
    of = pod(container(limits={"cpu": "1"}), overhead={"cpu": "250m", "memory": "1Mi"})
    assert written(pod_limits(of)) == {"cpu": "1250m"}


def test_usage_of_a_pod():
    of = pod(container(requests={"cpu": "1", "memory": "1Gi", "example.com/gpu": "2"}, limits={"cpu": "2"}))
    assert written(usage("pods", of, NOW)) == {
        "count/pods": "1",
        "pods": "1",
        "cpu": "1",
        "requests.cpu": "1",
        "memory": "1Gi",
        "requests.memory": "1Gi",
        "requests.example.com/gpu": "2",
        "limits.cpu": "2",
    }


@pytest.mark.parametrize(("phase", "uses"), [("Running", True), ("Succeeded", False), ("Failed", False)])
def test_a_pod_that_ended_is_only_counted(phase, uses):
    assert ("pods" in usage("pods", pod(phase=phase), NOW)) is uses


def test_a_pod_whose_time_is_over_is_only_counted():
    of = pod()
    of["metadata"] |= {"deletionTimestamp": "2023-11-14T22:13:00Z", "deletionGracePeriodSeconds": 10}
    assert "pods" not in usage("pods", of, NOW)
    assert "pods" in usage("pods", of, NOW - 15)


def test_usage_of_a_claim_by_its_class():
    claim = {
        "metadata": {"name": "c"},
        "spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1.5Gi"}}},
        "status": {"allocatedResources": {"storage": "2Gi"}},
    }
    assert written(usage("persistentvolumeclaims", claim, NOW)) == {
        "persistentvolumeclaims": "1",
        "count/persistentvolumeclaims": "1",
        "requests.storage": "2Gi",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "gold.storageclass.storage.k8s.io/requests.storage": "2Gi",
    }


@pytest.mark.parametrize(
    ("spec", "node_ports", "load_balancers"),
    [
        ({"type": "ClusterIP", "ports": [{}]}, "0", "0"),
        ({"type": "NodePort", "ports": [{}, {}]}, "2", "0"),
        ({"type": "LoadBalancer", "ports": [{}]}, "1", "1"),
        ({"type": "LoadBalancer", "ports": [{}, {"nodePort": 1}], "allocateLoadBalancerNodePorts": False}, "1", "1"),
    ],
)
def test_usage_of_a_service(spec, node_ports, load_balancers):
    used = written(usage("services", {"metadata": {}, "spec": spec}, NOW))
    assert (used["services.nodeports"], used["services.loadbalancers"]) == (node_ports, load_balancers)
    assert used["services"] == "1"


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("pods", "pods"),
        ("limits.memory", "pods"),
        ("requests.example.com/gpu", "pods"),
        ("hugepages-2Mi", "pods"),
        ("requests.storage", "persistentvolumeclaims"),
        ("gold.storageclass.storage.k8s.io/requests.storage", "persistentvolumeclaims"),
        ("services.loadbalancers", "services"),
        ("configmaps", "configmaps"),
        ("count/deployments.apps", "deployments.apps"),
        ("nonsense", ""),
    ],
)
def test_what_a_name_is_about(name, resource):
    assert group_resource_of(name) == resource
    assert matching(resource, [name, "other"]) == ([name] if resource else [])


def quota(hard: dict, **spec) -> dict:
    return {"metadata": {"name": "q", "namespace": "n"}, "spec": {"hard": hard, **spec}}


@pytest.mark.parametrize(
    ("spec", "of", "speaks"),
    [
        ({}, pod(), True),
        ({"scopes": ["Terminating"]}, pod(), False),
        ({"scopes": ["Terminating"]}, pod(activeDeadlineSeconds=0), True),
        ({"scopes": ["NotTerminating"]}, pod(), True),
        ({"scopes": ["BestEffort"]}, pod(), True),
        ({"scopes": ["BestEffort"]}, pod(container(requests={"cpu": "1"})), False),
        ({"scopes": ["NotBestEffort"]}, pod(container(limits={"memory": "1"})), True),
        ({"scopes": ["PriorityClass"]}, pod(priorityClassName="high"), True),
        ({"scopes": ["PriorityClass"]}, pod(), False),
        ({"scopes": ["CrossNamespacePodAffinity"]}, pod(), False),
        (
            {"scopes": ["CrossNamespacePodAffinity"]},
            pod(affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}]}}),
            True,
        ),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}},
            pod(priorityClassName="high"),
            True,
        ),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "NotIn", "values": ["high"]}]}},
            pod(),
            True,
        ),
        (
            {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}},
            pod(priorityClassName="high"),
            False,
        ),
    ],
)  # fmt: skip
def test_scopes(spec, of, speaks):
    assert speaks_of(quota({"pods": "1"}, **spec), "pods", of, ["pods"]) is speaks


def test_a_scoped_quota_speaks_of_no_other_kind():
    assert not speaks_of(quota({"services": "1"}, scopes=["Terminating"]), "services", {}, ["services"])


def test_what_containers_must_declare():
    of = pod(container("a", requests={"cpu": "1"}), container("b"))
    assert undeclared(of, ["cpu", "limits.memory", "pods"]) == "cpu for: b; limits.memory for: a,b"
    assert undeclared(of, ["pods", "requests.ephemeral-storage"]) == ""


def test_the_total_has_zeros_and_only_what_the_quota_names():
    of = quota({"pods": "5", "requests.cpu": "3", "services": "1"})
    found = [pod(container(requests={"cpu": "1", "memory": "1"})), pod(phase="Failed")]
    assert written(total(of, "pods", found, NOW)) == {"pods": "1", "requests.cpu": "1"}
    assert written(total(of, "services", [], NOW)) == {"services": "0"}

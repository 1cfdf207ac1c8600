"""sig-api-machinery: what goes along with its owner, and what stays."""

from collections.abc import Callable

import pytest

from tests.cluster import eventually
from tests.conformance.access import Object
from tests.conformance.pods import Space, container, pod

pytestmark = pytest.mark.timeout(60)

DEPLOYMENTS, REPLICA_SETS, CONTROLLERS = "apps/v1/deployments", "apps/v1/replicasets", "replicationcontrollers"
GONE_LIMIT_S = 20


def template(label: str) -> Object:
    spec = pod(container(None))["spec"] | {"restartPolicy": "Always"}
    return {"metadata": {"labels": {"of": label}}, "spec": spec}


def deployment(name: str, replicas: int = 2) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"of": name}}, "template": template(name)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"of": name}},
        "spec": spec,
    }


def controller(name: str, replicas: int) -> Object:
    spec = {"replicas": replicas, "selector": {"of": name}, "template": template(name)}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name}, "spec": spec}


def delete(space: Space, resource: str, name: str, policy: str) -> None:
    space.api.json("DELETE", space.path(resource, name), {"propagationPolicy": policy})


def living(space: Space, name: str) -> list[Object]:
    return [item for item in space.list("pods", f"of={name}") if "deletionTimestamp" not in item["metadata"]]


def has_pods(space: Space, name: str, count: int) -> list[Object]:
    return eventually(lambda: len(found := living(space, name)) == count and found, f"{name} has {count} pods", 20)


def owners(obj: Object) -> list[str]:
    return [owner["name"] for owner in obj["metadata"].get("ownerReferences", [])]


def reference(owner: Object, **fields: bool) -> Object:
    about = {"apiVersion": owner.get("apiVersion", "v1"), "kind": owner["kind"]}
    return {**about, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], **fields}


def is_gone(space: Space, resource: str, name: str) -> Callable[[], bool]:
    return lambda: not space.has(resource, name)


def test_a_deployment_in_the_background(space: Space):
    """Garbage Collector, delete deployment,  propagation policy background"""
    space.create(DEPLOYMENTS, deployment("background"))
    has_pods(space, "background", 2)
    assert len(space.list(REPLICA_SETS, "of=background")) == 1
    delete(space, DEPLOYMENTS, "background", "Background")
    assert not space.has(DEPLOYMENTS, "background")
    eventually(lambda: space.list(REPLICA_SETS, "of=background") == [], "the ReplicaSet is gone", GONE_LIMIT_S)
    eventually(lambda: space.list("pods", "of=background") == [], "its pods are gone", GONE_LIMIT_S)


def test_a_deployment_leaves_orphans(space: Space):
    """Garbage Collector, delete deployment, propagation policy orphan"""
    space.create(DEPLOYMENTS, deployment("orphan"))
    has_pods(space, "orphan", 2)
    (before,) = space.list(REPLICA_SETS, "of=orphan")
    assert owners(before) == ["orphan"]
    delete(space, DEPLOYMENTS, "orphan", "Orphan")
    eventually(is_gone(space, DEPLOYMENTS, "orphan"), "the Deployment is gone", GONE_LIMIT_S)
    (after,) = space.list(REPLICA_SETS, "of=orphan")
    assert (after["metadata"]["uid"], owners(after)) == (before["metadata"]["uid"], [])
    pods = {item["metadata"]["uid"] for item in living(space, "orphan")}
    space.patch(REPLICA_SETS, after["metadata"]["name"], {"spec": {"replicas": 3}})
    assert {item["metadata"]["uid"] for item in has_pods(space, "orphan", 3)} > pods
    space.delete(REPLICA_SETS, after["metadata"]["name"])


def test_a_controller_in_the_background(space: Space):
    """Garbage Collector, delete replication controller, propagation policy background"""
    space.create(CONTROLLERS, controller("rc-background", 2))
    eventually(lambda: living(space, "rc-background"), "the first pod is there", 20)
    delete(space, CONTROLLERS, "rc-background", "Background")
    eventually(is_gone(space, CONTROLLERS, "rc-background"), "the controller is gone", GONE_LIMIT_S)
    eventually(lambda: space.list("pods", "of=rc-background") == [], "its pods are gone", GONE_LIMIT_S)


def test_a_controller_after_its_pods(space: Space):
    """Garbage Collector, delete replication controller, after owned pods"""
    space.create(CONTROLLERS, controller("foreground", 12))
    held = has_pods(space, "foreground", 12)[0]["metadata"]["name"]
    space.patch("pods", held, {"metadata": {"finalizers": ["conformance.example.com/hold"]}})
    delete(space, CONTROLLERS, "foreground", "Foreground")
    assert "foregroundDeletion" in space.get(CONTROLLERS, "foreground")["metadata"]["finalizers"]
    eventually(lambda: len(space.list("pods", "of=foreground")) == 1, "all pods but one are gone", GONE_LIMIT_S)
    assert space.has(CONTROLLERS, "foreground"), "it stays as long as one of its pods"
    space.patch("pods", held, {"metadata": {"finalizers": None}})
    eventually(is_gone(space, CONTROLLERS, "foreground"), "the controller is gone", GONE_LIMIT_S)
    assert space.list("pods", "of=foreground") == []


def test_pods_with_two_owners(space: Space):
    """Garbage Collector, multiple owners"""
    space.create(CONTROLLERS, controller("to-be-deleted", 10))
    stays = {"apiVersion": "v1", **space.create(CONTROLLERS, controller("to-stay", 0))}
    pods = [item["metadata"]["name"] for item in has_pods(space, "to-be-deleted", 10)]
    half = set(pods[:5])
    for name in half:
        more = {"op": "add", "path": "/metadata/ownerReferences/-", "value": reference(stays)}
        space.patch("pods", name, [more], kind="application/json-patch+json")
    delete(space, CONTROLLERS, "to-be-deleted", "Foreground")
    eventually(is_gone(space, CONTROLLERS, "to-be-deleted"), "the first owner is gone", GONE_LIMIT_S)
    left = space.list("pods", "of=to-be-deleted")
    assert {item["metadata"]["name"] for item in left} == half
    assert not any("deletionTimestamp" in item["metadata"] for item in left)
    eventually(
        lambda: all(owners(item) == ["to-stay"] for item in space.list("pods", "of=to-be-deleted")),
        "they have one owner",
        GONE_LIMIT_S,
    )
    space.delete(CONTROLLERS, "to-stay")


def test_a_circle(space: Space):
    """Garbage Collector, dependency cycle"""
    made = [space.create("pods", pod(container(None), name=f"circle-{number}")) for number in range(3)]
    for number, one in enumerate(made):
        owner = reference(
            {"apiVersion": "v1", "kind": "Pod", **made[number - 1]}, controller=True, blockOwnerDeletion=True
        )
        space.patch("pods", one["metadata"]["name"], {"metadata": {"ownerReferences": [owner]}})
    delete(space, "pods", "circle-0", "Foreground")
    for number in range(3):
        eventually(is_gone(space, "pods", f"circle-{number}"), f"circle-{number} is gone", GONE_LIMIT_S)

"""sig-apps: Deployments, ReplicaSets and ReplicationControllers, whose pods are played by rule.

Of controllers that are not built yet, only what the API alone owes its clients.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import eventually
from tests.conformance.access import STRATEGIC, Api, Object
from tests.conformance.control_plane.test_garbage import (
    CONTROLLERS,
    DEPLOYMENTS,
    REPLICA_SETS,
    controller,
    deployment,
    has_pods,
    living,
    owners,
    template,
)
from tests.conformance.lives import Life, goes_through, is_discovered, status_of_one
from tests.conformance.pods import Space, condition_of, container, is_ready, pod, space_of
from tests.conformance.watching import watching

pytestmark = pytest.mark.timeout(90)

TOLD = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from an e2e test"}
PATCHED = {"type": "StatusPatched", "status": "True", "reason": "E2E", "message": "Patched by an e2e test"}


def selected(name: str, **more: Any) -> Object:
    return {"spec": {"selector": {"matchLabels": {"of": name}}, "template": template(name), **more}}


LIVES = {
    "DaemonSet, list and delete a collection of DaemonSets": Life(
        "apps/v1/daemonsets", "DaemonSet", selected("daemon"), namespaced=True, subresources=("status",)
    ),
    "StatefulSet, list, patch and delete a collection of StatefulSets": Life(
        "apps/v1/statefulsets", "StatefulSet", selected("stateful", serviceName="s", replicas=1), namespaced=True
    ),
    "Jobs, manage lifecycle": Life(
        "batch/v1/jobs",
        "Job",
        {"spec": {"suspend": True, "template": {"spec": pod(container(None))["spec"]}}},
        namespaced=True,
    ),
    "PodDisruptionBudget: list and delete collection": Life(
        "policy/v1/poddisruptionbudgets",
        "PodDisruptionBudget",
        {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"of": "nobody"}}}},
        namespaced=True,
    ),
    "PodDisruptionBudget: create, update, patch, and delete object": Life(
        "policy/v1/poddisruptionbudgets",
        "PodDisruptionBudget",
        {"spec": {"maxUnavailable": "10%", "selector": {"matchLabels": {"of": "nobody"}}}},
        namespaced=True,
        subresources=("status",),
    ),
}


@pytest.mark.parametrize("behaviour", LIVES)
def test_the_life_of_an_object(behaviour: str, space: Space):
    is_discovered(LIVES[behaviour], space)
    goes_through(LIVES[behaviour], space, "".join(char for char in behaviour.lower() if char.isalnum())[:40])


@pytest.mark.parametrize(
    ("behaviour", "resource", "kind", "more"),
    [
        ("DaemonSet, status sub-resource", "apps/v1/daemonsets", "DaemonSet", {}),
        ("StatefulSet, status sub-resource", "apps/v1/statefulsets", "StatefulSet", {"serviceName": "s"}),
    ],
)
def test_the_status_of_an_object(behaviour: str, resource: str, kind: str, more: Object, space: Space):
    life = Life(resource, kind, selected("status", **more), namespaced=True)
    status_of_one(life, space, f"{kind.lower()}-status", {"conditions": [PATCHED]}, {"conditions": [TOLD]})


@pytest.fixture
def own(api: Api, request: pytest.FixtureRequest) -> Iterator[Space]:
    with space_of(api, request.node.name.removeprefix("test_").replace("_", "-")) as space:
        yield space


def replica_set(name: str, replicas: int) -> Object:
    metadata = {"name": name, "labels": {"of": name}}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, **selected(name, replicas=replicas)}


def image(name: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": f"example.com/{name}:1"}]}}}}


def is_rolled_out(space: Space, name: str, replicas: int) -> bool:
    found = space.get(DEPLOYMENTS, name)
    status = found.get("status", {})
    counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration") == found["metadata"]["generation"] and counts == [replicas] * 3


def rolled_out(space: Space, name: str, replicas: int) -> None:
    eventually(lambda: is_rolled_out(space, name, replicas), f"{name} is rolled out", 30)


def test_old_replica_sets_go(space: Space):
    """Deployment RevisionHistoryLimit"""
    made = deployment("history", 1)
    made["spec"]["revisionHistoryLimit"] = 1
    space.create(DEPLOYMENTS, made)
    rolled_out(space, "history", 1)
    first = space.list(REPLICA_SETS, "of=history")[0]["metadata"]["name"]
    for number in range(2):
        space.patch(DEPLOYMENTS, "history", image(f"history-{number}"), kind=STRATEGIC)
        rolled_out(space, "history", 1)
    eventually(lambda: len(space.list(REPLICA_SETS, "of=history")) == 2, "one old ReplicaSet is left", 20)
    assert not space.has(REPLICA_SETS, first)
    space.patch(DEPLOYMENTS, "history", {"spec": {"revisionHistoryLimit": 0}})
    eventually(lambda: len(space.list(REPLICA_SETS, "of=history")) == 1, "none is left", 20)
    space.delete(DEPLOYMENTS, "history")


def test_scaling_in_the_middle_of_a_roll_out(space: Space):
    """Deployment Proportional Scaling"""
    made = deployment("scaled", 10)
    made["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    space.create(DEPLOYMENTS, made)
    rolled_out(space, "scaled", 10)
    nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"nowhere": "yes"}}}}}
    space.patch(DEPLOYMENTS, "scaled", nowhere, kind=STRATEGIC)

    def wanted() -> list[int]:
        return sorted(item["spec"]["replicas"] for item in space.list(REPLICA_SETS, "of=scaled"))

    eventually(lambda: wanted() == [5, 8], "the roll-out has come as far as it can", 20)
    space.patch(DEPLOYMENTS, "scaled", {"spec": {"replicas": 30}})
    eventually(lambda: wanted() == [13, 20], "both have grown in proportion", 20)
    space.delete(DEPLOYMENTS, "scaled")


def test_the_life_of_a_deployment(space: Space, api: Api):
    """Deployment, completes the lifecycle of a Deployment"""
    with watching(api, space.path(DEPLOYMENTS), labelSelector="of=life") as watch:
        space.create(DEPLOYMENTS, deployment("life", 1))
        watch.until("ADDED", "life")
        rolled_out(space, "life", 1)
        patch = {"metadata": {"labels": {"patched": "yes"}}, "spec": {"replicas": 2} | image("patched")["spec"]}
        space.patch(DEPLOYMENTS, "life", patch, kind=STRATEGIC)
        rolled_out(space, "life", 2)
        everywhere = api.json("GET", f"/apis/{DEPLOYMENTS}", labelSelector="patched=yes")["items"]
        assert [item["metadata"]["name"] for item in everywhere] == ["life"]
        space.modify(DEPLOYMENTS, "life", lambda found: found["spec"].update(replicas=1), "scale")
        rolled_out(space, "life", 1)
        assert space.get(DEPLOYMENTS, "life", "status")["status"]["readyReplicas"] == 1
        told = {"status": {"conditions": [PATCHED]}}
        patched = space.patch(DEPLOYMENTS, "life", told, "status", kind=STRATEGIC)
        assert condition_of(patched, "StatusPatched") == "True"
        space.delete(DEPLOYMENTS, "life")
        watch.until("DELETED", "life")


def conditions_of(place: Space, resource: str, name: str) -> Object:
    return {one["type"]: one for one in place.get(resource, name, "status")["status"].get("conditions", [])}


@pytest.mark.parametrize(
    ("behaviour", "resource"),
    [("Deployment, status sub-resource", DEPLOYMENTS), ("ReplicaSet, status sub-resource", REPLICA_SETS)],
)
def test_the_status_that_a_controller_writes_too(behaviour: str, resource: str, space: Space):
    name = resource.rpartition("/")[2]
    space.create(resource, (deployment if resource == DEPLOYMENTS else replica_set)(name, 1))
    eventually(lambda: space.get(resource, name, "status")["status"].get("readyReplicas") == 1, "its pod is ready", 20)

    def tell(found: Object) -> None:
        found["status"]["conditions"] = [*found["status"].get("conditions", []), TOLD]

    space.modify(resource, name, tell, "status")
    assert conditions_of(space, resource, name)["StatusUpdate"]["message"] == TOLD["message"]
    space.patch(resource, name, {"status": {"conditions": [PATCHED]}}, "status", kind=STRATEGIC)
    found = conditions_of(space, resource, name)
    assert found["StatusPatched"]["message"] == PATCHED["message"] and "StatusUpdate" in found
    space.delete(resource, name)


@pytest.mark.parametrize(
    ("behaviour", "resource"),
    [
        ("Replica Set, adopt matching pods and release non matching pods", REPLICA_SETS),
        ("Replication Controller, adopt matching pods", CONTROLLERS),
    ],
)
def test_pods_are_adopted_and_released(behaviour: str, resource: str, space: Space):
    name = f"adopts-{resource.rpartition('/')[2]}"
    space.ready(space.start(pod(container(None), name=f"{name}-orphan", labels={"of": name}, restartPolicy="Always")))
    space.create(resource, (replica_set if resource == REPLICA_SETS else controller)(name, 1))
    eventually(lambda: owners(space.get("pods", f"{name}-orphan")) == [name], "the orphan is adopted", 20)
    assert len(living(space, name)) == 1
    space.patch("pods", f"{name}-orphan", {"metadata": {"labels": {"of": "somebody-else"}}})
    eventually(lambda: owners(space.get("pods", f"{name}-orphan")) == [], "the pod is released", 20)
    has_pods(space, name, 1)
    space.delete(resource, name)
    space.delete("pods", f"{name}-orphan", grace_s=0)


def test_replica_sets_by_label(space: Space):
    """ReplicaSet, list and delete a collection of ReplicaSets"""
    for number in range(3):
        made = replica_set(f"many-{number}", 1)
        made["metadata"]["labels"] = {"of": "many-sets"}
        space.create(REPLICA_SETS, made)
    assert len(space.list(REPLICA_SETS, "of=many-sets")) == 3
    space.delete_all(REPLICA_SETS, "of=many-sets")
    eventually(lambda: space.list(REPLICA_SETS, "of=many-sets") == [], "they are gone", 10)


def test_the_scale_of_a_controller(space: Space):
    """Replication Controller, get and update ReplicationController scale"""
    space.create(CONTROLLERS, controller("scale", 1))
    found = space.get(CONTROLLERS, "scale", "scale")
    assert (found["kind"], found["spec"]["replicas"]) == ("Scale", 1)
    space.modify(CONTROLLERS, "scale", lambda one: one["spec"].update(replicas=2), "scale")
    assert space.get(CONTROLLERS, "scale")["spec"]["replicas"] == 2
    has_pods(space, "scale", 2)
    space.delete(CONTROLLERS, "scale")


def test_a_controller_and_a_quota(own: Space):
    """Replication Controller, check for issues like exceeding allocated quota"""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}}
    own.create("resourcequotas", quota)
    eventually(lambda: own.get("resourcequotas", "q").get("status", {}).get("used"), "the quota is counted", 15)
    own.create(CONTROLLERS, controller("too-many", 3))

    def fails() -> bool:
        return condition_of(own.get(CONTROLLERS, "too-many"), "ReplicaFailure") == "True"

    eventually(fails, "the controller says that it fails", 20)
    assert len(own.list("pods")) == 2
    own.patch(CONTROLLERS, "too-many", {"spec": {"replicas": 2}})
    eventually(lambda: not fails(), "it no longer fails", 20)


def test_the_life_of_a_controller(space: Space, api: Api):
    """Replication Controller, lifecycle"""
    made = controller("rc-life", 1)
    made["metadata"]["labels"] = {"of": "rc-life"}
    with watching(api, space.path(CONTROLLERS), labelSelector="of=rc-life") as watch:
        space.create(CONTROLLERS, made)
        watch.until("ADDED", "rc-life")
        eventually(lambda: is_ready(has_pods(space, "rc-life", 1)[0]), "its pod is ready", 20)
        space.patch(CONTROLLERS, "rc-life", {"metadata": {"labels": {"patched": "yes"}}})
        assert space.get(CONTROLLERS, "rc-life", "status")["status"]["replicas"] == 1
        patched = space.patch(CONTROLLERS, "rc-life", {"status": {"conditions": [PATCHED]}}, "status", kind=STRATEGIC)
        assert condition_of(patched, "StatusPatched") == "True"
        assert space.get(CONTROLLERS, "rc-life", "scale")["spec"]["replicas"] == 1
        space.modify(CONTROLLERS, "rc-life", lambda found: found["spec"].update(replicas=2), "scale")
        has_pods(space, "rc-life", 2)
        space.modify(CONTROLLERS, "rc-life", lambda found: found["metadata"]["labels"].update(updated="yes"))
        everywhere = api.json("GET", f"/api/v1/{CONTROLLERS}", labelSelector="patched=yes,updated=yes")["items"]
        assert [item["metadata"]["name"] for item in everywhere] == ["rc-life"]
        space.delete_all(CONTROLLERS, "of=rc-life")
        watch.until("DELETED", "rc-life")

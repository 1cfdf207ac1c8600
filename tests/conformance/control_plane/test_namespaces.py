"""sig-api-machinery: namespaces: their status and finalizers, and how they end."""

import pytest

from tests.cluster import eventually
from tests.conformance.access import Api
from tests.conformance.pods import Space, condition_of, config_map, container, pod, space_of

pytestmark = pytest.mark.timeout(60)

NAMESPACES = "namespaces"
HOLD = "conformance.example.com/hold"


def namespace(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def test_a_finalizer_comes_and_goes(whole: Space):
    """Namespace, apply finalizer to a namespace"""
    name, fake = "finalized", "e2e.example.com/fakeFinalizer"
    assert whole.create(NAMESPACES, namespace(name))["spec"]["finalizers"] == ["kubernetes"]
    found = whole.get(NAMESPACES, name)
    found["spec"]["finalizers"].append(fake)
    assert fake in whole.update(NAMESPACES, found, "finalize")["spec"]["finalizers"]
    assert whole.get(NAMESPACES, name)["spec"]["finalizers"] == ["kubernetes", fake]
    found = whole.get(NAMESPACES, name)
    found["spec"]["finalizers"].remove(fake)
    whole.update(NAMESPACES, found, "finalize")
    assert whole.get(NAMESPACES, name)["spec"]["finalizers"] == ["kubernetes"]
    whole.delete(NAMESPACES, name)


def test_the_status_changes(whole: Space):
    """Namespace, apply changes to a namespace status"""
    name = "status-of-one"
    whole.create(NAMESPACES, namespace(name))
    assert whole.get(NAMESPACES, name, "status")["status"]["phase"] == "Active"
    told = {"type": "StatusPatch", "status": "True", "reason": "E2E", "message": "Patched by an e2e test"}
    whole.patch(
        NAMESPACES, name, {"metadata": {"annotations": {"patched": "yes"}}, "status": {"conditions": [told]}}, "status"
    )
    assert condition_of(whole.get(NAMESPACES, name), "StatusPatch") == "True"
    more = {**told, "type": "StatusUpdate", "message": "Updated by an e2e test"}
    whole.modify(NAMESPACES, name, lambda found: found["status"]["conditions"].append(more), "status")
    found = whole.get(NAMESPACES, name)["status"]
    assert [one["message"] for one in found["conditions"]] == [told["message"], more["message"]]
    assert found["phase"] == "Active"
    whole.delete(NAMESPACES, name)


def test_pods_go_with_their_namespace(api: Api):
    """namespace-deletion-removes-pods"""
    with space_of(api, "with-pods") as space:
        name = space.start(pod(container(None), terminationGracePeriodSeconds=0))
        space.ready(name)
    with space_of(api, "with-pods") as space:
        assert space.list("pods") == []


def test_pods_go_first(api: Api, whole: Space):
    """Ordered Namespace Deletion"""
    with space_of(api, "ordered") as space:
        name = space.start(pod(container(None)))
        space.ready(name)
        space.patch("pods", name, {"metadata": {"finalizers": [HOLD]}})
        space.create("configmaps", config_map("needed"))
        whole.delete(NAMESPACES, "ordered")
        eventually(lambda: "deletionTimestamp" in space.get("pods", name)["metadata"], "the pod is to go", 15)

        def told() -> bool:
            return condition_of(whole.get(NAMESPACES, "ordered"), "NamespaceContentRemaining") == "True"

        eventually(told, "the namespace says what remains", 15)
        assert "deletionTimestamp" not in space.get("configmaps", "needed")["metadata"]
        space.patch("pods", name, {"metadata": {"finalizers": None}})
        eventually(lambda: not space.has("configmaps", "needed"), "the ConfigMap goes too", 15)
        eventually(lambda: not whole.has(NAMESPACES, "ordered"), "and the namespace", 15)
        whole.create(NAMESPACES, namespace("ordered"))  # for the end of the fixture

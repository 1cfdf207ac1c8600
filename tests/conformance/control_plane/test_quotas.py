"""sig-api-machinery: resource quotas: their lives, what they count, and what they refuse."""

from collections.abc import Iterator

import pytest

from tests.cluster import eventually
from tests.conformance.access import Api, Object, Refused
from tests.conformance.lives import holds
from tests.conformance.pods import Space, config_map, container, pod, secret, space_of

pytestmark = pytest.mark.timeout(60)

QUOTAS, REPLICA_SETS = "resourcequotas", "apps/v1/replicasets"
EXTENDED = "requests.example.com/dongle"


@pytest.fixture
def own(api: Api, request: pytest.FixtureRequest) -> Iterator[Space]:
    """A namespace for the test alone: a quota holds for all that is in it."""
    with space_of(api, request.node.name.removeprefix("test_").replace("_", "-")) as space:
        yield space


def quota(name: str, hard: Object, label: str = "quota") -> Object:
    metadata = {"name": name, "labels": {"of": label}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}


def used(space: Space, name: str = "q") -> Object:
    return space.get(QUOTAS, name).get("status", {}).get("used", {})


def counts(space: Space, **wanted: str) -> None:
    eventually(lambda: holds(used(space), wanted), f"the quota counts {wanted}", 15)


def test_its_status_is_calculated(own: Space):
    """ResourceQuota, object count quota, resourcequotas"""
    hard = {"pods": "5", "services": "10", "services.nodeports": "1", "resourcequotas": "1", "secrets": "10"}
    own.create(QUOTAS, quota("q", hard))
    counts(own, resourcequotas="1", pods="0", services="0", secrets="0", **{"services.nodeports": "0"})
    assert own.get(QUOTAS, "q")["status"]["hard"] == hard


def test_secrets_are_counted(own: Space):
    """ResourceQuota, object count quota, secret"""
    before = len(own.list("secrets"))
    own.create(QUOTAS, quota("q", {"secrets": str(before + 1), "resourcequotas": "1"}))
    counts(own, secrets=str(before), resourcequotas="1")
    own.create("secrets", secret("one", {"k": "v"}))
    counts(own, secrets=str(before + 1))
    with pytest.raises(Refused) as refused:
        own.create("secrets", secret("two", {"k": "v"}))
    assert (refused.value.code, "exceeded quota: q" in str(refused.value)) == (403, True)
    own.delete("secrets", "one")
    counts(own, secrets=str(before))


def test_replica_sets_are_counted(own: Space):
    """ResourceQuota, object count quota, replicaSet"""
    own.create(QUOTAS, quota("q", {"count/replicasets.apps": "1"}))
    counts(own, **{"count/replicasets.apps": "0"})
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    own.create(REPLICA_SETS, {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "one"}, "spec": spec})
    counts(own, **{"count/replicasets.apps": "1"})
    own.delete(REPLICA_SETS, "one")
    counts(own, **{"count/replicasets.apps": "0"})


def test_a_pod_is_counted(own: Space):
    """ResourceQuota, object count quota, pod"""
    hard = {
        "pods": "2",
        "requests.cpu": "1",
        "requests.memory": "500Mi",
        "requests.ephemeral-storage": "50Gi",
        EXTENDED: "3",
    }
    nothing = dict.fromkeys(hard, "0")
    own.create(QUOTAS, quota("q", hard))
    eventually(lambda: used(own) == nothing, "the quota is calculated", 15)

    def asking(name: str, cpu: str, memory: str, dongles: str) -> Object:
        asked = {"cpu": cpu, "memory": memory, "ephemeral-storage": "30Gi", "example.com/dongle": dongles}
        limits = {"example.com/dongle": dongles}
        made = pod(container(None, resources={"requests": asked, "limits": limits}), name=name)
        made["spec"]["nodeSelector"] = {"nowhere": "yes"}  # what it asks for, no node has
        return made

    own.start(asking("fits", "500m", "252Mi", "2"))
    taken = {"pods": "1", "requests.cpu": "500m", "requests.memory": "252Mi", "requests.ephemeral-storage": "30Gi"}
    eventually(lambda: used(own) == taken | {EXTENDED: "2"}, "the pod is counted", 15)
    for name, cpu, dongles in (("too-much", "600m", "0"), ("too-many", "100m", "2")):
        with pytest.raises(Refused) as refused:
            own.start(asking(name, cpu, "100Mi", dongles))
        assert (refused.value.code, "exceeded quota: q" in str(refused.value)) == (403, True)
    more = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]}}
    with pytest.raises(Refused) as refused:
        own.patch("pods", "fits", more, kind="application/strategic-merge-patch+json")
    assert refused.value.code == 422
    assert used(own) == taken | {EXTENDED: "2"}
    own.delete("pods", "fits", grace_s=0)
    eventually(lambda: used(own) == nothing, "what the pod had is given back", 15)


def test_its_life(own: Space, whole: Space):
    """ResourceQuota, manage lifecycle of a ResourceQuota"""
    own.create(QUOTAS, quota("life", {"cpu": "1", "memory": "500Mi"}, "life"))
    assert own.get(QUOTAS, "life")["spec"]["hard"] == {"cpu": "1", "memory": "500Mi"}
    assert [item["metadata"]["name"] for item in whole.list(QUOTAS, "of=life")] == ["life"]
    patch = {"metadata": {"labels": {"p": "q"}}, "spec": {"hard": {"memory": "750Mi"}}}
    assert own.patch(QUOTAS, "life", patch)["spec"]["hard"] == {"cpu": "1", "memory": "750Mi"}
    assert [item["metadata"]["name"] for item in whole.list(QUOTAS, "p=q")] == ["life"]
    own.delete_all(QUOTAS, "p=q")
    assert whole.list(QUOTAS, "of=life") == []


def test_its_status_is_changed(own: Space):
    """ResourceQuota, apply changes to a ResourceQuota status"""
    own.create(QUOTAS, quota("q", {"cpu": "500m", "memory": "500Mi"}))

    def says(part: str, **hard: str) -> None:
        eventually(lambda: own.get(QUOTAS, "q").get(part, {}).get("hard") == hard, f"{part} says {hard}", 15)

    says("status", cpu="500m", memory="500Mi")
    more = {"cpu": "1", "memory": "1Gi"}
    told = own.modify(QUOTAS, "q", lambda found: found["status"].update(hard=more), "status")
    assert told["status"]["hard"] == more
    says("status", cpu="500m", memory="500Mi")  # the controller puts it right again
    own.patch(QUOTAS, "q", {"spec": {"hard": more}})
    says("spec", cpu="1", memory="1Gi")
    says("status", cpu="1", memory="1Gi")
    assert own.patch(QUOTAS, "q", {"status": {"hard": {"cpu": "2"}}}, "status")["status"]["hard"]["cpu"] == "2"
    says("spec", cpu="1", memory="1Gi")
    says("status", cpu="1", memory="1Gi")
    assert own.get(QUOTAS, "q", "status")["status"]["hard"] == more
    own.create("configmaps", config_map("unbothered"))

"""sig-scheduling: what a limit range gives and refuses, priority classes, and nodes that do not fit."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import eventually
from tests.conformance.access import Api, Object, Refused
from tests.conformance.pods import Space, condition_of, container, is_ready, pod, space_of

pytestmark = pytest.mark.timeout(60)

RANGES, CLASSES = "limitranges", "scheduling.k8s.io/v1/priorityclasses"
AMOUNTS = ("cpu", "memory", "ephemeral-storage")


@pytest.fixture
def own(api: Api, request: pytest.FixtureRequest) -> Iterator[Space]:
    with space_of(api, request.node.name.removeprefix("test_").replace("_", "-")) as space:
        yield space


def amounts(*values: str) -> Object:
    return dict(zip(AMOUNTS, values, strict=True))


def limit_range(name: str, label: str = "range", **limits: Any) -> Object:
    metadata = {"name": name, "labels": {"of": label}}
    spec = {"limits": [{"type": "Container", **limits}]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": spec}


def test_defaults_of_a_limit_range(own: Space):
    """LimitRange, resources"""
    limits = {
        "min": amounts("50m", "100Mi", "100Gi"),
        "max": amounts("500m", "500Mi", "500Gi"),
        "default": amounts("500m", "500Mi", "500Gi"),
        "defaultRequest": amounts("100m", "200Mi", "200Gi"),
    }
    created = own.create(RANGES, limit_range("one", **limits))
    assert created["spec"]["limits"] == [{"type": "Container", **limits}]

    def made(name: str, requests: Object | None = None, limits: Object | None = None) -> Object:
        resources = {"requests": requests or {}, "limits": limits or {}}
        return own.create("pods", pod(container(None, resources=resources), name=name))["spec"]["containers"][0]

    assert made("plain")["resources"] == {"requests": limits["defaultRequest"], "limits": limits["default"]}
    partly = made("partly", amounts("150m", "150Mi", "150Gi"), {"cpu": "300m"})["resources"]
    assert partly == {
        "requests": amounts("150m", "150Mi", "150Gi"),
        "limits": {"cpu": "300m", "memory": "500Mi", "ephemeral-storage": "500Gi"},
    }
    for name, requests, cap in (("less", {"cpu": "10m"}, None), ("more", None, {"cpu": "600m"})):
        with pytest.raises(Refused) as refused:
            made(name, requests, cap)
        assert refused.value.code == 403
    least = amounts("49m", "49Mi", "49Gi")
    own.modify(RANGES, "one", lambda found: found["spec"]["limits"][0].update(min=least))
    assert own.get(RANGES, "one")["spec"]["limits"][0]["min"] == least
    made("less-now", amounts("49m", "100Mi", "100Gi"))
    with pytest.raises(Refused):
        made("still-more", None, {"cpu": "600m"})
    own.delete(RANGES, "one")
    eventually(lambda: not own.has(RANGES, "one"), "it is gone", 10)
    made("free", None, {"cpu": "600m"})


def test_limit_ranges_by_label(own: Space, space: Space, whole: Space):
    """LimitRange, list, patch and delete a LimitRange by collection"""
    limits = {"max": {"cpu": "500m"}}
    for place in (own, space):
        place.create(RANGES, limit_range("both", "both", **limits))
    assert len(whole.list(RANGES, "of=both")) == 2
    patch = {"metadata": {"labels": {"p": "q"}}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "400m"}}]}}
    found = own.patch(RANGES, "both", patch, kind="application/strategic-merge-patch+json")
    assert (found["metadata"]["labels"]["p"], found["spec"]["limits"][0]["max"]) == ("q", {"cpu": "400m"})
    own.delete_all(RANGES, "p=q")
    eventually(lambda: own.list(RANGES, "of=both") == [], "the first is gone", 10)
    (left,) = whole.list(RANGES, "of=both")
    assert left["metadata"]["namespace"] == space.name
    space.delete(RANGES, "both")


def test_no_node_has_the_label(space: Space):
    """Scheduler, node selector not matching"""
    name = space.start(pod(container(None), nodeSelector={"label": "nonempty"}))
    found = space.when(name, lambda one: condition_of(one, "PodScheduled") == "False", "it was looked at", 15)
    (why,) = (one for one in found["status"]["conditions"] if one["type"] == "PodScheduled")
    assert (why["reason"], "didn't match Pod's node affinity/selector" in why["message"]) == ("Unschedulable", True)
    assert "nodeName" not in found["spec"]
    space.delete("pods", name)


def test_a_port_of_all_addresses_is_taken(space: Space, whole: Space):
    """Scheduling, HostPort and Protocol match, HostIPs different but one is default HostIP (0.0.0.0)"""
    free = [one for one in whole.list("nodes") if is_ready(one) and not one["spec"].get("taints")]
    node = free[0]["metadata"]["name"]

    def asking(name: str, address: str) -> str:
        ports = [
            {"containerPort": 8080, "hostPort": 54322, "protocol": "TCP", **({"hostIP": address} if address else {})}
        ]
        select = {"kubernetes.io/hostname": node}
        return space.start(pod(container(None, ports=ports), name=name, nodeSelector=select))

    space.ready(asking("everywhere", ""))
    asking("at-one", "127.0.0.1")
    found = space.when("at-one", lambda one: condition_of(one, "PodScheduled") == "False", "it was looked at", 15)
    assert "didn't have free ports" in str(found["status"]["conditions"])
    space.delete("pods", "everywhere", grace_s=0)
    space.ready("at-one")
    space.delete("pods", "at-one", grace_s=0)


def test_priority_classes(whole: Space):
    """Scheduler, Verify PriorityClass endpoints"""
    for number, name in enumerate(("p1", "p2"), 1):
        metadata = {"name": name, "labels": {"of": "classes"}}
        body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": metadata, "value": number}
        whole.create(CLASSES, body | {"description": "one", "globalDefault": False})
    found = {item["metadata"]["name"]: item["value"] for item in whole.list(CLASSES)}
    assert (found["p1"], found["p2"], found["system-node-critical"]) == (1, 2, 2_000_001_000)
    assert whole.patch(CLASSES, "p1", {"description": "patched"})["description"] == "patched"
    whole.modify(CLASSES, "p1", lambda one: one.update(description="updated"))
    assert whole.get(CLASSES, "p1")["description"] == "updated"
    for change in ({"value": 100}, {"preemptionPolicy": "Never"}):
        with pytest.raises(Refused) as refused:
            whole.patch(CLASSES, "p1", change)
        assert refused.value.code == 422
        with pytest.raises(Refused) as refused:
            whole.update(CLASSES, whole.get(CLASSES, "p1") | change)
        assert refused.value.code == 422
    whole.delete_all(CLASSES, "of=classes")
    assert whole.list(CLASSES, "of=classes") == []

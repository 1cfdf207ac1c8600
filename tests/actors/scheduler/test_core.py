"""The scheduler's core: events in, decisions out."""

import pytest

from actors.scheduler.cache import ASSUMED_EXPIRY_S
from actors.scheduler.core import GATED_MESSAGE, Bind, NotScheduled, SchedulerCore
from actors.scheduler.queue import State
from tests.actors.scheduler.objects import Object, node, pod


class Cluster:
    """A core, and the objects that a watch would have shown it."""

    def __init__(self, *nodes: Object, seed: int = 1) -> None:
        self.core = SchedulerCore(seed)
        self.now_s = 0.0
        self.objects: dict[str, Object] = {}
        for obj in nodes:
            self.node(obj)

    def node(self, obj: Object) -> None:
        name = obj["metadata"]["name"]
        self.core.node_changed(self.objects.get(name), obj, self.now_s)
        self.objects[name] = obj

    def delete_node(self, name: str) -> None:
        self.core.node_changed(self.objects.pop(name), None, self.now_s)

    def pod(self, obj: Object) -> None:
        key = f"default/{obj['metadata']['name']}"
        self.core.pod_changed(key, self.objects.get(key), obj, self.now_s)
        self.objects[key] = obj

    def delete_pod(self, name: str) -> None:
        key = f"default/{name}"
        self.core.pod_changed(key, self.objects.pop(key), None, self.now_s)

    def schedule(self) -> dict[str, str]:
        """Return node or message by pod name."""
        decided = {}
        for decision in self.core.schedule(self.now_s, 10_000):
            name = decision.key.removeprefix("default/")
            decided[name] = decision.node if isinstance(decision, Bind) else decision.message
        self.core.arrays.validate()
        self.core.queue.validate()
        return decided

    def bound(self, name: str, on: str) -> None:
        """The watch shows the binding."""
        obj = self.objects[f"default/{name}"]
        self.pod(obj | {"spec": obj["spec"] | {"nodeName": on}})


def test_a_pod_is_charged_at_once_so_that_the_next_decision_sees_it():
    cluster = Cluster(node("n1", cpu="1"))
    cluster.pod(pod("a", "600m"))
    cluster.pod(pod("b", "600m"))
    decided = cluster.schedule()
    assert decided["a"] == "n1"
    assert decided["b"] == "0/1 nodes are available: 1 Insufficient cpu."


def test_the_message_counts_each_reason_in_kubernetes_words():
    cluster = Cluster(
        node("full", cpu="1"),
        node("tainted-1", taints=[("dedicated", "db", "NoSchedule")]),
        node("tainted-2", taints=[("dedicated", "db", "NoSchedule")]),
        node("cordoned", unschedulable=True),
        node("small", cpu="1", memory="1Mi"),
        node("no-pods", pods="0"),
    )
    cluster.pod(pod("a", "2", "1Gi"))
    assert cluster.schedule()["a"] == (
        "0/6 nodes are available: 1 Insufficient memory, 1 Too many pods, 1 node(s) were unschedulable, "
        "2 Insufficient cpu, 2 node(s) had untolerated taint {dedicated: db}."
    )


def test_without_nodes_the_pod_waits_for_the_first():
    cluster = Cluster()
    cluster.pod(pod("a"))
    assert cluster.schedule() == {"a": "no nodes available to schedule pods"}
    cluster.now_s = 2.0
    cluster.node(node("n1"))
    assert cluster.schedule() == {"a": "n1"}


def test_an_assumed_pod_is_confirmed_by_the_watch_and_charged_once():
    cluster = Cluster(node("n1"))
    cluster.pod(pod("a", "1"))
    cluster.schedule()
    cluster.core.binding_acknowledged("default/a", 0.1)
    cluster.bound("a", "n1")
    assert cluster.core.cache.assumed_count == 0
    assert cluster.core.arrays.requested[0, 0] == 1000
    assert "default/a" not in cluster.core.queue


def test_a_failed_binding_frees_its_node_and_is_tried_again_after_backoff():
    cluster = Cluster(node("n1", cpu="1"))
    cluster.pod(pod("a", "1"))
    cluster.schedule()
    cluster.core.binding_failed("default/a", 0.0)
    assert cluster.core.arrays.requested[0, 0] == 0
    assert cluster.schedule() == {}
    cluster.now_s = 1.0
    assert cluster.schedule() == {"a": "n1"}


def test_capacity_that_a_failed_binding_frees_helps_those_that_waited_for_it():
    cluster = Cluster(node("n1", cpu="1"))
    cluster.pod(pod("a", "1"))
    cluster.pod(pod("b", "1"))
    cluster.schedule()
    cluster.now_s = 5.0
    cluster.core.binding_failed("default/a", 5.0)
    assert cluster.schedule() == {"b": "n1"}


def test_an_acknowledged_binding_that_the_watch_never_shows_expires():
    cluster = Cluster(node("n1"))
    cluster.pod(pod("a", "1"))
    cluster.schedule()
    cluster.core.binding_acknowledged("default/a", 0.0)
    assert cluster.core.expire(ASSUMED_EXPIRY_S - 1) == []
    assert cluster.core.next_wake_s() == ASSUMED_EXPIRY_S
    assert cluster.core.expire(ASSUMED_EXPIRY_S) == ["default/a"]
    assert cluster.core.queue.state("default/a") is State.BACKOFF


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_an_ended_pod_holds_nothing(phase):
    cluster = Cluster(node("n1", cpu="1"))
    cluster.pod(pod("a", "1", on="n1", status={"phase": "Running"}))
    cluster.pod(pod("b", "1"))
    assert "Insufficient cpu" in cluster.schedule()["b"]
    cluster.now_s = 2.0
    cluster.pod(pod("a", "1", on="n1", status={"phase": phase}))
    assert cluster.schedule() == {"b": "n1"}


def test_a_deleted_pod_frees_its_node():
    cluster = Cluster(node("n1", cpu="1"))
    cluster.pod(pod("a", "1", on="n1"))
    cluster.pod(pod("b", "1"))
    cluster.schedule()
    cluster.now_s = 2.0
    cluster.delete_pod("a")
    assert cluster.schedule() == {"b": "n1"}


def test_pods_of_a_node_that_comes_later_are_charged_when_it_does():
    cluster = Cluster()
    cluster.pod(pod("a", "3", on="n1"))
    cluster.node(node("n1", cpu="4"))
    cluster.pod(pod("b", "2"))
    assert "Insufficient cpu" in cluster.schedule()["b"]


def test_a_node_that_goes_and_comes_again_keeps_its_pods():
    cluster = Cluster(node("n1", cpu="4"))
    cluster.pod(pod("a", "3", on="n1"))
    cluster.delete_node("n1")
    cluster.core.arrays.validate()
    cluster.node(node("n2", cpu="1"))  # takes over the row
    cluster.node(node("n1", cpu="4"))
    cluster.pod(pod("b", "2"))
    assert cluster.schedule()["b"] == "0/2 nodes are available: 2 Insufficient cpu."


def test_pods_of_another_scheduler_and_pods_being_deleted_are_left_alone():
    cluster = Cluster(node("n1"))
    cluster.pod(pod("theirs", schedulerName="custom"))
    cluster.pod(pod("going", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}))
    assert cluster.schedule() == {}


def test_a_gated_pod_is_reported_once_and_scheduled_when_its_gates_are_gone():
    cluster = Cluster(node("n1"))
    cluster.pod(pod("a", schedulingGates=[{"name": "wait"}]))
    (decision,) = cluster.core.schedule(0.0, 10)
    assert isinstance(decision, NotScheduled)
    assert (decision.reason, decision.message) == ("SchedulingGated", GATED_MESSAGE)
    assert cluster.schedule() == {}
    cluster.pod(pod("a"))
    assert cluster.schedule() == {"a": "n1"}


def test_a_status_update_does_not_wake_an_unschedulable_pod_but_a_changed_spec_does():
    cluster = Cluster(node("n1", labels={"disk": "hdd"}))
    cluster.pod(pod("a", nodeSelector={"disk": "ssd"}))
    assert cluster.schedule()["a"] == "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    cluster.pod(pod("a", nodeSelector={"disk": "ssd"}, status={"phase": "Pending", "conditions": []}))
    assert cluster.schedule() == {}
    cluster.pod(pod("a", nodeSelector={"disk": "hdd"}))
    assert cluster.schedule() == {"a": "n1"}


def test_a_heartbeat_changes_nothing_and_a_new_label_brings_the_pod_back():
    cluster = Cluster(node("n1"))
    cluster.pod(pod("a", nodeSelector={"disk": "ssd"}))
    cluster.schedule()
    cluster.now_s = 2.0
    position = cluster.core.arrays.node_changes.position
    beat = node("n1")
    beat["status"]["conditions"] = [{"type": "Ready", "lastHeartbeatTime": "later"}]
    cluster.node(beat)
    assert cluster.core.arrays.node_changes.position == position
    assert cluster.schedule() == {}
    cluster.node(node("n1", labels={"disk": "ssd"}))
    assert cluster.schedule() == {"a": "n1"}


def test_a_pod_made_anew_under_its_name_is_a_new_pod():
    cluster = Cluster(node("n1", cpu="1"))
    cluster.pod(pod("a", "1", on="n1"))
    cluster.pod(pod("a", "1", meta={"uid": "another"}))
    assert cluster.schedule() == {"a": "n1"}


def test_a_daemon_sets_pod_goes_to_the_node_it_names_or_nowhere():
    def pinned(name: str, to: str) -> Object:
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [to]}]}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        return pod(name, "1", affinity={"nodeAffinity": required})

    cluster = Cluster(node("n1", cpu="1"), node("n2", cpu="1"))
    for name, to in (("a", "n2"), ("b", "n2"), ("c", "gone")):
        cluster.pod(pinned(name, to))
    decided = cluster.schedule()
    mismatch = "node(s) didn't match Pod's node affinity/selector"
    assert decided["a"] == "n2"
    assert decided["b"] == f"0/2 nodes are available: 1 Insufficient cpu, 1 {mismatch}."
    assert decided["c"] == f"0/2 nodes are available: 2 {mismatch}."


def test_a_request_near_the_largest_number_does_not_wrap_around():
    cluster = Cluster(node("n1", memory="8Gi"))
    cluster.pod(pod("a", memory="8E", on="n1"))
    cluster.pod(pod("b", memory="8E"))
    cluster.pod(pod("c", memory="1Gi"))
    decided = cluster.schedule()
    assert "Insufficient memory" in decided["b"]
    assert "Insufficient memory" in decided["c"]


def test_an_extended_resource_is_counted_like_any_other():
    cluster = Cluster(node("plain"), node("gpu", resources={"example.com/gpu": "1"}))
    cluster.pod(pod("a", requests={"example.com/gpu": "1"}))
    cluster.pod(pod("b", requests={"example.com/gpu": "1"}))
    assert cluster.schedule() == {
        "a": "gpu",
        "b": "0/2 nodes are available: 2 Insufficient example.com/gpu.",
    }


def test_equal_nodes_are_chosen_by_the_seed_and_the_choice_repeats():
    def run(seed: int) -> list[str]:
        cluster = Cluster(*(node(f"n{n}") for n in range(20)), seed=seed)
        for n in range(20):
            cluster.pod(pod(f"p{n}", "100m", "100Mi"))
        return list(cluster.schedule().values())

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert len(set(run(7))) == 20  # and pods spread over equal nodes


def test_many_nodes_grow_the_arrays():
    cluster = Cluster(*(node(f"n{n}", cpu="1") for n in range(300)))
    for n in range(301):
        cluster.pod(pod(f"p{n}", "1"))
    decided = cluster.schedule()
    assert len({on for on in decided.values() if on.startswith("n")}) == 300

from actors.api.meta import rfc3339
from actors.controller_manager.actions import Batch, Create, Delete, Failure, Patch, RequeueAfter, Update
from actors.controller_manager.ownership import claim
from actors.controller_manager.replicaset.ranking import rank_for_deletion
from actors.controller_manager.replicaset.reconcile import BURST_REPLICAS, REPLICA_SETS, reconcile

from .objects import NOW, pod, reference, replica_set


def decide(owner, pods, failure=None, related=()):
    return reconcile(REPLICA_SETS, owner, pods, related or pods, failure, NOW)


def batch_of(actions):
    return next(action for action in actions if isinstance(action, Batch))


def status_of(actions):
    return next(action.obj["status"] for action in actions if isinstance(action, Update))


def settled(owner, pods):
    """The owner with the status that its Pods amount to."""
    for action in decide(owner, pods):
        if isinstance(action, Update):
            return action.obj
    return owner


def test_missing_pods_are_created_slowly_at_first():
    owner = replica_set("web", 3)
    batch = batch_of(decide(owner, [pod("web-a", owner=owner)]))
    assert batch.slow_start and batch.tolerant
    assert [type(write) for write in batch.writes] == [Create, Create]
    created = batch.writes[0].obj
    assert created["metadata"]["generateName"] == "web-"
    assert created["metadata"]["ownerReferences"] == [reference(owner)]
    assert created["metadata"]["labels"] == {"app": "web"}
    assert created["spec"] == owner["spec"]["template"]["spec"]
    assert created["spec"] is not owner["spec"]["template"]["spec"]


def test_no_more_than_a_burst_at_a_time():
    batch = batch_of(decide(replica_set("web", 2000), []))
    assert len(batch.writes) == BURST_REPLICAS


def test_finished_and_terminating_pods_are_replaced():
    owner = replica_set("web", 2)
    pods = [pod("a", owner=owner, phase="Failed"), pod("b", owner=owner, deleting=True), pod("c", owner=owner)]
    assert len(batch_of(decide(owner, pods)).writes) == 1


def test_surplus_pods_are_deleted_by_uid():
    owner = replica_set("web", 1)
    pods = [pod("ready", owner=owner), pod("pending", owner=owner, phase="Pending", ready=False, node=None)]
    (write,) = batch_of(decide(owner, pods)).writes
    assert isinstance(write, Delete)
    assert (write.name, write.uid) == ("pending", pods[1]["metadata"]["uid"])


def test_an_owner_that_is_deleted_only_counts():
    owner = replica_set("web", 3, deletionTimestamp=rfc3339(NOW))
    assert not [action for action in decide(owner, []) if isinstance(action, Batch)]


def test_status_counts_and_is_written_once():
    owner = replica_set("web", 3, spec={"minReadySeconds": 10})
    pods = [
        pod("old", owner=owner, ready_for_s=60),
        pod("young", owner=owner, ready_for_s=4),
        pod("unready", owner=owner, ready=False, labels={"other": "label"}),
        pod("going", owner=owner, deleting=True),
    ]
    actions = decide(owner, pods)
    status = status_of(actions)
    assert status == {
        "replicas": 3,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 1,
    }
    assert RequeueAfter(6.0) in actions
    assert decide({**owner, "status": status}, pods) == [RequeueAfter(6.0)]


def test_converged_means_nothing_to_do():
    owner = replica_set("web", 1)
    pods = [pod("a", owner=owner)]
    assert decide(settled(owner, pods), pods) == []


def test_a_refused_creation_is_told_in_the_status_until_it_succeeds():
    owner = replica_set("web", 1)
    failure = Failure("create", "pods", "Forbidden", "exceeded quota")
    status = status_of(decide(owner, [], failure))
    (condition,) = status["conditions"]
    assert (condition["type"], condition["reason"], condition["message"]) == (
        "ReplicaFailure",
        "FailedCreate",
        "exceeded quota",
    )
    failed = {**owner, "status": status}
    assert "conditions" not in status_of(decide(failed, [pod("a", owner=owner)], failure))


def test_the_order_in_which_pods_go():
    owner = replica_set("web", 0)
    cost = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    in_order = [
        pod("unassigned", owner=owner, node=None, phase="Pending", ready=False),
        pod("pending", owner=owner, phase="Pending", ready=False),
        pod("unready", owner=owner, ready=False),
        pod("cheap", owner=owner, annotations=cost),
        pod("crowded", owner=owner, node="w2", ready_for_s=4000, age_s=9000),
        pod("crowded-too", owner=owner, node="w2", ready_for_s=4001, age_s=90_000),
        pod("ready-since-yesterday", owner=owner, node="w3", ready_for_s=90_000, age_s=90_000, restarts=9),
        pod("the-same-without-restarts", owner=owner, node="w4", ready_for_s=90_000, age_s=90_000),
        pod("oldest", owner=owner, node="w5", ready_for_s=10**7, age_s=10**7),
    ]
    ranked = rank_for_deletion(list(reversed(in_order)), in_order, NOW)
    assert [found["metadata"]["name"] for found in ranked] == [found["metadata"]["name"] for found in in_order]


def test_a_bad_deletion_cost_counts_as_none():
    silly = pod("a", annotations={"controller.kubernetes.io/pod-deletion-cost": "cheap"}, uid="a")
    plain = pod("b", uid="b")
    assert rank_for_deletion([plain, silly], [], NOW) == [silly, plain]


def claimed(owner, pods):
    return claim(REPLICA_SETS, owner, "pods", pods, lambda found: found["metadata"]["labels"].get("app") == "web")


def test_orphans_that_match_are_adopted_after_the_owner_was_confirmed():
    owner, orphan = replica_set("web", 1), pod("orphan", version=7)
    found = claimed(owner, [orphan])
    assert found.owned == [orphan]
    confirm, adopt = found.actions
    assert confirm.uid == owner["metadata"]["uid"]
    assert isinstance(adopt, Patch)
    assert adopt.patch["metadata"]["resourceVersion"] == "7"
    assert adopt.patch["metadata"]["ownerReferences"] == [reference(owner)]


def test_what_is_being_deleted_or_belongs_to_another_is_left_alone():
    owner, other = replica_set("web", 1), replica_set("other", 1)
    pods = [pod("going", deleting=True), pod("theirs", owner=other), pod("unlike", labels={"app": "db"})]
    found = claimed(owner, pods)
    assert (found.owned, found.actions) == ([], [])


def test_what_the_selector_no_longer_matches_is_released():
    owner = replica_set("web", 1)
    lost = pod("lost", owner=owner, labels={"app": "debug"})
    found = claimed(owner, [lost])
    (release,) = found.actions
    assert found.owned == []
    assert release.patch["metadata"]["ownerReferences"] == []


def test_an_owner_that_is_deleted_neither_adopts_nor_releases():
    owner = replica_set("web", 1, deletionTimestamp=rfc3339(NOW))
    pods = [pod("orphan"), pod("lost", owner=owner, labels={"app": "debug"})]
    assert claimed(owner, pods).actions == []

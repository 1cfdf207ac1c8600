from actors.api.meta import rfc3339
from actors.controller_manager.actions import Create, Delete, Failure, Patch, RequeueAfter, Update
from actors.controller_manager.deployment import progress, revisions
from actors.controller_manager.deployment.reconcile import Observed, reconcile
from actors.controller_manager.deployment.strategy import max_surge, max_unavailable
from actors.controller_manager.pods import condition

from .objects import NOW, deployment, pod, replica_set, template


def decide(found, *replica_sets, now=NOW, **more):
    return reconcile(found, Observed(replica_sets, **more), now)


def of_type(actions, kind):
    return [action for action in actions if isinstance(action, kind)]


def sizes(actions):
    return {
        patch.name: patch.patch["spec"]["replicas"]
        for patch in of_type(actions, Patch)
        if "replicas" in patch.patch.get("spec", {})
    }


def status_of(actions):
    (update,) = of_type(actions, Update)
    assert update.subresource == "status"
    return update.obj["status"]


def rs_of(found, name, replicas, *, image="web:1", revision=1, status=None, **more):
    annotations = {**revisions.size_annotations(found), "deployment.kubernetes.io/revision": str(revision)}
    annotations |= more.pop("annotations", {})
    return replica_set(
        name,
        replicas,
        owner=found,
        image=image,
        annotations=annotations,
        status=replicas if status is None else status,
        **more,
    )


def test_fenceposts():
    assert (max_surge(deployment(replicas=10)), max_unavailable(deployment(replicas=10))) == (3, 2)
    assert max_unavailable(deployment(replicas=3, surge=0, unavailable="10%")) == 1
    assert max_unavailable(deployment(replicas=2, unavailable=9)) == 2
    assert max_surge(deployment(recreate=True)) == 0
    assert max_surge(deployment(replicas=100, surge="7%")) == 7


def test_a_new_deployment_gets_a_replica_set():
    found = deployment(annotations={"kubernetes.io/change-cause": "first", "deployment.kubernetes.io/revision": "7"})
    actions = decide(found)
    (create,) = of_type(actions, Create)
    made = create.obj
    hash_ = made["metadata"]["labels"]["pod-template-hash"]
    assert made["metadata"]["name"] == f"web-{hash_}"
    assert made["spec"]["replicas"] == 3
    assert made["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": hash_}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "web", "pod-template-hash": hash_}
    assert made["metadata"]["annotations"] == {
        "kubernetes.io/change-cause": "first",
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    assert create.done.message == f"Scaled up replica set web-{hash_} from 0 to 3"
    progressing = condition({"status": status_of(actions)}, "Progressing")
    assert progressing["reason"] == "NewReplicaSetCreated"
    assert "pod-template-hash" not in found["spec"]["template"]["metadata"]["labels"]


def test_an_annotation_that_is_no_number_counts_as_missing():
    for text in ("", "-1", "x", "²", "1" * 5000):
        found = replica_set("web-1", 1)
        found["metadata"].setdefault("annotations", {})[revisions.REVISION] = text
        assert revisions.revision_of(found) == 0
        assert revisions.next_revision([found]) == 1


def test_the_hash_is_stable():
    """A change of it would make every Deployment of a cluster roll out anew at an upgrade."""
    assert revisions.template_hash(template(), 0) == "794686fc5b"
    assert revisions.template_hash(template(), 1) != revisions.template_hash(template(), 0)


def test_a_name_that_is_taken_counts_a_collision():
    found = deployment()
    taken = replica_set(revisions.new_name(found), 1, image="other")
    actions = decide(found, namesake=taken)
    assert not of_type(actions, Create)
    assert status_of(actions)["collisionCount"] == 1
    again = {**found, "status": {"collisionCount": 1}}
    assert revisions.new_name(again) != revisions.new_name(found)


def test_a_refused_creation_is_told_and_tried_again():
    found = deployment()
    actions = decide(found, failure=Failure("create", "replicasets.apps", "Forbidden", "quota"))
    progressing = condition({"status": status_of(actions)}, "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ReplicaSetCreateError")
    assert [type(action) for action in actions] == [Update, Create]


def test_a_rolling_update_grows_the_new_one_first():
    found = deployment(replicas=4, image="web:2", surge=1, unavailable=0)
    old = rs_of(found, "web-old", 4)
    (create,) = of_type(decide(found, old), Create)
    assert create.obj["spec"]["replicas"] == 1
    assert create.obj["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


def test_then_it_shrinks_the_old_one_by_what_is_available():
    found = deployment(replicas=4, image="web:2", surge=1, unavailable=0)
    old = rs_of(found, "web-old", 4)
    unready = rs_of(found, "web-new", 1, image="web:2", revision=2, status={"replicas": 1, "observedGeneration": 1})
    assert sizes(decide(found, old, unready)) == {}
    assert sizes(decide(found, old, rs_of(found, "web-new", 1, image="web:2", revision=2))) == {"web-old": 3}


def test_the_surge_counts_pods_that_are_not_gone_yet():
    found = deployment(replicas=4, image="web:2", surge=1, unavailable=0)
    new = rs_of(found, "web-new", 1, image="web:2", revision=2)
    still_four = rs_of(found, "web-old", 3, status={"replicas": 4, "availableReplicas": 4, "observedGeneration": 1})
    assert "web-new" not in sizes(decide(found, still_four, new))
    assert sizes(decide(found, rs_of(found, "web-old", 3), new)) == {"web-new": 2}


def test_unhealthy_old_pods_go_first_and_need_no_surge():
    found = deployment(replicas=4, image="web:2", surge=1, unavailable=1)
    broken = rs_of(found, "web-broken", 1, image="web:0", age_s=50, status={"replicas": 1, "observedGeneration": 1})
    old = rs_of(found, "web-old", 3, age_s=100)
    new = rs_of(found, "web-new", 1, image="web:2", revision=3, status={"replicas": 1, "observedGeneration": 1})
    assert sizes(decide(found, old, broken, new)) == {"web-broken": 0}


def test_recreate_stops_the_old_waits_for_its_pods_and_starts_the_new():
    found = deployment(image="web:2", recreate=True)
    old = rs_of(found, "web-old", 3)
    actions = decide(found, old, old_pods=[pod("a", owner=old)])
    assert sizes(actions) == {"web-old": 0}
    assert not of_type(actions, Create)
    stopped = rs_of(found, "web-old", 0)
    assert not of_type(decide(found, stopped, old_pods=[pod("a", owner=old, deleting=True)]), Create)
    (create,) = of_type(decide(found, stopped, old_pods=[pod("a", owner=old, phase="Failed")]), Create)
    assert create.obj["spec"]["replicas"] == 3


def test_rolling_back_gives_the_old_replica_set_the_next_revision():
    found = deployment(image="web:1", annotations={"deployment.kubernetes.io/revision": "2"})
    first, second = rs_of(found, "web-1", 0, revision=1), rs_of(found, "web-2", 3, image="web:2", revision=2)
    actions = decide(found, first, second)
    patch = next(action for action in of_type(actions, Patch) if action.name == "web-1")
    assert patch.patch["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert patch.patch["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    bumped = rs_of(found, "web-1", 1, revision=3)
    (shown,) = of_type(decide(found, bumped, second), Update)
    assert shown.obj["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "3"}


def finished(found, new):
    """Return the Deployment with the status of a finished rollout of `new`."""
    for _ in range(3):
        for update in of_type(decide(found, new), Update):
            found = update.obj
    return found


def test_a_finished_rollout_says_so_and_is_left_alone():
    found = deployment()
    new = rs_of(found, "web-new", 3)
    done = finished(found, new)
    status = done["status"]
    assert {name: status[name] for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")} == {
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
    }
    assert "unavailableReplicas" not in status
    assert condition(done, "Available")["reason"] == "MinimumReplicasAvailable"
    progressing = condition(done, "Progressing")
    assert progressing["reason"] == "NewReplicaSetAvailable"
    assert progressing["message"] == 'ReplicaSet "web-new" has successfully progressed.'
    assert decide(done, new, now=NOW + 10_000) == []


def test_no_progress_for_the_deadline_times_out():
    stamp = rfc3339(NOW - 601)
    moving = {
        "type": "Progressing",
        "status": "True",
        "reason": "ReplicaSetUpdated",
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
    }
    found = deployment(status={"replicas": 3, "updatedReplicas": 3, "unavailableReplicas": 3, "conditions": [moving]})
    stuck = rs_of(found, "web-new", 3, status={"replicas": 3, "observedGeneration": 1})
    actions = decide(found, stuck)
    progressing = condition({"status": status_of(actions)}, "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert not of_type(actions, RequeueAfter)
    earlier = decide(found, stuck, now=NOW - 301)
    assert of_type(earlier, RequeueAfter) == [RequeueAfter(301.0)]


def test_a_paused_deployment_scales_but_does_not_roll():
    found = deployment(replicas=5, image="web:2", spec={"paused": True})
    old = rs_of(deployment(replicas=3), "web-old", 3)
    old["metadata"]["ownerReferences"] = []
    actions = decide(found, old)
    assert not of_type(actions, Create)
    assert sizes(actions) == {"web-old": 5}
    assert condition({"status": status_of(actions)}, "Progressing")["reason"] == "DeploymentPaused"


def test_resuming_starts_the_deadline_anew():
    paused = {
        "type": "Progressing",
        "status": "Unknown",
        "reason": "DeploymentPaused",
        "lastUpdateTime": rfc3339(NOW - 9999),
        "lastTransitionTime": rfc3339(NOW - 9999),
    }
    status: dict = {"conditions": [paused]}
    progress.note_pause(deployment(), status, NOW)
    (resumed,) = status["conditions"]
    assert (resumed["reason"], resumed["lastUpdateTime"]) == ("DeploymentResumed", rfc3339(NOW))


def test_old_revisions_beyond_the_limit_go_when_they_are_empty():
    found = deployment(spec={"revisionHistoryLimit": 1})
    new = rs_of(found, "web-new", 3, revision=4)
    done = finished(found, new)
    old = [rs_of(found, f"web-{number}", 0, image=f"web:0.{number}", revision=number) for number in (1, 2, 3)]
    actions = decide(done, new, *old)
    assert [action.name for action in of_type(actions, Delete)] == ["web-1", "web-2"]
    busy = rs_of(found, "web-1", 0, image="web:0.1", revision=1, status={"replicas": 1, "observedGeneration": 1})
    assert [action.name for action in of_type(decide(done, new, busy, *old[1:]), Delete)] == []


def test_old_revisions_stay_while_a_rollout_is_under_way():
    found = deployment(image="web:2", spec={"revisionHistoryLimit": 0})
    assert not of_type(
        decide(found, rs_of(found, "web-1", 3), rs_of(found, "web-2", 1, image="web:2", revision=2)), Delete
    )


def test_annotations_and_min_ready_seconds_follow_the_deployment():
    found = deployment(annotations={"kubernetes.io/change-cause": "second"}, spec={"minReadySeconds": 5})
    new = rs_of(found, "web-new", 3)
    (patch, *_) = of_type(decide(found, new), Patch)
    assert patch.patch["metadata"]["annotations"] == {"kubernetes.io/change-cause": "second"}
    assert patch.patch["spec"] == {"minReadySeconds": 5}


def test_a_failure_of_a_replica_set_is_shown():
    found = deployment()
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    new = rs_of(found, "web-new", 3, status={"observedGeneration": 1, "conditions": [failure]})
    shown = condition({"status": status_of(decide(found, new))}, "ReplicaFailure")
    assert (shown["reason"], shown["message"]) == ("FailedCreate", "quota")


def test_a_deployment_that_is_deleted_only_counts():
    found = deployment(replicas=5, deletionTimestamp=rfc3339(NOW))
    actions = decide(found, rs_of(found, "web-new", 3))
    assert [type(action) for action in actions] == [Update]


def test_an_empty_selector_is_refused():
    found = deployment(spec={"selector": {}})
    event, update = decide(found)
    assert event.reason == "SelectingAll"
    assert decide({**found, "status": update.obj["status"]}) == []


def scaled(found, *replica_sets):
    return sizes(decide(found, *replica_sets))


def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportions():
    before = deployment(replicas=10, surge=3, unavailable=2)
    after = {**before, "spec": {**before["spec"], "replicas": 15, "template": template("web:2")}}
    old = rs_of(before, "web-old", 8)
    new = rs_of(before, "web-new", 5, image="web:2", revision=2)
    grown = scaled(after, old, new)
    assert grown == {"web-old": 11, "web-new": 7}
    assert sum(grown.values()) == 18


def test_scaling_to_zero_in_the_middle_of_a_rollout():
    before = deployment(replicas=10, surge=3, unavailable=2)
    after = {**before, "spec": {**before["spec"], "replicas": 0, "template": template("web:2")}}
    assert scaled(after, rs_of(before, "web-old", 8), rs_of(before, "web-new", 5, image="web:2", revision=2)) == {
        "web-old": 0,
        "web-new": 0,
    }


def test_scaling_at_rest_goes_to_the_one_replica_set():
    before = deployment(replicas=3)
    after = {**before, "spec": {**before["spec"], "replicas": 7}}
    assert scaled(after, rs_of(before, "web-new", 3)) == {"web-new": 7}
    assert scaled({**after, "spec": {**after["spec"], "replicas": 0}}, rs_of(before, "web-new", 3)) == {"web-new": 0}


def test_all_of_a_change_is_handed_out_whatever_the_rounding():
    for replicas in (*range(1, 10), *range(11, 40)):
        before = deployment(replicas=10, surge=3, unavailable=2)
        after = {**before, "spec": {**before["spec"], "replicas": replicas, "template": template("web:2")}}
        parts = [
            rs_of(before, "a", 7, image="web:0"),
            rs_of(before, "b", 3),
            rs_of(before, "c", 3, image="web:2", revision=3),
        ]
        current = {"a": 7, "b": 3, "c": 3}
        assert sum((current | scaled(after, *parts)).values()) == replicas + 3

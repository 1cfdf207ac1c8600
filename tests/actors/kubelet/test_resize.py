"""In-place resize: what is allocated, what is left to do, and what is told."""

from typing import Any

from actors.kubelet.resize import Resizing, feasibility, needs_restart, resources_of, told, with_resources
from actors.kubelet.status.pod_status import Ending

from .pods import container, instance, pod, runtime


def asking(cpu: str, memory: str = "64Mi", **fields: Any) -> dict[str, Any]:
    amounts = {"cpu": cpu, "memory": memory}
    return pod(container("web", resources={"requests": amounts, "limits": amounts}, **fields))


def of(item: dict[str, Any]) -> dict[str, Any]:
    return item["spec"]["containers"][0]


RUNNING = runtime(instance(of(asking("100m"))))
NO_ROOM = Ending("Deferred", "Node didn't have enough resource: cpu")


def resizing(status: dict[str, Any] | None = None) -> Resizing:
    made = Resizing()
    made.take_in(asking("100m"), status or {})
    made.note(RUNNING)
    return made


def test_without_a_change_nothing_is_done() -> None:
    state = resizing()
    state.allocate(asking("100m"), lambda pod: NO_ROOM)
    assert state.changes(asking("100m"), RUNNING) == []
    assert state.conditions == {}
    assert not state.waits


def test_a_change_is_allocated_carried_out_and_told() -> None:
    state, wanted = resizing(), asking("200m")
    state.allocate(wanted, lambda pod: None)
    (change,) = state.changes(wanted, RUNNING)
    assert (change.resources.cpu_quota_us, change.restarts) == (20_000, False)
    assert list(state.conditions) == ["PodResizeInProgress"]
    fields = state.statuses(RUNNING)["web"]
    assert fields["allocatedResources"]["cpu"] == "200m"
    assert fields["resources"]["requests"]["cpu"] == "100m", "what it has, not what it will have"
    state.done(change)
    assert state.changes(wanted, RUNNING) == []
    assert state.conditions == {}
    assert state.statuses(RUNNING)["web"]["resources"]["requests"]["cpu"] == "200m"


def test_what_the_node_does_not_have_is_deferred() -> None:
    state, wanted = resizing(), asking("900m")
    state.allocate(wanted, lambda pod: NO_ROOM)
    assert state.conditions == {"PodResizePending": ("Deferred", NO_ROOM.message)}
    assert state.waits
    assert resources_of(state.view(wanted)) == resources_of(asking("100m")), "it goes on with what it has"
    state.allocate(wanted, lambda pod: None)
    assert len(state.changes(wanted, RUNNING)) == 1


def test_a_failure_is_told_and_tried_again() -> None:
    state, wanted = resizing(), asking("100m", "32Mi")
    state.allocate(wanted, lambda pod: None)
    state.changes(wanted, RUNNING)
    state.failed("device or resource busy")
    assert state.conditions["PodResizeInProgress"] == ("Error", "device or resource busy")
    assert state.waits


def test_policies_that_want_a_restart() -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    item = of(asking("100m", resizePolicy=policy))
    assert needs_restart(item, item["resources"], of(asking("100m", "128Mi"))["resources"])
    assert not needs_restart(item, item["resources"], of(asking("200m"))["resources"])


def test_a_restarted_kubelet_goes_by_what_was_told() -> None:
    status = {"containerStatuses": [{"name": "web", "resources": of(asking("300m"))["resources"]}]}
    assert told(asking("100m"), status)["web"]["requests"]["cpu"] == "300m"
    state = resizing(status)
    state.allocate(asking("100m"), lambda pod: None)
    assert len(state.changes(asking("100m"), RUNNING)) == 1


def test_sidecars_are_resized_and_others_are_not() -> None:
    made = pod(container("web"), inits=(container("s", restartPolicy="Always"), container("i")))
    assert set(resources_of(made)) == {"web", "s"}
    given = with_resources(made, {"s": {"requests": {"cpu": "1"}}})
    assert given["spec"]["initContainers"][0]["resources"] == {"requests": {"cpu": "1"}}
    assert "resources" not in given["spec"]["containers"][0]


def test_what_can_never_be_and_what_can_later() -> None:
    text = "Pod was rejected: Node didn't have enough resource: cpu, requested: 9, used: {}, capacity: 4"
    never, later = Ending("OutOfcpu", text.format(0)), Ending("OutOfcpu", text.format(3))
    found = feasibility(pod(), never, never)
    assert found == Ending("Infeasible", "Node didn't have enough capacity: cpu, requested: 9, capacity: 4")
    deferred = feasibility(pod(), None, later)
    assert deferred is not None
    assert deferred.reason == "Deferred"
    assert feasibility(pod(), None, None) is None

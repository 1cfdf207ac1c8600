import pytest

from actors.api.meta import rfc3339
from actors.controller_manager.actions import Batch, Delete, Emit, Patch, RequeueAfter
from actors.controller_manager.node_ipam import PoolExhausted, SubnetPool
from actors.controller_manager.node_ipam import reconcile as allocate
from actors.controller_manager.node_lifecycle import health, taints
from actors.controller_manager.node_lifecycle.heartbeats import Heartbeats
from actors.controller_manager.node_lifecycle.taints import Eviction
from actors.controller_manager.node_lifecycle.zones import EVICTIONS_PER_S, Zones, ZoneState
from actors.controller_manager.pod_gc import QUARANTINE_S, surplus
from actors.controller_manager.pod_gc import reconcile as collect
from actors.controller_manager.pods import condition
from actors.controller_manager.taint_eviction import NEVER, evict_at, tolerates
from actors.controller_manager.taint_eviction import reconcile as evict

from .objects import NOW, metadata, node, pod

GRACE_S = 40.0


def lease(renewed: str):
    return {"metadata": metadata("w1", namespace="kube-node-lease"), "spec": {"renewTime": renewed}}


def test_silence_is_timed_by_our_clock_whatever_the_lease_says():
    heartbeats = Heartbeats()
    heartbeats.note_lease("w1", lease("2199-01-01T00:00:00.000000Z"), 100.0)
    heartbeats.note_lease("w1", lease("2199-01-01T00:00:00.000000Z"), 130.0)
    assert heartbeats.silence_s("w1", 140.0) == 40.0
    heartbeats.note_lease("w1", lease("1999-01-01T00:00:00.000000Z"), 150.0)
    assert heartbeats.silence_s("w1", 151.0) == 1.0


def test_a_posted_status_is_a_sign_of_life_and_our_own_write_is_none():
    heartbeats, found = Heartbeats(), node()
    heartbeats.note_node("w1", found, 100.0)
    (update,) = health.check(found, 41.0, GRACE_S, NOW)
    heartbeats.note_node("w1", update.obj, 150.0)
    assert heartbeats.silence_s("w1", 150.0) == 50.0


def test_a_node_that_is_new_to_us_gets_the_whole_grace_period():
    assert Heartbeats().silence_s("w1", 1000.0) == 0.0


def test_a_node_that_speaks_is_looked_at_when_its_grace_would_be_over():
    assert health.check(node(), 15.0, GRACE_S, NOW) == [RequeueAfter(25.0)]


def test_a_silent_node_is_unknown():
    (update,) = health.check(node(), 41.0, GRACE_S, NOW)
    assert update.subresource == "status"
    ready = condition(update.obj, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"], ready["message"]) == (
        "Unknown",
        "NodeStatusUnknown",
        "Kubelet stopped posting node status.",
    )
    assert ready["lastTransitionTime"] == rfc3339(NOW)
    pids = condition(update.obj, "PIDPressure")
    assert pids is not None
    assert pids["reason"] == "NodeStatusNeverUpdated"
    assert health.check(update.obj, 100.0, GRACE_S, NOW + 60) == []


def test_a_node_without_any_status_gets_longer():
    found = node(ready=None)
    assert health.grace_period_s(found, GRACE_S) == health.STARTUP_GRACE_S


def test_pods_of_a_silent_node_are_marked_once():
    pods = [pod("ready"), pod("unready", ready=False), pod("finished", phase="Succeeded")]
    (batch,) = health.mark_pods(pods, NOW)
    assert isinstance(batch, Batch)
    (mark,) = batch.writes
    assert isinstance(mark, Patch)
    assert (mark.name, mark.subresource) == ("ready", "status")
    assert mark.patch["status"]["conditions"][0]["status"] == "False"
    assert health.mark_pods(pods[1:], NOW) == []


def taints_after(found, eviction=Eviction.NOW):
    actions = taints.reconcile(found, eviction, NOW)
    if not actions:
        return None
    (patch,) = actions
    return [(taint["key"].rpartition("/")[2], taint["effect"]) for taint in patch.patch["spec"]["taints"] or []]


def test_taints_follow_the_conditions():
    assert taints_after(node()) is None
    assert taints_after(node(ready="False")) == [("not-ready", "NoExecute"), ("not-ready", "NoSchedule")]
    assert taints_after(node(ready="Unknown")) == [("unreachable", "NoExecute"), ("unreachable", "NoSchedule")]
    assert taints_after(node(spec={"unschedulable": True})) == [("unschedulable", "NoSchedule")]
    pressed = node()
    pressed["status"]["conditions"][0]["status"] = "True"
    assert taints_after(pressed) == [("memory-pressure", "NoSchedule")]


def test_taints_go_on_recovery_and_others_stay():
    theirs = {"key": "dedicated", "value": "db", "effect": "NoExecute"}
    ours = {"key": taints.UNREACHABLE, "effect": "NoExecute", "timeAdded": rfc3339(NOW)}
    assert taints_after(node(spec={"taints": [ours, theirs]})) == [("dedicated", "NoExecute")]
    assert taints_after(node(spec={"taints": [theirs]})) is None
    assert taints_after(node(spec={"taints": [ours]})) == []


def test_eviction_waits_its_turn_and_stops_when_suspended():
    assert taints_after(node(ready="Unknown"), Eviction.NOT_YET) == [("unreachable", "NoSchedule")]
    held = [{"key": taints.UNREACHABLE, "effect": effect, "timeAdded": "x"} for effect in ("NoExecute", "NoSchedule")]
    tainted = node(ready="Unknown", spec={"taints": held})
    assert taints_after(tainted, Eviction.NOT_YET) is None
    assert taints_after(tainted, Eviction.SUSPENDED) == [("unreachable", "NoSchedule")]


def test_from_not_ready_to_unreachable_the_clock_runs_on():
    before = {"key": taints.NOT_READY, "effect": "NoExecute", "timeAdded": "2020-01-01T00:00:00Z"}
    (patch,) = taints.reconcile(node(ready="Unknown", spec={"taints": [before]}), Eviction.NOT_YET, NOW)
    added = {taint["key"]: taint for taint in patch.patch["spec"]["taints"] if taint["effect"] == "NoExecute"}
    assert added == {taints.UNREACHABLE: {**before, "key": taints.UNREACHABLE}}


def zones_of(ready: int, not_ready: int, zone: str = "a", zones: Zones | None = None) -> Zones:
    zones = zones or Zones()
    for number in range(ready + not_ready):
        zones.put(f"{zone}{number}", zone, number < ready)
    return zones


@pytest.mark.parametrize(
    ("ready", "not_ready", "state"),
    [(3, 0, "normal"), (1, 2, "normal"), (2, 3, "partial"), (6, 4, "normal"), (0, 3, "full"), (0, 1, "full")],
)
def test_the_state_of_a_zone(ready, not_ready, state):
    assert zones_of(ready, not_ready).states() == {"a": ZoneState(state)}


def test_nodes_take_turns_to_evict():
    zones = zones_of(8, 2)
    assert zones.take_turn("a8", 100.0) == 0.0
    assert zones.take_turn("a9", 101.0) == pytest.approx(1 / EVICTIONS_PER_S - 1)
    assert zones.take_turn("a9", 110.0) == 0.0


def test_nobody_evicts_in_a_partial_outage_of_a_small_zone_or_a_total_one():
    assert zones_of(2, 4).take_turn("a5", 0.0) is None
    assert zones_of(20, 40).take_turn("a59", 1000.0) == 0.0
    assert zones_of(0, 3).all_lost
    assert zones_of(0, 3).take_turn("a0", 0.0) is None
    beside = zones_of(3, 0, "b", zones_of(0, 3))
    assert not beside.all_lost
    assert beside.take_turn("a0", 0.0) == 0.0


def test_counts_follow_nodes_that_move_and_go():
    zones = zones_of(1, 1)
    zones.put("a1", "b", True)
    assert zones.states() == {"a": ZoneState.NORMAL, "b": ZoneState.NORMAL}
    zones.remove("a0")
    zones.remove("a0")
    assert zones.states() == {"b": ZoneState.NORMAL}


TAINT = {"key": "k", "value": "v", "effect": "NoExecute", "timeAdded": rfc3339(NOW - 10)}


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "other"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, False),
        ({}, False),
    ],
)
def test_tolerations(toleration, expected):
    assert tolerates(toleration, TAINT) is expected


def tolerant(*tolerations):
    return pod("a", spec={"containers": [], "tolerations": list(tolerations)})


def test_when_a_taint_drives_a_pod_away():
    forever = {"operator": "Exists"}
    a_while = {"operator": "Exists", "tolerationSeconds": 30}
    assert evict_at(pod("a"), [TAINT], NOW) == 0.0
    assert evict_at(tolerant(forever), [TAINT], NOW) == NEVER
    assert evict_at(tolerant(a_while), [TAINT], NOW) == NOW + 20
    assert evict_at(tolerant(a_while), [{**TAINT, "timeAdded": None}], NOW) == NOW + 30
    assert evict_at(tolerant({**a_while, "key": "k"}), [TAINT, {**TAINT, "key": "other"}], NOW) == 0.0
    assert evict_at(tolerant({"operator": "Exists", "tolerationSeconds": 0}), [TAINT], NOW) == 0.0


def test_an_eviction_tells_why_and_deletes():
    event, mark, delete = evict(pod("a"), [TAINT], NOW, NOW)
    assert isinstance(event, Emit)
    assert event.reason == "TaintManagerEviction"
    assert isinstance(mark, Patch)
    target = mark.patch["status"]["conditions"][-1]
    assert (target["type"], target["reason"]) == ("DisruptionTarget", "DeletionByTaintManager")
    assert isinstance(delete, Delete)
    assert evict(tolerant({"operator": "Exists", "tolerationSeconds": 30}), [TAINT], NOW, NOW) == [RequeueAfter(20.0)]
    assert evict(pod("a", deleting=True), [TAINT], NOW, NOW) == []


def test_subnets_are_given_once_and_come_back():
    pool = SubnetPool("10.244.0.0/22", 24)
    given = [pool.allocate(name) for name in ("a", "b", "c", "d")]
    assert given == [f"10.244.{number}.0/24" for number in range(4)]
    assert pool.allocate("b") == "10.244.1.0/24"
    with pytest.raises(PoolExhausted):
        pool.allocate("e")
    assert pool.release("b")
    assert pool.allocate("e") == "10.244.1.0/24"
    assert not pool.release("nobody")


def test_what_nodes_have_already_is_not_given_again():
    pool = SubnetPool("10.244.0.0/22", 24)
    assert pool.occupy("old", "10.244.0.0/23")
    assert not pool.occupy("foreign", "192.168.0.0/24")
    assert not pool.occupy("twin", "10.244.1.0/24")
    assert pool.allocate("new") == "10.244.2.0/24"
    pool.release("old")
    assert pool.allocate("next") == "10.244.3.0/24"
    assert pool.allocate("last") == "10.244.0.0/24"
    with pytest.raises(PoolExhausted):
        pool.allocate("twin's subnet is still taken")


def test_an_ipv6_pool():
    assert SubnetPool("fd00:10:244::/56", 64).allocate("a") == "fd00:10:244::/64"


def test_a_mask_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="node_cidr_mask 12"):
        SubnetPool("10.244.0.0/16", 12)


def test_a_node_gets_its_subnet_with_a_guarded_patch():
    pool = SubnetPool("10.244.0.0/16", 24)
    found = node()
    (patch,) = allocate(found, pool)
    assert patch.patch["spec"] == {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]}
    assert patch.patch["metadata"] == {"uid": found["metadata"]["uid"]}
    assert allocate(node(spec={"podCIDR": "10.244.0.0/24"}), pool) == []


def test_pods_of_a_node_that_is_gone_are_failed_and_removed_after_a_while():
    assert collect(pod("a"), True, 0.0, NOW) == []
    assert collect(pod("a"), False, 10.0, NOW) == [RequeueAfter(QUARANTINE_S - 10.0)]
    confirm, fail, remove = collect(pod("a"), False, QUARANTINE_S, NOW)
    assert confirm.name == "w1"
    assert fail.patch["status"]["phase"] == "Failed"
    assert remove.grace_period_s == 0
    assert len(collect(pod("a", phase="Succeeded"), False, QUARANTINE_S, NOW)) == 2


def test_pods_deleted_before_they_had_a_node_are_removed():
    (remove,) = collect(pod("a", node=None, deleting=True), False, 0.0, NOW)
    assert remove.grace_period_s == 0
    assert collect(pod("a", node=None), False, 0.0, NOW) == []


def test_the_oldest_finished_pods_beyond_the_threshold_go():
    finished = [pod(f"p{number}", phase="Succeeded", age_s=number) for number in range(10)]
    (batch,) = surplus(finished, 7)
    assert [write.name for write in batch.writes] == ["p9", "p8", "p7"]
    assert surplus(finished, 10) == []

from actors.controller_manager.actions import Batch, Delete, Patch
from actors.controller_manager.clusterrole_aggregation import reconcile as aggregate
from actors.controller_manager.garbage_collector.collect import OwnerState, collect
from actors.controller_manager.garbage_collector.graph import Graph, Item, item_of

from .objects import metadata

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


def reference(uid, block=True, name=None, kind="Owner"):
    return {"apiVersion": "v1", "kind": kind, "name": name or uid, "uid": uid, "blockOwnerDeletion": block}


def item(uid, *owners, deleting=False, finalizers=(), kind="Owner", namespace="default") -> Item:
    references = tuple(reference(owner) if isinstance(owner, str) else owner for owner in owners)
    return Item("owners", "v1", kind, namespace, uid, uid, "7", references, tuple(finalizers), deleting)


def graph_of(*items):
    graph = Graph()
    for found in items:
        graph.put(found)
    return graph


def names(items):
    return [found.uid for found in items]


def test_an_object_with_known_owners_needs_no_look():
    graph = graph_of(item("owner"))
    assert graph.put(item("child", "owner")) == set()
    assert names(graph.dependents("owner")) == ["child"]


def test_an_owner_that_is_not_known_is_worth_a_look_until_it_comes():
    graph = graph_of()
    assert graph.put(item("child", "owner")) == {"child"}
    assert list(graph.unsettled()) == ["child"]
    graph.put(item("owner"))
    assert list(graph.unsettled()) == []


def test_when_an_owner_goes_its_dependents_are_looked_at():
    graph = graph_of(item("owner"), item("a", "owner"), item("b", "owner"))
    assert graph.remove("owner") == {"a", "b"}
    assert graph.remove("a") == set()
    assert graph.remove("b") == set()
    assert len(graph) == 0


def test_when_a_dependent_goes_or_lets_go_a_waiting_owner_is_looked_at():
    waiting = item("owner", deleting=True, finalizers=[FOREGROUND])
    graph = graph_of(item("owner"), item("a", "owner"), item("b", "owner"))
    assert graph.put(waiting) == {"owner", "a", "b"}
    assert graph.put(item("a")) == {"owner"}
    assert graph.remove("b") == {"owner"}


def test_coordinates_that_lead_elsewhere_are_no_owner():
    graph = graph_of(item("owner", namespace="other"), item("global", namespace=""))
    assert graph.put(item("child", "owner")) == {"child"}
    assert graph.put(item("second", "global")) == set()
    assert graph.put(item("third", reference("global", name="someone-else"))) == {"third"}


def test_metadata_is_all_that_is_read():
    meta = metadata("a", ownerReferences=[reference("o")], finalizers=["x"], deletionTimestamp="now")
    found = item_of("pods", "v1", "Pod", {"metadata": meta})
    assert (found.resource, found.name, found.is_deleting, found.finalizers) == ("pods", "a", True, ("x",))


def test_one_owner_that_keeps_it_is_enough_and_useless_ones_are_taken_out():
    child = item("child", "here", "gone", "waiting")
    states = {"here": OwnerState.KEEPS, "gone": OwnerState.ABSENT, "waiting": OwnerState.WAITS}
    (patch,) = collect(child, states, [])
    assert [entry["uid"] for entry in patch.patch["metadata"]["ownerReferences"]] == ["here"]
    assert patch.patch["metadata"]["resourceVersion"] == "7"
    assert collect(item("child", "here"), {"here": OwnerState.KEEPS}, []) == []


def test_without_any_owner_left_it_goes_as_its_finalizers_say():
    states = {"gone": OwnerState.ABSENT}
    for finalizers, expected in (((), "Background"), ((FOREGROUND,), "Foreground"), ((ORPHAN,), "Orphan")):
        (delete,) = collect(item("child", "gone", finalizers=finalizers), states, [])
        assert isinstance(delete, Delete)
        assert (delete.propagation, delete.uid, delete.resource_version) == (expected, "child", "7")


def test_foreground_goes_down_to_the_last_generation_first():
    states = {"owner": OwnerState.WAITS}
    (delete,) = collect(item("child", "owner"), states, [item("grandchild", "child")])
    assert delete.propagation == "Foreground"
    (delete,) = collect(item("child", "owner"), states, [])
    assert delete.propagation == "Background"


def test_a_waiting_owner_goes_when_nothing_blocks_it():
    waiting = item("owner", deleting=True, finalizers=[FOREGROUND, "other"])
    assert collect(waiting, {}, [item("a", "owner")]) == []
    (patch,) = collect(waiting, {}, [item("a", reference("owner", block=False))])
    assert patch.patch["metadata"]["finalizers"] == ["other"]


def test_orphaning_releases_all_and_then_lets_go():
    owner = item("owner", deleting=True, finalizers=[ORPHAN])
    release, let_go = collect(owner, {}, [item("a", "owner", "second"), item("b", "owner")])
    assert isinstance(release, Batch)
    assert not release.tolerant
    left = [[entry["uid"] for entry in write.patch["metadata"]["ownerReferences"]] for write in release.writes]
    assert left == [["second"], []]
    assert isinstance(let_go, Patch)
    assert let_go.patch["metadata"]["finalizers"] == []


def test_a_circle_of_owners_does_not_block_itself():
    circle = item("b", "a", deleting=True, finalizers=[FOREGROUND])
    unblock, delete = collect(item("a", "b"), {"b": OwnerState.WAITS}, [circle])
    assert unblock.patch["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] is False
    assert delete.propagation == "Foreground"


def test_what_is_being_deleted_anyway_is_left_alone():
    assert collect(item("child", "gone", deleting=True), {"gone": OwnerState.ABSENT}, []) == []


def role(name, labels=None, rules=(), selector=None):
    found = {"metadata": metadata(name, namespace=None, labels=labels), "rules": list(rules)}
    if selector is not None:
        found["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": selector}]}
    return found


def test_an_aggregating_role_collects_the_rules_of_others():
    read, write = {"verbs": ["get"]}, {"verbs": ["update"]}
    admin = role("admin", {"to": "admin"}, selector={"to": "admin"})
    others = [
        role("z", {"to": "admin"}, [read]),
        role("a", {"to": "admin"}, [write, read]),
        role("x", {}, [{"verbs": ["*"]}]),
    ]
    (update,) = aggregate(admin, [admin, *others])
    assert update.obj["rules"] == [write, read]
    assert aggregate(update.obj, [update.obj, *others]) == []

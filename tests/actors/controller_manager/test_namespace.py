from actors.api.meta import rfc3339
from actors.controller_manager.actions import Create, Delete, DeleteCollection, Failure, RequeueAfter, Update
from actors.controller_manager.discovery import ResourceType, types_of
from actors.controller_manager.namespace.reconcile import LOOK_AGAIN_S, WAIT_FOR_FINALIZERS_S, is_due, reconcile
from actors.controller_manager.serviceaccount import reconcile_account, reconcile_root_ca

from .objects import NOW, metadata, pod

ALL = frozenset({"list", "delete", "deletecollection"})
PODS = ResourceType("pods", "v1", "Pod", True, ALL)
CONFIG_MAPS = ResourceType("configmaps", "v1", "ConfigMap", True, ALL)
WIDGETS = ResourceType(
    "widgets.example.com/v1beta1", "example.com/v1beta1", "Widget", True, frozenset({"list", "delete"})
)


def namespace(deleting=True, finalizers=("kubernetes",), phase="Active"):
    stamp = rfc3339(NOW) if deleting else None
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata("web", namespace=None, deletionTimestamp=stamp),
        "spec": {"finalizers": list(finalizers)},
        "status": {"phase": phase},
    }


def thing(name, **more):
    return {"metadata": metadata(name, namespace="web", **more)}


def test_only_a_namespace_that_is_deleted_and_still_ours_is_emptied():
    assert is_due(namespace())
    assert not is_due(namespace(deleting=False))
    assert not is_due(namespace(finalizers=["other"]))


def test_an_empty_namespace_is_finalized():
    (update,) = reconcile(namespace(finalizers=["kubernetes", "other"]), {PODS: []}, {}, None, NOW)
    assert (update.subresource, update.obj["spec"]["finalizers"]) == ("finalize", ["other"])


def test_pods_go_before_all_else():
    content = {CONFIG_MAPS: [thing("c")], PODS: [pod("p")]}
    update, delete, again = reconcile(namespace(), content, {}, None, NOW)
    assert isinstance(update, Update)
    assert delete == DeleteCollection("pods", "web")
    assert again == RequeueAfter(LOOK_AGAIN_S)
    *_, wait = waiting = reconcile(
        namespace(), {CONFIG_MAPS: [thing("c")], PODS: [pod("p", deleting=True)]}, {}, None, NOW
    )
    assert not [action for action in waiting if isinstance(action, DeleteCollection)]
    assert wait == RequeueAfter(WAIT_FOR_FINALIZERS_S)


def test_then_everything_one_by_one_where_collections_can_not_be_deleted():
    actions = reconcile(namespace(), {CONFIG_MAPS: [thing("c")], WIDGETS: [thing("w")]}, {}, None, NOW)
    assert DeleteCollection("configmaps", "web") in actions
    (delete,) = [action for action in actions if isinstance(action, Delete)]
    assert (delete.resource, delete.name) == ("widgets.example.com/v1beta1", "w")


def conditions_of(actions):
    update = next(action for action in actions if isinstance(action, Update))
    return {
        entry["type"]: (entry["status"], entry["reason"], entry["message"])
        for entry in update.obj["status"]["conditions"]
    }


def test_the_status_says_what_is_left_and_what_it_waits_for():
    held = thing("w", deletionTimestamp=rfc3339(NOW), finalizers=["example.com/hold"])
    found = conditions_of(reconcile(namespace(), {WIDGETS: [held]}, {}, None, NOW))
    assert found["NamespaceContentRemaining"] == (
        "True",
        "SomeResourcesRemain",
        "Some resources are remaining: widgets.example.com has 1 resource instances",
    )
    assert found["NamespaceFinalizersRemaining"] == (
        "True",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
    )


def test_a_group_that_can_not_be_read_holds_the_namespace():
    actions = reconcile(namespace(), {PODS: []}, {"example.com/v1": "no endpoints"}, None, NOW)
    assert conditions_of(actions)["NamespaceDeletionDiscoveryFailure"][:2] == ("True", "DiscoveryFailed")
    assert not [action for action in actions if isinstance(action, Update) and action.subresource == "finalize"]


def test_a_refused_deletion_is_told():
    failure = Failure("delete", "configmaps", "Forbidden", "by policy")
    found = conditions_of(reconcile(namespace(), {CONFIG_MAPS: [thing("c")]}, {}, failure, NOW))
    assert found["NamespaceDeletionContentFailure"][:2] == ("True", "ContentDeletionFailed")


def test_the_status_is_written_once():
    content = {CONFIG_MAPS: [thing("c", deletionTimestamp=rfc3339(NOW))]}
    update, _ = reconcile(namespace(), content, {}, None, NOW)
    assert reconcile(update.obj, content, {}, None, NOW) == [RequeueAfter(WAIT_FOR_FINALIZERS_S)]


def test_discovery_reads_resources_and_not_subresources():
    entry = {"kind": "Widget", "namespaced": True, "verbs": ["get"]}
    listed = {"resources": [{"name": "widgets", **entry}, {"name": "widgets/status", **entry}]}
    assert types_of("example.com/v1beta1", listed) == [
        ResourceType("widgets.example.com/v1beta1", "example.com/v1beta1", "Widget", True, frozenset({"get"}))
    ]
    assert types_of("v1", listed)[0].resource == "widgets"
    assert types_of("apps/v1", listed)[0].resource == "widgets.apps"


def test_each_active_namespace_gets_its_account_and_the_ca():
    active = namespace(deleting=False)
    (create,) = reconcile_account(active, None)
    assert isinstance(create, Create)
    assert create.obj["metadata"] == {"name": "default", "namespace": "web"}
    (publish,) = reconcile_root_ca(active, None, "PEM")
    assert publish.obj["data"] == {"ca.crt": "PEM"}
    assert reconcile_account(active, create.obj) == []
    assert reconcile_root_ca(active, publish.obj, "PEM") == []
    (update,) = reconcile_root_ca(active, {**publish.obj, "data": {"ca.crt": "tampered"}}, "PEM")
    assert update.obj["data"] == {"ca.crt": "PEM"}
    for gone in (namespace(), None, namespace(deleting=False, phase="Terminating")):
        assert reconcile_account(gone, None) == []
        assert reconcile_root_ca(gone, None, "PEM") == []

"""Managed fields of creates and updates."""

import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery.apply import managers
from actors.apiserver.machinery.apply.kinds import KINDS, blank
from actors.apiserver.machinery.apply.tracking import same_but_times
from tests.actors.apiserver.machinery.apply.appliers import Applied
from tests.actors.apiserver.machinery.objects import MINIMAL, created

LABELS = "f:labels"


def test_the_creator_owns_what_it_sets():
    live = Applied()
    live.create("kubectl-create", "{metadata: {labels: {a: b}}, data: {k: v}}")
    (entry,) = live.entries
    assert entry == {
        "manager": "kubectl-create",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-05-01T12:00:01Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {LABELS: {".": {}, "f:a": {}}}, "f:data": {".": {}, "f:k": {}}},
    }


def test_a_deployment_as_kubernetes_shows_it():
    live = Applied("Deployment")
    live.create("kubectl", created("Deployment"))
    assert live.entries[0]["fieldsV1"]["f:spec"] == {
        "f:progressDeadlineSeconds": {},
        "f:replicas": {},
        "f:revisionHistoryLimit": {},
        "f:selector": {},
        "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}}, "f:type": {}},
        "f:template": {
            "f:metadata": {LABELS: {".": {}, "f:app": {}}},
            "f:spec": {
                "f:containers": {
                    'k:{"name":"c"}': {
                        ".": {},
                        "f:image": {},
                        "f:imagePullPolicy": {},
                        "f:name": {},
                        "f:resources": {},
                        "f:terminationMessagePath": {},
                        "f:terminationMessagePolicy": {},
                    }
                },
                "f:dnsPolicy": {},
                "f:restartPolicy": {},
                "f:schedulerName": {},
                "f:securityContext": {},
                "f:terminationGracePeriodSeconds": {},
            },
        },
    }


def test_a_status_is_not_the_creators():
    live = Applied("Deployment")
    live.create("kubectl", {**created("Deployment"), "status": {"replicas": 3}})
    assert "f:status" not in live.entries[0]["fieldsV1"]


def test_an_update_takes_what_it_changes():
    live = Applied()
    live.create("one", "{data: {a: '1', b: '2', c: '3'}}")
    live.update("two", data={"a": "1", "b": "x", "d": "4"})
    assert live.owned("one", "Update") == [".data", ".data.a"]
    assert live.owned("two", "Update") == [".data.b", ".data.d"]
    live.update("two", data={"a": "1"})
    assert live.owned("two", "Update") == [], "an entry that owns nothing goes"


def test_an_update_that_changes_nothing_changes_no_entry():
    live = Applied()
    live.create("one", "{data: {a: '1'}}")
    before = live.obj
    live.update("two")
    assert live.obj is before
    live.update("two", metadata={"managedFields": None})
    assert live.obj is before


def test_writes_of_one_manager_share_an_entry_and_its_time_is_the_last():
    live = Applied()
    live.create("one", "{data: {a: '1'}}")
    live.update("one", data={"a": "1", "b": "2"})
    (entry,) = live.entries
    assert entry["time"] == "2026-05-01T12:00:02Z"
    assert live.owned("one", "Update") == [".data", ".data.a", ".data.b"]


def test_a_subresource_has_entries_of_its_own():
    live = Applied("Deployment")
    live.create("kubectl", created("Deployment"))
    status = {"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]}
    live.update("kube-controller-manager", "status", status=status)
    assert live.owned("kube-controller-manager", "Update", "status") == [
        ".status.conditions",
        '.status.conditions[type="Available"]',
        '.status.conditions[type="Available"].status',
        '.status.conditions[type="Available"].type',
        ".status.replicas",
    ]
    live.update("x", "status", metadata={"managedFields": []}, status=status | {"replicas": 2})
    assert live.entries, "the entries are not for a subresource to reset"


@pytest.mark.parametrize("reset", [[], [{}]])
def test_a_client_resets_the_entries_and_nobody_is_tracked_then(reset):
    live = Applied()
    live.create("one", "{data: {a: '1'}}")
    live.update("one", metadata={"managedFields": reset})
    assert live.entries == [] and "managedFields" not in live.obj["metadata"]
    live.update("one", data={"a": "2"})
    assert live.entries == []


def test_a_client_writes_the_entries():
    live = Applied()
    live.create("one", "{data: {a: '1'}}")
    own = {
        "manager": "me", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:a": {".": {}}}},
    }  # fmt: skip
    live.update("one", metadata={"managedFields": [own]})
    assert live.entries == [{**own, "fieldsV1": {"f:data": {"f:a": {}}}}]
    unreadable = [{**own, "fieldsV1": {"data": {}}}]
    live.update("one", metadata={"managedFields": unreadable})
    assert live.owned("me") == [".data.a"], "those of before stay"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"operation": "Steal"}, "must be `Apply` or `Update`"),
        ({"fieldsType": "FieldsV2"}, "must be `FieldsV1`"),
        ({"manager": "m" * 129}, "Too long"),
        ({"manager": "a\nb"}, "invalid character U+000A (at position 1)"),
        ({"subresource": "s" * 257}, "Too long"),
    ],
)
def test_entries_that_are_refused(entry, message):
    live = Applied()
    live.create("one", "{data: {a: '1'}}")
    whole = {"manager": "me", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}
    with pytest.raises(ApiError) as refused:
        live.update("one", metadata={"managedFields": [whole | entry]})
    assert refused.value.reason == "Invalid" and message in refused.value.message


def test_old_updates_are_put_together():
    live = Applied()
    live.create("m00", {"data": {"k00": "0"}})
    for i in range(1, 15):
        live.update(f"m{i:02}", data={**live.obj["data"], f"k{i:02}": "0"})
    names = [entry["manager"] for entry in live.entries]
    assert names == [managers.ANCIENT, *(f"m{i:02}" for i in range(6, 15))]
    assert live.owned(managers.ANCIENT, "Update") == [".data", *(f".data.k{i:02}" for i in range(6))]
    assert live.entries[0]["time"] == "2026-05-01T12:00:06Z"


def test_appliers_are_not_counted_as_old_updates():
    live = Applied()
    for i in range(15):
        live.apply(f"m{i:02}", {"data": {f"k{i:02}": "0"}})
    assert len(live.entries) == 15


def test_names_of_managers():
    assert managers.manager_name("given", "kubectl/v1.37") == "given"
    assert managers.manager_name("", "kubectl/v1.37 (linux)") == "kubectl"
    assert managers.manager_name("", "a\x00b" + "x" * 200) == "ab" + "x" * 126
    live = Applied()
    live.create("", "{data: {a: '1'}}")
    assert live.entries[0]["manager"] == "unknown"


def test_one_is_not_true_when_looking_for_changes():
    old = {"kind": "W", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {"a": 1}}
    assert same_but_times({**old, "spec": {"a": 1}}, old)
    assert not same_but_times({**old, "spec": {"a": True}}, old)
    assert not same_but_times({**old, "spec": {"a": 1.0}}, old)


@pytest.mark.parametrize("kind", sorted(MINIMAL))
def test_what_a_creator_owns_is_what_it_has_beyond_a_blank_object(kind):
    obj = created(kind)
    obj["metadata"] |= {"labels": {"a": "b"}, "finalizers": ["x/y"], "annotations": {}}
    obj["status"] = {"conditions": [{"type": "Ready"}]}
    of = KINDS.of(obj["apiVersion"], kind)
    assert of.created(blank(of), obj) == of.compare(blank(of), obj)[0]
    assert of.created(blank(of), blank(of)) == {}
    odd = {**obj, "metadata": {**obj["metadata"], "labels": None}, "status": 1}
    assert of.created(blank(of), odd) == of.compare(blank(of), odd)[0]

"""Server-side apply by example: Kubernetes' documentation, and what its library says about corners."""

import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery.apply.request import configuration
from tests.actors.apiserver.machinery.apply.appliers import Applied

DEPLOYMENT = """{spec: {replicas: 3, selector: {matchLabels: {app: nginx}}, template: {metadata: {labels: {app: nginx}},
    spec: {containers: [{name: nginx, image: 'nginx:1.14.2', ports: [{containerPort: 80}]}]}}}}"""


def refused(call, *args, **options) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call(*args, **options)
    return caught.value


def test_an_apply_creates():
    live = Applied()
    made = live.apply("kubectl", "{metadata: {labels: {test-label: test}}, data: {key: some value}}")
    assert made["data"] == {"key": "some value"}
    assert made["metadata"]["managedFields"] == [
        {
            "manager": "kubectl",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": "2026-05-01T12:00:01Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:test-label": {}}}, "f:data": {"f:key": {}}},
        }
    ]


def test_the_same_again_changes_nothing():
    live = Applied("Deployment")
    before = live.apply("kubectl", DEPLOYMENT)
    live.apply("kubectl", DEPLOYMENT)
    assert live.obj is before


def test_an_update_by_another_is_a_conflict():
    live = Applied("Deployment")
    live.apply("kubectl", DEPLOYMENT)
    live.update("kubectl-client-side-apply", spec={**live.obj["spec"], "replicas": 5})
    error = refused(live.apply, "kubectl", DEPLOYMENT)
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == (
        'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas'
    )
    assert error.details == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "kubectl-client-side-apply" using apps/v1',
                "field": ".spec.replicas",
            }
        ]
    }


def test_conflicts_with_several():
    live = Applied()
    live.apply("a", "{data: {x: '1', y: '1'}}")
    live.apply("b", "{data: {z: '1'}}")
    live.update("c", "status", metadata={"labels": {"l": "1"}})
    error = refused(live.apply, "d", "{metadata: {labels: {l: '2'}}, data: {x: '2', y: '2', z: '2'}}")
    assert error.message.splitlines() == [
        'Apply failed with 4 conflicts: conflicts with "a":',
        "- .data.x",
        "- .data.y",
        'conflicts with "b":',
        "- .data.z",
        'conflicts with "c" with subresource "status" using v1:',
        "- .metadata.labels.l",
    ]
    assert len(error.details["causes"]) == 4


def test_force_takes():
    live = Applied("Deployment")
    live.apply("kubectl", DEPLOYMENT)
    live.update("hpa", spec={**live.obj["spec"], "replicas": 5})
    assert ".spec.replicas" not in live.owned("kubectl")
    live.apply("kubectl", DEPLOYMENT, force=True)
    assert live.obj["spec"]["replicas"] == 3
    assert live.owned("hpa", "Update") == []
    assert ".spec.replicas" in live.owned("kubectl")


def test_the_same_value_is_shared():
    live = Applied()
    live.apply("a", "{data: {k: v}}")
    live.apply("b", "{data: {k: v}}")
    assert live.owned("a") == live.owned("b") == [".data.k"]
    live.apply("a", "{data: {}}")
    assert live.obj["data"] == {"k": "v"} and live.owned("b") == [".data.k"]
    error = refused(live.apply, "a", "{data: {k: w}}")
    assert error.message == 'Apply failed with 1 conflict: conflict with "b": .data.k'


def test_giving_up_a_field_leaves_it_to_its_other_owner():
    """Documented: transfer of replicas from a user to an autoscaler, without ever removing it."""
    live = Applied("Deployment")
    live.apply("kubectl", DEPLOYMENT)
    live.apply("handover-to-hpa", "{spec: {replicas: 3}}")
    live.apply("kubectl", DEPLOYMENT.replace("replicas: 3, ", ""))
    assert live.obj["spec"]["replicas"] == 3
    assert live.owned("handover-to-hpa") == [".spec.replicas"]
    live.update("hpa", "scale", spec={**live.obj["spec"], "replicas": 7})
    live.apply("handover-to-hpa", "{}")
    assert live.obj["spec"]["replicas"] == 7


def test_what_nobody_else_owns_goes():
    live = Applied()
    live.apply("a", "{metadata: {labels: {x: y}}, data: {k: v, l: w}}")
    live.apply("a", "{data: {k: v}}")
    assert live.obj["data"] == {"k": "v"}
    assert "labels" not in live.obj["metadata"], "nor is what it leaves empty"
    live.apply("a", "{}")
    assert "data" not in live.obj and live.entries == []


def test_a_removed_item_takes_its_defaults_along():
    live = Applied("Deployment")
    live.apply("a", DEPLOYMENT)
    containers = live.obj["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "side", "image": "x", "imagePullPolicy": "Always"})
    live.entries[0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"side"}'] = {
        ".": {}, "f:name": {}, "f:image": {},
    }  # fmt: skip
    live.apply("a", DEPLOYMENT)
    assert [c["name"] for c in live.obj["spec"]["template"]["spec"]["containers"]] == ["nginx"]


def test_a_removed_item_stays_while_another_owns_something_in_it():
    live = Applied("Pod")
    two = "{spec: {containers: [{name: a, image: x}, {name: b, image: y}]}}"
    live.apply("one", two)
    live.apply("other", "{spec: {containers: [{name: b, imagePullPolicy: Always}]}}")
    live.apply("one", "{spec: {containers: [{name: a, image: x}]}}")
    assert live.obj["spec"]["containers"] == [
        {"name": "a", "image": "x"},
        {"name": "b", "imagePullPolicy": "Always"},
    ]


def test_an_unowned_field_in_an_owned_item_stays():
    live = Applied("Pod")
    live.apply("one", "{spec: {containers: [{name: a, image: x, tty: true}]}}")
    live.obj["spec"]["containers"][0]["imagePullPolicy"] = "Always"
    live.apply("one", "{spec: {containers: [{name: a, image: x}]}}")
    assert live.obj["spec"]["containers"] == [{"name": "a", "image": "x", "imagePullPolicy": "Always"}]


def test_items_of_sets_are_owned_one_by_one():
    live = Applied()
    live.apply("a", "{metadata: {finalizers: [a.io/x, a.io/y]}}")
    live.apply("b", "{metadata: {finalizers: [b.io/z]}}")
    assert live.obj["metadata"]["finalizers"] == ["a.io/x", "a.io/y", "b.io/z"]
    live.apply("a", "{metadata: {finalizers: [a.io/y]}}")
    assert live.obj["metadata"]["finalizers"] == ["a.io/y", "b.io/z"]


def test_what_was_there_before_the_first_apply():
    live = Applied()
    live.create("x", "{data: {a: '1', b: '2'}}")
    live.update("x", metadata={"managedFields": []})
    live.apply("kubectl", "{data: {a: '1', c: '3'}}")
    assert live.owned("before-first-apply", "Update") == [".data", ".data.a", ".data.b"]
    assert live.owned("kubectl") == [".data.a", ".data.c"]
    error = refused(live.apply, "kubectl", "{data: {a: '9'}}")
    assert 'conflict with "before-first-apply" using v1: .data.a' in error.message


def test_each_path_applies_its_own_part():
    live = Applied("Deployment")
    live.apply("a", DEPLOYMENT[:-1] + ", status: {replicas: 9}}")
    assert "status" not in live.obj
    live.apply("b", "{metadata: {labels: {x: y}}, spec: {replicas: 8}, status: {replicas: 2}}", subresource="status")
    assert live.obj["status"] == {"replicas": 2} and live.obj["spec"]["replicas"] == 3
    assert live.owned("b", subresource="status") == [".status.replicas"]
    live.apply("a", DEPLOYMENT)
    assert live.obj["status"] == {"replicas": 2}


def test_an_applier_keeps_its_entry_over_versions_and_subresources():
    live = Applied()
    live.apply("a", "{data: {k: v}}")
    live.entries[0]["apiVersion"] = "v1beta1"
    live.apply("a", "{data: {k: v}}")
    assert [entry["apiVersion"] for entry in live.entries] == ["v1"]


def test_an_empty_map_is_owned_and_an_empty_list_is_not():
    live = Applied("Pod")
    live.apply("a", "{spec: {volumes: [{name: v, emptyDir: {}}], tolerations: [], containers: []}}")
    volume = '.spec.volumes[name="v"]'
    owned = [".spec.tolerations", volume, f"{volume}.emptyDir", f"{volume}.name"]
    assert live.owned("a") == owned, "tolerations are atomic: owned as a whole"


def test_quantities_are_compared_by_value():
    live = Applied("Pod")
    text = "{spec: {containers: [{name: a, resources: {limits: {cpu: 1000m, memory: 1024Mi}}}]}}"
    before = live.apply("a", text)
    assert before["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    live.apply("a", text)
    live.apply("b", "{spec: {containers: [{name: a, resources: {limits: {cpu: 1}}}]}}")
    assert '.spec.containers[name="a"].resources.limits.cpu' in live.owned("b")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "error decoding YAML: an applied configuration must be an object"),
        (b"{", "error decoding YAML"),
        (b"kind: Pod", "Incorrect version specified in apply patch. Specified patch version: , expected: v1"),
        (b"{apiVersion: v2, kind: Pod}", "Specified patch version: v2, expected: v1"),
        (b"{apiVersion: v1, kind: Node}", "invalid object type: /v1, Kind=Node"),
        (b"{apiVersion: v1, kind: Pod, metadata: {managedFields: []}}", "metadata.managedFields must be nil"),
        (
            b"{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: n}, spec: {contaners: []}}",
            "failed to create typed patch object (n/x; /v1, Kind=Pod): .spec.contaners: field not declared in schema",
        ),
        (
            b"{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: a}, {name: a}]}}",
            "failed to create typed patch object (/x; /v1, Kind=Pod): .spec.containers: duplicate entries for key "
            '[name="a"]',
        ),
        (b"{apiVersion: v1, kind: Pod, spec: {containers: 1}}", "cannot unmarshal number"),
    ],
)
def test_configurations_that_are_refused(body, message):
    error = refused(configuration, "v1", "Pod", body)
    assert (error.code, error.reason) == (400, "BadRequest")
    assert message in error.message


def test_fields_that_are_there_twice():
    body = b'{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1", "a": "2"}}'
    assert configuration("v1", "ConfigMap", body)[1] == ['duplicate field "data.a"']
    assert configuration("v1", "ConfigMap", body, "Ignore")[1] == []
    assert "error strict decoding YAML" in refused(configuration, "v1", "ConfigMap", body, "Strict").message


def test_a_body_may_be_yaml_that_looks_like_json():
    assert configuration("v1", "ConfigMap", b"{apiVersion: v1, kind: ConfigMap, data: {a: b}}")[0]["data"] == {"a": "b"}

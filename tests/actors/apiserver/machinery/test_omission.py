"""What is empty and left out, as Go's types do it: on a create, a patch and an apply."""

import orjson
import pytest

from actors.apiserver.machinery import schema
from actors.apiserver.machinery.apply.managers import Writer
from actors.apiserver.machinery.apply.request import absent, applied, configuration
from actors.apiserver.machinery.decode import decode, decode_as
from actors.apiserver.machinery.patch import apply_patch
from actors.apiserver.machinery.prepare import prepare_for_create
from tests.actors.apiserver.machinery.objects import resource

JSON = "application/json"


def decoded(kind: str, **parts) -> dict:
    obj, warnings = decode(resource(kind), orjson.dumps(parts), JSON, "Strict")
    assert not warnings
    return {name: obj[name] for name in parts if name in obj}


@pytest.mark.parametrize("name", ["labels", "annotations", "finalizers", "ownerReferences", "managedFields"])
@pytest.mark.parametrize("empty", [{}, []])
def test_metadata(name, empty):
    if isinstance(empty, dict) == (name in ("labels", "annotations")):
        assert decoded("ConfigMap", metadata={"name": "a", name: empty}) == {"metadata": {"name": "a"}}


def test_lists_maps_and_scalars_of_a_pod():
    container = {
        "name": "a",
        "args": [],
        "tty": False,
        "resources": {"limits": {}},
        "env": [{"name": "A", "value": ""}],
    }
    spec = {"nodeSelector": {}, "hostNetwork": False, "tolerations": [], "containers": [container]}
    assert decoded("Pod", spec=spec)["spec"] == {"containers": [{"name": "a", "resources": {}, "env": [{"name": "A"}]}]}


def test_pointers_structs_and_what_is_in_maps_and_lists_stay():
    volume = {"name": "v", "emptyDir": {}}
    secure = {"privileged": False, "runAsUser": 0}
    spec = {"securityContext": {}, "volumes": [volume], "containers": [{"name": "a", "securityContext": secure}]}
    assert decoded("Pod", spec=spec) == {"spec": spec}
    assert decoded("ConfigMap", data={"empty": ""}, immutable=False) == {"data": {"empty": ""}, "immutable": False}
    assert decoded("Deployment", spec={"replicas": 0})["spec"] == {"replicas": 0}
    assert decoded("NetworkPolicy", spec={"podSelector": {}, "egress": [{}], "ingress": []})["spec"] == {
        "podSelector": {},
        "egress": [{}],
    }


def test_what_is_always_written_stays():
    assert decoded("ClusterRole", rules=[]) == {"rules": []}
    assert decoded("EndpointSlice", addressType="IPv4", endpoints=[])["endpoints"] == []
    assert decoded("PriorityClass", value=0) == {"value": 0}


def test_names_of_definitions_are_those_of_the_schemas():
    from actors.apiserver.machinery.schema.omission import WRITTEN_ALWAYS

    for name, fields in WRITTEN_ALWAYS.items():
        struct = schema.SCHEMAS.of_definition(name).resolved()
        assert fields <= struct.fields.keys(), name
        assert not fields & struct.omitted


def test_a_scale_to_nothing():
    scale, _ = decode_as("autoscaling", "v1", "Scale", b'{"spec":{"replicas":0}}', JSON, "Strict")
    assert scale["spec"] == {}


@pytest.mark.parametrize(
    ("media", "patch"),
    [
        ("application/merge-patch+json", b'{"metadata":{"labels":{"a":null}},"data":{}}'),
        ("application/strategic-merge-patch+json", b'{"metadata":{"labels":{"a":null}}}'),
        ("application/json-patch+json", b'[{"op":"remove","path":"/metadata/labels/a"}]'),
    ],
)
def test_a_patch_that_takes_the_last_one(media, patch):
    live = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"a": "b"}}}
    assert apply_patch(resource("ConfigMap"), live, patch, media)[0]["metadata"] == {"name": "a"}


def test_an_applied_empty_map_is_owned_and_not_there():
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","labels":{}},"data":{"k":""}}'
    config, _ = configuration("v1", "ConfigMap", body)
    made = applied(absent(resource("ConfigMap")), config, Writer("me", "v1", "", "2026-01-01T00:00:00Z"), False)
    assert "labels" not in made["metadata"]
    assert made["data"] == {"k": ""}
    assert made["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {"f:k": {}}, "f:metadata": {"f:labels": {}}}


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("StatefulSet", {"availableReplicas": 0, "replicas": 0}),
        ("ReplicaSet", {"replicas": 0}),
        ("PodDisruptionBudget", {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}),
    ],
)
def test_a_status_begins_with_its_counts(kind, counts):
    obj, _ = decode(resource(kind), b'{"metadata":{"name":"a"},"spec":{}}', JSON)
    prepare_for_create(resource(kind), obj, "uid", "2026-01-01T00:00:00Z")
    assert obj["status"] == counts


@pytest.mark.parametrize("empty", [{}, {"ephemeralContainers": []}])
def test_a_pod_without_ephemeral_containers_has_no_list_of_them(empty):
    strategy = resource("Pod").strategy
    old = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}
    obj = {"metadata": {"name": "a"}, "spec": empty}
    strategy.prepare_for_subresource_update("ephemeralcontainers", obj, old)
    assert obj["spec"] == old["spec"] and "generation" not in obj["metadata"]

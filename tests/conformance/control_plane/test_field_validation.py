"""sig-api-machinery: fields that nobody knows, or that come twice, by the field validation that is asked for."""

import json

import pytest

from tests.conformance.access import Api, Object, Refused
from tests.conformance.definitions import Custom, definition, established, version
from tests.conformance.pods import Space

pytestmark = pytest.mark.timeout(60)

APPLY = "application/apply-patch+yaml"
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE},
}
PORTS = {
    "type": "object",
    "x-kubernetes-embedded-resource": True,
    "properties": {"spec": {"type": "object", "properties": {"knownField": {"type": "string"}}}},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"knownField1": {"type": "string"}, "ports": {"type": "array", "items": {"type": "object",
                           "properties": {"containerPort": {"type": "integer"}, "protocol": {"type": "string"}}}},
                           "template": PORTS},
        }
    },
}  # fmt: skip


def refused(space: Space, method: str, resource: str, name: str, body: str, kind: str, **query: str) -> str:
    """Send a body as it is; return the message of the refusal, which is a bad request."""
    answer = space.api.ask(
        method, space.path(resource, name), body.encode(), {"Content-Type": kind}, fieldValidation="Strict", **query
    )
    assert answer.code == 400, answer.body
    return json.loads(answer.body)["message"]


def twice(obj: Object) -> str:
    """Return JSON that says the replicas two times."""
    return json.dumps(obj).replace('"replicas": 0', '"replicas": 0, "replicas": 1')


def test_a_typed_object(space: Space):
    """Server side field validation, typed object"""
    resource = "apps/v1/deployments"
    odd = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "unknownField": "foo"}}
    said = refused(space, "POST", resource, "", twice(odd), "application/json")
    assert 'unknown field "spec.unknownField"' in said and 'duplicate field "spec.replicas"' in said
    said = refused(space, "PATCH", resource, "web", json.dumps(odd), APPLY, fieldManager="me")
    assert ".spec.unknownField: field not declared in schema" in said
    assert not space.has(resource, "web")


def test_the_metadata_of_a_typed_object(space: Space):
    """Server side field validation, typed unknown metadata"""
    template = {**TEMPLATE, "metadata": {**TEMPLATE["metadata"], "unknownInner": "foo"}}
    metadata = {"name": "web", "unknownMeta": "foo"}
    odd = {**DEPLOYMENT, "metadata": metadata, "spec": {**DEPLOYMENT["spec"], "template": template}}
    said = refused(space, "POST", "apps/v1/deployments", "", json.dumps(odd), "application/json")
    assert 'unknown field "metadata.unknownMeta"' in said
    assert 'unknown field "spec.template.metadata.unknownInner"' in said
    said = refused(space, "PATCH", "apps/v1/deployments", "web", json.dumps(odd), APPLY, fieldManager="me")
    assert ".metadata.unknownMeta: field not declared in schema" in said


@pytest.fixture(scope="module")
def custom(whole: Space):
    with established(whole, definition(version(schema=SCHEMA))) as made:
        yield made


def known(custom: Custom, **spec: object) -> Object:
    return custom.object("mine", spec={"knownField1": "val1", "ports": [{"containerPort": 80}], **spec})


def test_a_custom_object_that_fits(space: Space, custom: Custom):
    """Server side field validation, valid CR with validation schema"""
    resource = custom.resource()
    made = space.create(resource, known(custom), fieldValidation="Strict")
    assert made["spec"] == known(custom)["spec"]
    applied = json.dumps({**known(custom), "metadata": {"name": "applied"}}).encode()
    path, query = space.path(resource, "applied"), {"fieldValidation": "Strict", "fieldManager": "me"}
    assert space.api.ask("PATCH", path, applied, {"Content-Type": APPLY}, **query).code == 201


def test_a_custom_object_with_more_than_its_schema(space: Space, custom: Custom):
    """Server side field validation, unknown fields CR fails validation"""
    resource, odd = custom.resource(), json.dumps(known(custom, unknown="foo"))
    doubled = odd.replace('"knownField1": "val1"', '"knownField1": "val1", "knownField1": "val2"')
    said = refused(space, "POST", resource, "", doubled, "application/json")
    assert 'unknown field "spec.unknown"' in said and 'duplicate field "spec.knownField1"' in said
    said = refused(space, "PATCH", resource, "odd", doubled.replace('"mine"', '"odd"'), APPLY, fieldManager="me")
    assert "spec.unknown" in said or "knownField1" in said
    assert not space.has(resource, "odd")
    with pytest.raises(Refused) as error:
        space.create(resource, {**known(custom), "extra": 1}, fieldValidation="Strict")
    assert 'unknown field "extra"' in str(error.value)


def test_the_metadata_of_a_custom_object(space: Space, custom: Custom):
    """Server side field validation, unknown metadata"""
    inner = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "inner", "unknownSubMeta": "foo"}, "spec": {}}
    odd = known(custom, template=inner)
    odd["metadata"]["unknownMeta"] = "foo"
    said = refused(space, "POST", custom.resource(), "", json.dumps(odd), "application/json")
    assert 'unknown field "metadata.unknownMeta"' in said
    assert 'unknown field "spec.template.metadata.unknownSubMeta"' in said
    odd["metadata"]["name"] = "odd"
    said = refused(space, "PATCH", custom.resource(), "odd", json.dumps(odd), APPLY, fieldManager="me")
    assert "unknownMeta" in said or "unknownSubMeta" in said
    assert not space.has(custom.resource(), "odd")


def test_warnings_instead(api: Api, space: Space):
    """Server side field validation, typed object: by default a warning, and the field is dropped"""
    odd = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "warned"}, "what": "ever"}
    answer = api.ask("POST", space.path("configmaps"), odd, {"Content-Type": "application/json"})
    assert (answer.code, answer.headers["warning"]) == (201, '299 - "unknown field \\"what\\""')

"""sig-api-machinery: what OpenAPI says of custom resources, and what kubectl makes of that."""

import json

import pytest

from tests.cluster import eventually
from tests.conformance.access import JSON_PATCH, Api, Object
from tests.conformance.definitions import DEFINITIONS, GROUP, Custom, definition, established, version
from tests.conformance.pods import Space

pytestmark = pytest.mark.timeout(60)

BAR = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "description": "Name of Bar."},
        "age": {"type": "string", "description": "Age of Bar."},
        "bazs": {"type": "array", "items": {"type": "string"}, "description": "List of Bazs."},
    },
}
FOO = {
    "type": "object",
    "description": "Foo CRD for Testing",
    "properties": {
        "spec": {
            "type": "object",
            "description": "Specification of Foo",
            "properties": {"bars": {"type": "array", "description": "List of Bars and their specs.", "items": BAR}},
        },
        "status": {"type": "object", "description": "Status of Foo", "properties": {"ready": {"type": "boolean"}}},
    },
}


def described(text: str) -> Object:
    return {"type": "object", "description": text, "properties": {"spec": {"type": "object"}}}


def descriptions(api: Api, custom: Custom, of_version: str) -> tuple[str, str]:
    """Return what OpenAPI v2 and v3 say of the kind, in one version; nothing where it is not published."""
    name = f"{'.'.join(reversed(custom.group.split('.')))}.{of_version}.{custom.kind}"
    v2 = api.json("GET", "/openapi/v2")["definitions"].get(name, {})
    path = f"apis/{custom.group}/{of_version}"
    if path not in api.json("GET", "/openapi/v3")["paths"]:
        return v2.get("description", ""), ""
    schemas = api.json("GET", f"/openapi/v3/{path}")["components"]["schemas"]
    return v2.get("description", ""), schemas.get(name, {}).get("description", "")


def is_published(api: Api, custom: Custom, of_version: str, text: str) -> None:
    found = eventually(
        lambda: (said := descriptions(api, custom, of_version)) == (text, text) and said, "published", 15
    )
    assert found == (text, text)


class Kubectl:
    """kubectl in a namespace, for objects of one kind."""

    def __init__(self, space: Space, custom: Custom):
        self._cluster, self._space, self._custom = space.api.cluster, space, custom

    def _run(self, verb: str, obj: Object, status: int) -> str:
        done = self._cluster.run(
            "kubectl", "-n", self._space.name, verb, "-f", "-", stdin=json.dumps(obj), status=status
        )
        return done.stderr

    def accepts(self, obj: Object, changed: Object) -> None:
        """Assert that an object can be created, applied, and changed by applying."""
        self._run("create", obj, 0)
        self._space.delete(self._custom.resource(), obj["metadata"]["name"])
        self._run("apply", obj, 0)
        self._run("apply", changed, 0)

    def refuses(self, obj: Object, why: str) -> None:
        for verb in ("create", "apply"):
            assert why in self._run(verb, obj, 1)

    def explain(self, path: str = "") -> str:
        return self._cluster.kubectl("explain", self._custom.plural + path)


def test_with_a_schema(space: Space, api: Api, whole: Space):
    """Custom Resource OpenAPI Publish, with validation schema"""
    with established(whole, definition(version(schema=FOO))) as custom:
        is_published(api, custom, "v1", "Foo CRD for Testing")
        kubectl = Kubectl(space, custom)

        def foo(bar: Object) -> Object:
            return custom.object("foo", spec={"bars": [bar]})

        kubectl.accepts(foo({"name": "test-bar"}), foo({"name": "test-bar", "age": "10"}))
        kubectl.refuses(foo({"name": "test-bar", "unknown": "yes"}), 'unknown field "spec.bars[0].unknown"')
        kubectl.refuses(foo({"age": "10"}), "spec.bars[0].name: Required value")
        said = kubectl.explain()
        assert "Foo CRD for Testing" in said and f"KIND:       {custom.kind}" in said
        assert "Specification of Foo" in said
        said = kubectl.explain(".spec.bars")
        assert "List of Bars and their specs." in said
        assert all(line in said for line in ("name\t<string> -required-", "age\t<string>", "bazs\t<[]string>"))
        assert "List of Bazs." in kubectl.explain(".spec.bars.bazs")
        assert (
            "does not exist" in api.cluster.run("kubectl", "explain", f"{custom.plural}.spec.nothing", status=1).stderr
        )


def test_without_a_schema(space: Space, api: Api, whole: Space):
    """Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields in object"""
    schema = {"type": "object", "description": "preserve-unknown-properties for Testing"}
    with established(
        whole, definition(version(schema=schema | {"x-kubernetes-preserve-unknown-fields": True}))
    ) as custom:
        is_published(api, custom, "v1", schema["description"])
        kubectl = Kubectl(space, custom)
        kubectl.accepts(custom.object("any", a={"b": ["c"]}), custom.object("any", a={"b": 1}))
        assert f"DESCRIPTION:\n    {schema['description']}" in kubectl.explain()


def test_anything_at_the_root(space: Space, api: Api, whole: Space):
    """Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields at root"""
    schema = described("preserve-unknown-properties at root for Testing")
    with established(
        whole, definition(version(schema=schema | {"x-kubernetes-preserve-unknown-fields": True}))
    ) as custom:
        is_published(api, custom, "v1", schema["description"])
        kubectl = Kubectl(space, custom)
        kubectl.accepts(custom.object("any", spec={}, unknown={"b": "c"}), custom.object("any", spec={}, unknown=1))
        assert f"KIND:       {custom.kind}" in kubectl.explain()


def test_anything_in_a_nested_object(space: Space, api: Api, whole: Space):
    """Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields in embedded object"""
    said = "preserve-unknown-properties in nested field for Testing"
    nested = {"type": "object", "description": said, "x-kubernetes-preserve-unknown-fields": True}
    embedded = nested | {"x-kubernetes-embedded-resource": True}
    properties = {"spec": nested, "status": nested, "template": embedded}
    with established(whole, definition(version(schema={"type": "object", "properties": properties}))) as custom:
        kubectl = Kubectl(space, custom)
        inner = {"apiVersion": "v1", "kind": "Anything", "metadata": {"name": "inner"}, "what": "ever"}
        kubectl.accepts(
            custom.object("any", spec={"b": [{"c": "d"}]}, template=inner),
            custom.object("any", spec={"b": [{"c": "e"}]}, template=inner | {"what": 1}),
        )
        assert said in kubectl.explain(".spec")


def test_groups_side_by_side(api: Api, whole: Space):
    """Custom Resource OpenAPI Publish, varying groups"""
    one = definition(version(schema=described("one")))
    two = definition(version(schema=described("two")), group=f"other.{GROUP}")
    with established(whole, one) as first, established(whole, two) as second:
        is_published(api, first, "v1", "one")
        is_published(api, second, "v1", "two")


def test_versions_side_by_side(api: Api, whole: Space):
    """Custom Resource OpenAPI Publish, varying versions"""
    one, two = version("v2", described("two")), version("v3", described("three"), storage=False)
    with established(whole, definition(one, two)) as custom:
        is_published(api, custom, "v2", "two")
        is_published(api, custom, "v3", "three")
    four, five = definition(version("v4", described("four"))), definition(version("v5", described("five")))
    with established(whole, four) as first, established(whole, five) as second:
        is_published(api, first, "v4", "four")
        is_published(api, second, "v5", "five")


def test_a_version_gets_another_name(api: Api, whole: Space):
    """Custom Resource OpenAPI Publish, version rename"""
    one, two = version("v2", described("two")), version("v3", described("three"), storage=False)
    with established(whole, definition(one, two)) as custom:
        is_published(api, custom, "v3", "three")
        renamed = [{"op": "replace", "path": "/spec/versions/1/name", "value": "v4"}]
        whole.patch(DEFINITIONS, custom.name, renamed, kind=JSON_PATCH)
        is_published(api, custom, "v4", "three")
        assert descriptions(api, custom, "v3") == ("", "")
        assert descriptions(api, custom, "v2") == ("two", "two")


def test_a_version_is_no_longer_served(api: Api, whole: Space):
    """Custom Resource OpenAPI Publish, stop serving version"""
    one, two = version("v5", described("five")), version("v6alpha1", described("six"), storage=False)
    with established(whole, definition(one, two)) as custom:
        is_published(api, custom, "v6alpha1", "six")
        stopped = [{"op": "replace", "path": "/spec/versions/1/served", "value": False}]
        whole.patch(DEFINITIONS, custom.name, stopped, kind=JSON_PATCH)
        eventually(lambda: descriptions(api, custom, "v6alpha1") == ("", ""), "it is no longer published", 15)
        assert descriptions(api, custom, "v5") == ("five", "five")

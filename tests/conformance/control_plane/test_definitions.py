"""sig-api-machinery: custom resource definitions: their lives, their versions, defaults, selectors and watches."""

import pytest

from tests.cluster import eventually
from tests.conformance.access import Api, Object
from tests.conformance.definitions import DEFINITIONS, Custom, definition, established, is_established, version
from tests.conformance.lives import holds
from tests.conformance.pods import Space
from tests.conformance.watching import watching
from tests.e2e.conversion_webhook import ConversionWebhook

pytestmark = pytest.mark.timeout(60)


def strings(*names: str, **more: Object) -> Object:
    """Return the schema of an object with strings in its spec; `more` are schemas of other fields of it."""
    properties = {name: {"type": "string"} for name in names} | more
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def test_created_and_deleted(whole: Space):
    """Custom Resource Definition, create"""
    made = definition()
    name = whole.create(DEFINITIONS, made)["metadata"]["name"]
    eventually(lambda: is_established(whole.get(DEFINITIONS, name)), "it is established", 10)
    whole.delete(DEFINITIONS, name)
    eventually(lambda: not whole.has(DEFINITIONS, name), "it is gone", 10)


def test_ten_by_label(whole: Space):
    """Custom Resource Definition, list"""
    other = Custom(whole.create(DEFINITIONS, definition(labels={"of": "another"})))
    names = {whole.create(DEFINITIONS, definition(labels={"of": "ten"}))["metadata"]["name"] for _ in range(10)}
    assert {item["metadata"]["name"] for item in whole.list(DEFINITIONS, "of=ten")} == names
    whole.delete_all(DEFINITIONS, "of=ten")
    eventually(lambda: whole.list(DEFINITIONS, "of=ten") == [], "the labelled ones are gone", 20)
    assert whole.has(DEFINITIONS, other.name)
    whole.delete(DEFINITIONS, other.name)


def test_the_status_of_a_definition(whole: Space):
    """Custom Resource Definition, status sub-resource"""
    with established(whole, definition()) as custom:
        assert is_established(whole.get(DEFINITIONS, custom.name, "status"))
        told = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from an e2e test"}
        added = {**told, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        whole.modify(DEFINITIONS, custom.name, lambda found: found["status"]["conditions"].append(added), "status")
        assert added in whole.get(DEFINITIONS, custom.name)["status"]["conditions"]
        conditions = whole.get(DEFINITIONS, custom.name)["status"]["conditions"]
        patched = {**added, "message": "Patched"}
        others = [one for one in conditions if one["type"] != "StatusUpdate"]
        patch = {"metadata": {"annotations": {"patched": "yes"}}, "status": {"conditions": [*others, patched]}}
        whole.patch(DEFINITIONS, custom.name, patch, sub="status")
        found = whole.get(DEFINITIONS, custom.name)
        assert patched in found["status"]["conditions"] and is_established(found)


def test_watching_custom_resources(space: Space, api: Api, whole: Space):
    """Custom Resource Definition, watch"""
    with established(whole, definition()) as custom, watching(api, space.path(custom.resource())) as watch:
        for name in ("one", "two"):
            space.create(custom.resource(), custom.object(name, content={"key": "value"}))
            assert watch.next_of(name, 1) == ["ADDED"]
            space.patch(custom.resource(), name, {"content": {"key": "changed"}})
            assert watch.until("MODIFIED", name)["content"] == {"key": "changed"}
        for name in ("one", "two"):
            space.delete(custom.resource(), name)
            assert watch.next_of(name, 1) == ["DELETED"]


def test_defaults_come_to_new_objects_and_to_stored_ones(space: Space, whole: Space):
    """Custom Resource Definition, defaulting"""
    with established(whole, definition(version(schema=strings("a", "b")))) as custom:
        resource = custom.resource()
        space.create(resource, custom.object("one", spec={}))

        def default(**of: str) -> None:
            def change(found: Object) -> None:
                found["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = strings(
                    **{name: {"type": "string"} | ({"default": of[name]} if name in of else {}) for name in "ab"}
                )

            whole.modify(DEFINITIONS, custom.name, change)

        default(a="A")
        eventually(lambda: space.get(resource, "one")["spec"] == {"a": "A"}, "the stored object is defaulted", 10)
        assert space.create(resource, custom.object("two", spec={}))["spec"] == {"a": "A"}
        default(b="B")
        eventually(lambda: space.get(resource, "two")["spec"] == {"a": "A", "b": "B"}, "the other is defaulted", 10)
        assert space.get(resource, "one")["spec"] == {"b": "B"}, "what was never stored goes with its default"


def two_versions(webhook: ConversionWebhook) -> Object:
    client_config = {"url": webhook.url, "caBundle": webhook.ca_bundle}
    return definition(
        version("v1", strings("hostPort"), selectableFields=[{"jsonPath": ".spec.hostPort"}]),
        version(
            "v2",
            strings("host", "port"),
            storage=False,
            selectableFields=[{"jsonPath": ".spec.host"}, {"jsonPath": ".spec.port"}],
        ),
        conversion={
            "strategy": "Webhook",
            "webhook": {"clientConfig": client_config, "conversionReviewVersions": ["v1"]},
        },
    )


@pytest.fixture(scope="module")
def conversion():
    webhook = ConversionWebhook()
    yield webhook
    webhook.close()


def test_read_in_another_version(space: Space, whole: Space, conversion: ConversionWebhook):
    """Custom Resource Definition Conversion Webhook, conversion custom resource"""
    with established(whole, two_versions(conversion)) as custom:
        space.create(custom.resource(), custom.object("one", spec={"hostPort": "localhost:8080"}))
        found = space.get(custom.resource("v2"), "one")
        assert (found["apiVersion"], found["spec"]) == (
            f"{custom.group}/v2",
            {"host": "localhost", "port": "8080"},
        )
        assert [item["spec"] for item in space.list(custom.resource("v2"))] == [found["spec"]]


def test_selected_by_a_field(space: Space, api: Api, whole: Space, conversion: ConversionWebhook):
    """custom-resource-definition-field-selectors-list-watch-register-informers"""
    with established(whole, two_versions(conversion)) as custom:
        v1, v2 = custom.resource("v1"), custom.resource("v2")

        def selected(resource: str, selector: str) -> set[str]:
            found = api.json("GET", space.path(resource), fieldSelector=selector)["items"]
            return {item["metadata"]["name"] for item in found}

        first = {"fieldSelector": "spec.host=host1"}
        exact = {"fieldSelector": "spec.hostPort=host1:80"}
        with watching(api, space.path(v2), **first) as of_host, watching(api, space.path(v1), **exact) as of_port:
            for name, host_port in (("a", "host1:80"), ("b", "host1:8080"), ("c", "host2:80")):
                space.create(v1, custom.object(name, spec={"hostPort": host_port}))
            assert [selected(v2, "spec.host=host1"), selected(v1, "spec.hostPort=host1:80")] == [{"a", "b"}, {"a"}]
            assert selected(v2, "spec.host=host1,spec.port=80") == {"a"}
            assert selected(v2, "spec.host!=host1") == {"c"}
            assert of_port.until("ADDED", "a")["spec"] == {"hostPort": "host1:80"}
            assert of_host.until("ADDED", "b")["spec"] == {"host": "host1", "port": "8080"}
            space.patch(v2, "a", {"spec": {"host": "host2"}})
            of_host.until("DELETED", "a")
            of_port.until("DELETED", "a")
            space.patch(v2, "c", {"spec": {"host": "host1"}})
            assert holds(of_host.until("ADDED", "c"), {"apiVersion": f"{custom.group}/v2"})
            assert of_port.until("ADDED", "c")["apiVersion"] == f"{custom.group}/v1"
            space.delete(v1, "b")
            of_host.until("DELETED", "b")
            assert selected(v2, "spec.host=host1") == {"c"}
            api.json("DELETE", space.path(v2), **first)
            of_host.until("DELETED", "c")
            assert selected(v1, "spec.hostPort=host1:80") == set()
            assert {item["metadata"]["name"] for item in space.list(v1)} == {"a"}

"""sig-api-machinery: admission webhooks, which run here in the test and are reached by their URL."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster import eventually
from tests.conformance.access import JSON_PATCH, Api, Object, Refused
from tests.conformance.definitions import DEFINITIONS, definition, established, version
from tests.conformance.pods import Space, config_map, container, pod
from tests.e2e.webhook_server import WebhookServer, allow, deny, patch

pytestmark = pytest.mark.timeout(60)

GROUP = "admissionregistration.k8s.io/v1"
KINDS = {
    f"{GROUP}/mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    f"{GROUP}/validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
}
MUTATING, VALIDATING = KINDS
LONGEST_WAIT_S = 30.0  # of a webhook that waits to be told
ADDS = patch({"op": "add", "path": "/data/mutated", "value": "yes"})

Register = Callable[..., Object]


def rule(*operations: str, group: str = "", resource: str = "configmaps", versions: str = "v1") -> Object:
    return {"apiGroups": [group], "apiVersions": [versions], "operations": list(operations), "resources": [resource]}


@pytest.fixture
def hook(webhooks: WebhookServer, space: Space, request: pytest.FixtureRequest) -> Callable[..., Object]:
    """Makes a webhook, answered as told, that is asked about this module's namespace only."""

    def made(name: str, answer: Any, *rules: Object, **fields: Any) -> Object:
        path = f"/{request.node.name}/{name}"
        webhooks.answers[path] = answer
        return {
            "name": f"{name}.conformance.example.com",
            "rules": list(rules) or [rule("CREATE")],
            "clientConfig": webhooks.client_config(path),
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
            **fields,
        }

    return made


@pytest.fixture
def register(whole: Space) -> Iterator[Register]:
    """Creates configurations of webhooks, which go with the test."""
    made: list[tuple[str, str]] = []

    def create(resource: str, name: str, *hooks: Object, labels: Object | None = None) -> Object:
        metadata = {"name": name, "labels": labels or {}}
        made.append((resource, name))
        body = {"apiVersion": GROUP, "kind": KINDS[resource], "metadata": metadata, "webhooks": list(hooks)}
        return whole.create(resource, body)

    yield create
    for resource, name in made:
        if whole.has(resource, name):
            whole.delete(resource, name)


def data_after(space: Space, name: str, data: Object | None = None) -> Object:
    """Create a ConfigMap; return the data that it got."""
    return space.create("configmaps", config_map(name, data or {"a": "b"}))["data"]


def is_denied(why: str, action: Callable[[], Any]) -> None:
    with pytest.raises(Refused) as refused:
        action()
    assert why in str(refused.value)


def test_discovery(api: Api):
    """Admission webhook, discovery document"""
    groups = {group["name"]: group for group in api.json("GET", "/apis")["groups"]}
    found = api.json("GET", "/apis/admissionregistration.k8s.io")
    for group in (groups["admissionregistration.k8s.io"], found):
        assert {"groupVersion": GROUP, "version": "v1"} in group["versions"]
    served = {item["name"]: item["kind"] for item in api.json("GET", f"/apis/{GROUP}")["resources"]}
    assert served["mutatingwebhookconfigurations"] == "MutatingWebhookConfiguration"
    assert served["validatingwebhookconfigurations"] == "ValidatingWebhookConfiguration"


def test_many_mutating_webhooks(space: Space, whole: Space, register: Register, hook):
    """Admission webhook, list mutating webhooks"""
    for number in range(10):
        adds = patch({"op": "add", "path": f"/data/mutated-{number}", "value": "yes"})
        register(MUTATING, f"many-{number}", hook(f"m{number}", adds), labels={"of": "many"})
    assert len(whole.list(MUTATING, "of=many")) == 10
    assert len(data_after(space, "by-many")) == 11
    whole.delete_all(MUTATING, "of=many")
    assert whole.list(MUTATING, "of=many") == []
    assert data_after(space, "by-none") == {"a": "b"}


def test_many_validating_webhooks(space: Space, whole: Space, register: Register, hook):
    """Admission webhook, list validating webhooks"""
    for number in range(10):
        register(VALIDATING, f"many-{number}", hook(f"v{number}", deny("by many")), labels={"of": "many"})
    assert len(whole.list(VALIDATING, "of=many")) == 10
    is_denied("by many", lambda: data_after(space, "never"))
    whole.delete_all(VALIDATING, "of=many")
    assert whole.list(VALIDATING, "of=many") == []
    data_after(space, "now")


def test_a_mutating_webhook_is_changed(space: Space, whole: Space, register: Register, hook):
    """Admission webhook, update mutating webhook"""
    register(MUTATING, "changing", hook("changing", ADDS))
    assert "mutated" in data_after(space, "first")
    whole.modify(MUTATING, "changing", lambda found: found["webhooks"][0]["rules"][0].update(operations=["UPDATE"]))
    assert "mutated" not in data_after(space, "second")
    path = "/webhooks/0/rules/0/operations"
    whole.patch(MUTATING, "changing", [{"op": "replace", "path": path, "value": ["CREATE"]}], kind=JSON_PATCH)
    assert "mutated" in data_after(space, "third")


def test_match_conditions_are_stored(whole: Space, register: Register, hook):
    """Validating Admission webhook, create and update validating webhook configuration with matchConditions"""
    first = [{"name": "expression-1", "expression": "object.metadata.namespace == 'production'"}]
    register(VALIDATING, "conditions", hook("conditions", allow, matchConditions=first))
    assert whole.get(VALIDATING, "conditions")["webhooks"][0]["matchConditions"] == first
    both = [*first, {"name": "expression-2", "expression": "object.metadata.namespace == 'staging'"}]
    whole.modify(VALIDATING, "conditions", lambda found: found["webhooks"][0].update(matchConditions=both))
    assert whole.get(VALIDATING, "conditions")["webhooks"][0]["matchConditions"] == both


def test_attaching_is_denied(space: Space, api: Api, register: Register, hook):
    """Admission webhook, deny attach"""
    space.ready(space.start(pod(container(None), name="to-be-attached")))
    connect = rule("CONNECT", resource="pods/attach")
    register(VALIDATING, "attach", hook("attach", deny("attaching to this pod is not allowed"), connect))
    done = api.cluster.run("kubectl", "-n", space.name, "attach", "to-be-attached", "-i", status=1)
    assert "attaching to this pod is not allowed" in done.stderr


def test_what_happens_to_custom_resources_is_denied(space: Space, whole: Space, register: Register, hook):
    """Admission webhook, deny custom resource create and delete"""
    with established(whole, definition()) as custom:
        resource = custom.resource()
        space.create(resource, custom.object("before"))
        everything = rule("CREATE", "UPDATE", "DELETE", group=custom.group, resource=custom.plural)
        register(VALIDATING, "custom", hook("custom", deny("unwanted custom resource"), everything))
        is_denied("unwanted custom resource", lambda: space.create(resource, custom.object("after")))
        is_denied("unwanted custom resource", lambda: space.patch(resource, "before", {"data": {"a": "b"}}))
        found = space.get(resource, "before")
        is_denied("unwanted custom resource", lambda: space.update(resource, found | {"data": {"a": "b"}}))
        is_denied("unwanted custom resource", lambda: space.delete(resource, "before"))
        assert space.get(resource, "before") == found
        whole.delete(VALIDATING, "custom")
        space.delete(resource, "before")


def test_definitions_are_denied(whole: Space, register: Register, hook):
    """Admission webhook, deny custom resource definition"""
    creations = rule("CREATE", group="apiextensions.k8s.io", resource="customresourcedefinitions", versions="*")
    unwanted = {"objectSelector": {"matchLabels": {"unwanted": "yes"}}}
    register(VALIDATING, "crds", hook("crds", deny("unwanted definition"), creations, **unwanted))
    made = definition(labels={"unwanted": "yes"})
    is_denied("unwanted definition", lambda: whole.create(DEFINITIONS, made))
    assert not whole.has(DEFINITIONS, made["metadata"]["name"])


def test_timeouts(space: Space, register: Register, hook):
    """Admission webhook, honor timeout"""
    cases = {
        "short-fail": (1, "Fail"),
        "short-ignore": (1, "Ignore"),
        "long-fail": (10, "Fail"),
        "none-fail": (0, "Fail"),
    }
    answer_now = threading.Event()

    def late(request: Object) -> Object:
        return {"allowed": answer_now.wait(LONGEST_WAIT_S)}

    for name, (timeout_s, policy) in cases.items():
        fields: Object = {"failurePolicy": policy, "objectSelector": {"matchLabels": {"case": name}}}
        more = {"timeoutSeconds": timeout_s} if timeout_s else {}
        made = register(VALIDATING, f"timeout-{name}", hook(name, late, **fields, **more))
        assert made["webhooks"][0]["timeoutSeconds"] == (timeout_s or 10)

    def outcome(name: str) -> str:
        try:
            space.create("configmaps", {**config_map(name), "metadata": {"name": name, "labels": {"case": name}}})
        except Refused as error:
            return str(error)
        return "created"

    with ThreadPoolExecutor(len(cases)) as pool:
        outcomes = {name: pool.submit(outcome, name) for name in cases}
        try:
            assert "deadline exceeded" in outcomes["short-fail"].result()
            assert outcomes["short-ignore"].result() == "created"
            assert not outcomes["long-fail"].done() and not outcomes["none-fail"].done()
        finally:
            answer_now.set()
        assert [outcomes[name].result() for name in ("long-fail", "none-fail")] == ["created", "created"]


def test_the_second_sees_what_the_first_has_done(space: Space, register: Register, hook):
    """Admission webhook, ordered mutation"""

    def stage(number: int) -> Callable[[Object], Object]:
        before = "mutation-start" if number == 1 else "mutation-stage-1"
        adds = patch({"op": "add", "path": f"/data/mutation-stage-{number}", "value": "yes"})
        return lambda request: adds(request) if before in request["object"]["data"] else allow(request)

    register(MUTATING, "stages", hook("one", stage(1)), hook("two", stage(2)))
    expected = {"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"}
    assert data_after(space, "to-be-mutated", {"mutation-start": "yes"}) == expected
    assert data_after(space, "not-to-be-mutated", {"other": "yes"}) == {"other": "yes"}


def test_custom_resources_are_mutated(space: Space, whole: Space, register: Register, hook):
    """Admission webhook, mutate custom resource"""
    with established(whole, definition()) as custom:
        creations = rule("CREATE", group=custom.group, resource=custom.plural)
        register(MUTATING, "mutates-custom", hook("custom", ADDS, creations))
        made = space.create(custom.resource(), custom.object("one", data={"mutation-start": "yes"}))
        assert made["data"] == {"mutation-start": "yes", "mutated": "yes"}
        assert space.get(custom.resource(), "one")["data"] == made["data"]


def test_custom_resources_are_mutated_whatever_is_stored(space: Space, whole: Space, register: Register, hook):
    """Admission webhook, mutate custom resource with different stored version"""
    with established(whole, definition(version("v1"), version("v2", storage=False))) as custom:
        writes = rule("CREATE", "UPDATE", group=custom.group, resource=custom.plural)
        register(MUTATING, "mutates-stored", hook("stored", ADDS, writes))
        created = space.create(custom.resource(), custom.object("one", data={"mutation-start": "yes"}))
        assert created["data"]["mutated"] == "yes"

        def store_v2(found: Object) -> None:
            for one in found["spec"]["versions"]:
                one["storage"] = one["name"] == "v2"

        whole.modify(DEFINITIONS, custom.name, store_v2)
        stored = ["v1", "v2"]
        eventually(
            lambda: whole.get(DEFINITIONS, custom.name)["status"]["storedVersions"] == stored, "v2 is stored", 10
        )
        changed = space.patch(custom.resource(), "one", {"data": {"mutation-start": None, "dummy": "test"}})
        assert changed["data"] == {"mutated": "yes", "dummy": "test"}
        found = space.get(custom.resource("v2"), "one")
        assert (found["apiVersion"], found["data"]) == (f"{custom.group}/v2", changed["data"])


def test_what_the_schema_lacks_is_pruned_after_mutation(space: Space, whole: Space, register: Register, hook):
    """Admission webhook, mutate custom resource with pruning"""
    properties = {"mutation-start": {"type": "string"}, "mutation-stage-1": {"type": "string"}}
    schema = {"type": "object", "properties": {"data": {"type": "object", "properties": properties}}}
    with established(whole, definition(version(schema=schema))) as custom:
        creations = rule("CREATE", group=custom.group, resource=custom.plural)
        stages = [
            hook(
                f"stage-{number}",
                patch({"op": "add", "path": f"/data/mutation-stage-{number}", "value": "yes"}),
                creations,
            )
            for number in (1, 2)
        ]
        register(MUTATING, "prunes", *stages)
        made = space.create(custom.resource(), custom.object("one", data={"mutation-start": "yes"}))
        assert made["data"] == {"mutation-start": "yes", "mutation-stage-1": "yes"}


def test_all_but_one_name_is_mutated(space: Space, register: Register, hook):
    """Mutating Admission webhook, mutating webhook excluding object with specific name"""
    conditions = [{"name": "skip-me", "expression": "object.metadata.name != 'skip-me'"}]
    register(MUTATING, "skips", hook("skips", ADDS, matchConditions=conditions))
    assert "mutated" not in data_after(space, "skip-me")
    assert "mutated" in data_after(space, "not-me")


def test_configurations_are_out_of_reach(whole: Space, webhooks: WebhookServer, register: Register, hook):
    """Admission webhook, admission control not allowed on webhook configuration objects"""
    of_configurations = [
        rule("*", group="admissionregistration.k8s.io", resource=plural, versions="*")
        for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
    ]
    everywhere = {"namespaceSelector": {}}
    adds = patch({"op": "add", "path": "/metadata/labels/mutated", "value": "yes"})
    register(VALIDATING, "guard", hook("guard", deny("never"), *of_configurations, **everywhere))
    register(MUTATING, "changer", hook("changer", adds, *of_configurations, **everywhere))
    asked = len(webhooks.asked)
    for resource in (VALIDATING, MUTATING):
        made = register(resource, "dummy", hook("dummy", allow), labels={"of": "dummy"})
        assert made["metadata"]["labels"] == {"of": "dummy"}
        whole.delete(resource, "dummy")
        assert not whole.has(resource, "dummy")
    assert len(webhooks.asked) == asked


def test_a_webhook_that_fails_closed(space: Space, webhooks: WebhookServer, register: Register, hook):
    """Admission webhook, fail closed"""
    nobody = {"clientConfig": webhooks.client_config("/nobody", trusted=False), "failurePolicy": "Fail"}
    space.create("configmaps", config_map("is-there"))
    register(VALIDATING, "closed", hook("closed", allow, rule("CREATE", "UPDATE", "DELETE"), **nobody))
    is_denied('failed calling webhook "closed.', lambda: data_after(space, "one"))
    is_denied('failed calling webhook "closed.', lambda: space.patch("configmaps", "is-there", {"data": {"a": "b"}}))
    is_denied('failed calling webhook "closed.', lambda: space.delete("configmaps", "is-there"))

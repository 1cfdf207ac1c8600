"""Custom resources through the API: served at once, validated, defaulted, scaled, watched, gone when undefined."""

import asyncio
from typing import Any

from tests.actors.apiserver import states
from tests.actors.apiserver.api_harness import Api, on_every_state, serving, with_api
from tests.actors.apiserver.extensions.definitions import CRON, DEFINITIONS, cron_tab, definition, version

BASE = "/apis/stable.example.com/v1"
TABS = f"{BASE}/namespaces/default/crontabs"


async def established(api: Api, made: dict[str, Any]) -> dict[str, Any]:
    """Create a definition, and return it once it is established."""
    await api.must("POST", DEFINITIONS, made)
    return await is_established(api, made["metadata"]["name"])


async def is_established(api: Api, name: str) -> dict[str, Any]:
    for _ in range(200):
        found = await api.must("GET", f"{DEFINITIONS}/{name}")
        if any(c["type"] == "Established" and c["status"] == "True" for c in found["status"].get("conditions") or ()):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(found["status"])


async def is_gone(api: Api, path: str) -> None:
    for _ in range(300):
        status, _ = await api.get(path)
        if status == 404:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} is still there")


@with_api()
async def test_a_definition_is_established_served_and_removed(api: Api):
    """Custom Resource Definition, create."""
    made = await established(api, definition(names={"shortNames": ["ct"], "categories": ["all"]}))
    status = made["status"]
    assert status["acceptedNames"] == {
        "plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList",
        "shortNames": ["ct"], "categories": ["all"],
    }  # fmt: skip
    assert status["storedVersions"] == ["v1"]
    assert [(c["type"], c["status"], c["reason"]) for c in status["conditions"]] == [
        ("NamesAccepted", "True", "NoConflicts"),
        ("Established", "True", "InitialNamesAccepted"),
    ]
    created = await api.must("POST", TABS, cron_tab())
    assert created["spec"]["replicas"] == 1
    assert created["metadata"]["generation"] == 1
    listed = await api.must("GET", TABS)
    assert listed["kind"] == "CronTabList"
    assert [one["metadata"]["name"] for one in listed["items"]] == ["one"]
    gone = await api.must("DELETE", f"{DEFINITIONS}/crontabs.stable.example.com")
    assert gone["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    await is_gone(api, f"{DEFINITIONS}/crontabs.stable.example.com")
    assert (await api.get(TABS))[0] == 404
    await established(api, definition())
    assert (await api.must("GET", TABS))["items"] == []


@with_api()
async def test_discovery_and_openapi_tell_at_once(api: Api):
    """Custom Resource OpenAPI Publish, with validation schema; varying versions."""
    await established(api, definition(versions=[version(), version("v2beta1", storage=False)]))
    groups = (await api.must("GET", "/apis"))["groups"]
    group = next(one for one in groups if one["name"] == "stable.example.com")
    assert group["preferredVersion"]["version"] == "v1"
    resources = (await api.must("GET", BASE))["resources"]
    assert [one["name"] for one in resources] == ["crontabs"]
    wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    aggregated = await api.must("GET", "/apis", accept=wanted)
    assert "stable.example.com" in [one["metadata"]["name"] for one in aggregated["items"]]
    index = await api.must("GET", "/openapi/v3")
    assert "apis/stable.example.com/v1" in index["paths"]
    document = await api.must("GET", "/openapi/v3/apis/stable.example.com/v1")
    schemas = document["components"]["schemas"]
    made = schemas["com.example.stable.v1.CronTab"]
    assert made["properties"]["spec"]["properties"]["cron"]["type"] == "string"
    assert made["x-kubernetes-group-version-kind"] == [
        {"group": "stable.example.com", "version": "v1", "kind": "CronTab"}
    ]
    assert "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" in schemas
    old = await api.must("GET", "/openapi/v2")
    assert "com.example.stable.v2beta1.CronTabList" in old["definitions"]


@with_api()
async def test_what_the_schema_refuses(api: Api):
    await established(api, definition())
    status, answer = await api.post(TABS, cron_tab(cron="often", replicas=11))
    assert (status, answer["reason"]) == (422, "Invalid")
    assert [(c["field"], c["message"]) for c in answer["details"]["causes"]] == [
        ("spec.cron", f"Invalid value: \"often\": spec.cron in body should match '{CRON['pattern']}'"),
        ("spec.replicas", "Invalid value: 11: spec.replicas in body should be less than or equal to 10"),
    ]  # fmt: skip
    status, answer = await api.post(TABS, cron_tab(replicas="many"))
    assert status == 422
    assert answer["details"]["causes"][0]["reason"] == "FieldValueTypeInvalid"
    assert 'must be of type integer: "string"' in answer["message"]


@with_api()
async def test_unknown_fields_are_pruned_and_told(api: Api):
    """Server side field validation, unknown fields CR fails validation; unknown metadata."""
    await established(api, definition())
    made = await api.must("POST", TABS, cron_tab(extra=1))
    assert "extra" not in made["spec"]
    answer = await api.raw("POST", TABS, cron_tab("two", extra=1))
    assert answer.warnings == ['unknown field "spec.extra"']
    status, refused = await api.post(f"{TABS}?fieldValidation=Strict", cron_tab("three", extra=1))
    assert status == 400
    assert 'strict decoding error: unknown field "spec.extra"' in refused["message"]
    odd = cron_tab("four")
    odd["metadata"]["odd"] = 1
    status, refused = await api.post(f"{TABS}?fieldValidation=Strict", odd)
    assert status == 400
    assert 'unknown field "metadata.odd"' in refused["message"]


@with_api()
async def test_defaults_on_request_and_from_storage(api: Api):
    """Custom Resource Definition, defaulting."""
    plain = {
        "type": "object",
        "properties": {"cron": {"type": "string"}, "a": {"type": "string"}, "b": {"type": "string"}},
    }
    made = await established(api, definition(versions=[version(spec=plain)]))
    await api.must("POST", TABS, cron_tab("early"))
    made = await api.must("GET", f"{DEFINITIONS}/{made['metadata']['name']}")
    properties = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["a"]["default"] = "A"
    made = await api.must("PUT", f"{DEFINITIONS}/{made['metadata']['name']}", made)
    assert (await api.must("GET", f"{TABS}/early"))["spec"] == {"cron": "* * * * */5", "a": "A"}
    await api.must("POST", TABS, cron_tab("late"))
    properties = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del properties["a"]["default"]
    properties["b"]["default"] = "B"
    await api.must("PUT", f"{DEFINITIONS}/{made['metadata']['name']}", made)
    assert (await api.must("GET", f"{TABS}/late"))["spec"] == {"cron": "* * * * */5", "a": "A", "b": "B"}
    assert (await api.must("GET", f"{TABS}/early"))["spec"] == {"cron": "* * * * */5", "b": "B"}


@with_api()
async def test_status_and_scale(api: Api):
    """Custom Resource Definition, status sub-resource."""
    subresources = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    await established(api, definition(versions=[version(subresources=subresources)]))
    made = await api.must("POST", TABS, {**cron_tab(replicas=3), "status": {"replicas": 9}})
    assert "status" not in made
    changed = await api.must(
        "PUT",
        f"{TABS}/one/status",
        {**made, "spec": {"cron": "1 1 1 1 1"}, "status": {"replicas": 2, "selector": "a=b"}},
    )
    assert (changed["spec"]["replicas"], changed["status"]["replicas"]) == (3, 2)
    assert changed["metadata"]["generation"] == 1
    scale = await api.must("GET", f"{TABS}/one/scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 2, "selector": "a=b"})
    scale["spec"]["replicas"] = 5
    assert (await api.must("PUT", f"{TABS}/one/scale", scale))["spec"]["replicas"] == 5
    status, _ = await api.patch(f"{TABS}/one/scale", {"spec": {"replicas": 6}})
    assert status == 200
    after = await api.must("GET", f"{TABS}/one")
    assert (after["spec"]["replicas"], after["metadata"]["generation"]) == (6, 3)
    status, answer = await api.patch(f"{TABS}/one/scale", {"spec": {"replicas": 99}})
    assert (status, answer["reason"]) == (422, "Invalid")


@with_api()
async def test_patches(api: Api):
    await established(api, definition())
    await api.must("POST", TABS, cron_tab())
    status, patched = await api.patch(f"{TABS}/one", {"spec": {"image": "x"}})
    assert (status, patched["spec"]["image"], patched["metadata"]["generation"]) == (200, "x", 2)
    status, patched = await api.patch(f"{TABS}/one", [{"op": "remove", "path": "/spec/image"}], "json")
    assert (status, "image" in patched["spec"]) == (200, False)
    status, answer = await api.patch(f"{TABS}/one", {"spec": {"image": "x"}}, "strategic")
    assert (status, answer["reason"]) == (415, "UnsupportedMediaType")
    applied = cron_tab("applied", image="y")
    answer = await api.raw(
        "PATCH", f"{TABS}/applied?fieldManager=me", applied, content_type="application/apply-patch+yaml"
    )
    assert answer.status == 201
    status, answer = await api.put(f"{TABS}/one", cron_tab(image="z"))
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "must be specified for an update" in answer["message"]


@with_api()
async def test_an_update_tolerates_what_was_wrong_before(api: Api):
    made = await established(api, definition())
    await api.must("POST", TABS, cron_tab(replicas=9, image="x"))
    name = made["metadata"]["name"]
    properties = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["replicas"]["maximum"] = 5
    await api.must("PUT", f"{DEFINITIONS}/{name}", made)
    status, _ = await api.patch(f"{TABS}/one", {"spec": {"image": "y"}})
    assert status == 200
    status, answer = await api.patch(f"{TABS}/one", {"spec": {"replicas": 8}})
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "spec.replicas")


@with_api()
async def test_rules(api: Api):
    spec = {
        "type": "object",
        "properties": {"cron": {"type": "string"}, "min": {"type": "integer"}, "max": {"type": "integer"}},
        "x-kubernetes-validations": [
            {
                "rule": "!has(self.min) || self.min <= self.max",
                "messageExpression": "'%d is too much'.format([self.min])",
            },
            {"rule": "self.cron == oldSelf.cron", "message": "cron is immutable", "fieldPath": ".cron"},
        ],
    }
    await established(api, definition(versions=[version(spec=spec)]))
    await api.must("POST", TABS, cron_tab(min=1, max=2))
    status, answer = await api.post(TABS, cron_tab("two", min=3, max=2))
    assert (status, answer["details"]["causes"][0]) == (
        422,
        {"reason": "FieldValueInvalid", "message": "Invalid value: 3 is too much", "field": "spec"},
    )
    status, answer = await api.patch(f"{TABS}/one", {"spec": {"cron": "other"}})
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "spec.cron")
    assert "cron is immutable" in answer["message"]


@with_api()
async def test_two_versions_without_a_webhook(api: Api):
    await established(api, definition(versions=[version(), version("v2", storage=False)]))
    await api.must("POST", TABS, cron_tab())
    second = "/apis/stable.example.com/v2/namespaces/default/crontabs"
    shown = await api.must("GET", f"{second}/one")
    assert shown["apiVersion"] == "stable.example.com/v2"
    watch = await api.watch(f"{second}?watch=1&resourceVersion=0")
    kind, seen = await watch.next()
    assert (kind, seen["apiVersion"]) == ("ADDED", "stable.example.com/v2")
    await api.patch(f"{TABS}/one", {"spec": {"image": "x"}})
    kind, seen = await watch.next()
    assert (kind, seen["apiVersion"], seen["spec"]["image"]) == ("MODIFIED", "stable.example.com/v2", "x")
    await watch.close()
    await api.must("POST", second, cron_tab("two", "stable.example.com/v2"))
    assert (await api.must("GET", f"{TABS}/two"))["apiVersion"] == "stable.example.com/v1"
    assert [one["apiVersion"] for one in (await api.must("GET", second))["items"]] == ["stable.example.com/v2"] * 2


@with_api()
async def test_selectable_fields_and_columns(api: Api):
    made = version(
        selectableFields=[{"jsonPath": ".spec.image"}],
        additionalPrinterColumns=[
            {"name": "Cron", "type": "string", "jsonPath": ".spec.cron"},
            {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    )
    await established(api, definition(versions=[made]))
    for name, image in (("one", "a"), ("two", "b"), ("three", "a")):
        await api.must("POST", TABS, cron_tab(name, image=image))
    listed = await api.must("GET", f"{TABS}?fieldSelector=spec.image%3Da")
    assert [one["metadata"]["name"] for one in listed["items"]] == ["one", "three"]
    assert (await api.get(f"{TABS}?fieldSelector=spec.cron%3Da"))[0] == 400
    watch = await api.watch(f"{TABS}?watch=1&resourceVersion=0&fieldSelector=spec.image%3Db")
    assert (await watch.next())[1]["metadata"]["name"] == "two"
    await api.patch(f"{TABS}/one", {"spec": {"image": "b"}})
    assert (await watch.next())[0] == "ADDED"
    await watch.close()
    table = await api.must("GET", f"{TABS}/two", accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Cron", "Replicas", "Age"]
    assert table["rows"][0]["cells"][:3] == ["two", "* * * * */5", 1]


@with_api()
async def test_names_that_another_definition_has(api: Api):
    await established(api, definition(names={"shortNames": ["ct"]}))
    await api.must("POST", DEFINITIONS, definition("cronjobbers", "CronJobber", names={"shortNames": ["ct"]}))
    name = "cronjobbers.stable.example.com"
    for _ in range(100):
        found = (await api.must("GET", f"{DEFINITIONS}/{name}"))["status"]["conditions"]
        if found:
            break
        await asyncio.sleep(0.01)
    assert [(c["type"], c["status"], c["reason"]) for c in found] == [
        ("NamesAccepted", "False", "ShortNamesConflict"),
        ("Established", "False", "NotAccepted"),
    ]
    await api.must("DELETE", f"{DEFINITIONS}/crontabs.stable.example.com")
    await is_established(api, name)


@with_api()
async def test_a_finalizer_keeps_the_definition(api: Api):
    await established(api, definition())
    made = cron_tab()
    made["metadata"]["finalizers"] = ["example.com/keep"]
    await api.must("POST", TABS, made)
    await api.must("DELETE", f"{DEFINITIONS}/crontabs.stable.example.com")
    for _ in range(100):
        found = await api.must("GET", f"{DEFINITIONS}/crontabs.stable.example.com")
        reason = [c["reason"] for c in found["status"]["conditions"] if c["type"] == "Terminating"]
        if reason == ["InstanceDeletionInProgress"]:
            break
        await asyncio.sleep(0.01)
    assert reason == ["InstanceDeletionInProgress"]
    assert (await api.post(TABS, cron_tab("late")))[0] == 405
    for _ in range(100):
        if (await api.must("GET", f"{TABS}/one"))["metadata"].get("deletionTimestamp"):
            break
        await asyncio.sleep(0.01)
    await api.patch(f"{TABS}/one", {"metadata": {"finalizers": None}})
    await is_gone(api, f"{DEFINITIONS}/crontabs.stable.example.com")


@on_every_state
def test_objects_are_there_after_a_restart():
    count = 30

    async def main() -> None:
        async with states.opened() as state:
            await restart(state)

    async def restart(state: states.FaultyState) -> None:
        async with serving(state) as api:
            await established(api, definition())
            for number in range(count):
                await api.must("POST", TABS, cron_tab(f"n{number}"))
        async with serving(state) as api:
            listed = await api.must("GET", f"{TABS}?limit=10")
            assert len(listed["items"]) == 10
            token = listed["metadata"]["continue"]
            await api.must("DELETE", f"{TABS}/n0")
            rest = await api.must("GET", f"{TABS}?limit=100&continue={token}")
            assert len(rest["items"]) == count - 10

    asyncio.run(main())

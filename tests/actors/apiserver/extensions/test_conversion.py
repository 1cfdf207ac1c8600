"""Conversion by a webhook: readers of either version, what is stored, watches, and a webhook that fails."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from actors.apiserver.webhooks.call_failed import CallFailed
from tests.actors.apiserver.api_harness import Api, with_api
from tests.actors.apiserver.extensions.definitions import DEFINITIONS, definition, version
from tests.actors.apiserver.extensions.test_serving import established

FIRST = "/apis/stable.example.com/v1/namespaces/default/crontabs"
SECOND = "/apis/stable.example.com/v2/namespaces/default/crontabs"
HOST_PORT = {"type": "object", "properties": {"hostPort": {"type": "string"}}}
HOST_AND_PORT = {"type": "object", "properties": {"host": {"type": "string"}, "port": {"type": "string"}}}


def converted(obj: dict[str, Any], api_version: str) -> dict[str, Any]:
    """The webhook of Kubernetes' own tests: v1 has hostPort, v2 host and port."""
    spec = dict(obj.get("spec") or {})
    if api_version.endswith("/v2"):
        host, _, port = spec.pop("hostPort").partition(":")
        spec |= {"host": host, "port": port}
    else:
        spec["hostPort"] = f"{spec.pop('host')}:{spec.pop('port')}"
    return {**obj, "apiVersion": api_version, "spec": spec}


class FakeClient:
    def __init__(self) -> None:
        self.calls = 0
        self.change: Callable[[dict[str, Any]], None] = lambda response: None
        self.down = False

    async def call(self, endpoint: Any, body: bytes, timeout_s: float) -> bytes:
        self.calls += 1
        await asyncio.sleep(0)
        if self.down:
            raise CallFailed('Post "https://hook.example.com/": dial tcp: connect: connection refused')
        request = orjson.loads(body)["request"]
        made = [converted(obj, request["desiredAPIVersion"]) for obj in request["objects"]]
        response = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": made}
        self.change(response)
        return orjson.dumps({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response})

    async def close(self) -> None:
        return None


def with_webhook() -> dict[str, Any]:
    client = {"url": "https://hook.example.com/"}
    conversion = {"strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}}
    fields = [{"jsonPath": ".spec.host"}]
    versions = [
        version(spec=HOST_PORT),
        version("v2", storage=False, spec=HOST_AND_PORT, selectableFields=fields),
    ]
    return definition(versions=versions, conversion=conversion)


def first(name: str, host_port: str = "localhost:8080") -> dict[str, Any]:
    return {
        "apiVersion": "stable.example.com/v1",
        "kind": "CronTab",
        "metadata": {"name": name},
        "spec": {"hostPort": host_port},
    }


async def converting(api: Api) -> FakeClient:
    client = FakeClient()
    api.extensions._webhooks._client = client
    await established(api, with_webhook())
    return client


@with_api()
async def test_objects_are_read_and_written_in_either_version(api: Api):
    """Custom Resource Definition Conversion Webhook, conversion custom resource."""
    await converting(api)
    await api.must("POST", FIRST, first("one"))
    shown = await api.must("GET", f"{SECOND}/one")
    assert (shown["apiVersion"], shown["spec"]) == ("stable.example.com/v2", {"host": "localhost", "port": "8080"})
    shown["spec"]["port"] = "90"
    written = await api.must("PUT", f"{SECOND}/one", shown)
    assert (written["apiVersion"], written["spec"]["port"]) == ("stable.example.com/v2", "90")
    assert (await api.must("GET", f"{FIRST}/one"))["spec"] == {"hostPort": "localhost:90"}
    listed = await api.must("GET", SECOND)
    assert [one["spec"]["host"] for one in listed["items"]] == ["localhost"]


@with_api()
async def test_one_review_for_a_list(api: Api):
    """Custom Resource Definition Conversion Webhook, a list of objects of both versions."""
    client = await converting(api)
    for number in range(20):
        await api.must("POST", FIRST, first(f"n{number}"))
    assert client.calls == 0
    assert len((await api.must("GET", SECOND))["items"]) == 20
    assert client.calls == 1
    assert len((await api.must("GET", SECOND))["items"]) == 20
    assert client.calls == 1


@with_api()
async def test_a_non_homogeneous_list(api: Api):
    """Custom Resource Definition Conversion Webhook, convert mixed version list."""
    await converting(api)
    await api.must("POST", FIRST, first("old"))
    made = await api.must("GET", f"{DEFINITIONS}/crontabs.stable.example.com")
    for one in made["spec"]["versions"]:
        one["storage"] = one["name"] == "v2"
    made = await api.must("PUT", f"{DEFINITIONS}/crontabs.stable.example.com", made)
    assert made["status"]["storedVersions"] == ["v1", "v2"]
    await api.must("POST", FIRST, first("new"))
    for path, field in ((FIRST, "hostPort"), (SECOND, "host")):
        listed = await api.must("GET", path)
        assert [field in one["spec"] for one in listed["items"]] == [True, True]
    made["spec"]["versions"] = made["spec"]["versions"][1:]
    status, answer = await api.put(f"{DEFINITIONS}/crontabs.stable.example.com", made)
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "status.storedVersions[0]")


@with_api()
async def test_watches_and_selectors_see_converted_objects(api: Api):
    """custom-resource-definition-field-selectors-list-watch-register-informers."""
    await converting(api)
    await api.must("POST", FIRST, first("one", "a:1"))
    listed = await api.must("GET", f"{SECOND}?fieldSelector=spec.host%3Da")
    assert len(listed["items"]) == 1
    watch = await api.watch(
        f"{SECOND}?watch=1&fieldSelector=spec.host%3Da&resourceVersion={listed['metadata']['resourceVersion']}"
    )
    await api.must("POST", FIRST, first("two", "b:1"))
    await api.must("POST", FIRST, first("three", "a:2"))
    kind, seen = await watch.next()
    assert (kind, seen["metadata"]["name"], seen["spec"]) == ("ADDED", "three", {"host": "a", "port": "2"})
    await api.patch(f"{FIRST}/three", {"spec": {"hostPort": "c:3"}})
    kind, seen = await watch.next()
    assert (kind, seen["metadata"]["name"], seen["spec"]["host"]) == ("DELETED", "three", "a")
    await watch.close()
    assert (await api.get(f"{FIRST}?fieldSelector=spec.host%3Da"))[0] == 400


@with_api()
async def test_a_webhook_that_fails_and_comes_back(api: Api):
    client = await converting(api)
    await api.must("POST", FIRST, first("one"))
    client.down = True
    status, answer = await api.get(f"{SECOND}/one")
    assert (status, answer["reason"]) == (500, "InternalError")
    assert "conversion webhook for stable.example.com/v1, Kind=CronTab failed: Post" in answer["message"]
    assert (await api.must("GET", f"{FIRST}/one"))["spec"] == {"hostPort": "localhost:8080"}
    client.down = False
    assert (await api.must("GET", f"{SECOND}/one"))["spec"]["host"] == "localhost"
    watch = await api.watch(f"{SECOND}?watch=1&resourceVersion=0")
    assert (await watch.next())[0] == "ADDED"
    client.down = True
    await api.patch(f"{FIRST}/one", {"spec": {"hostPort": "x:1"}})
    await asyncio.sleep(0.05)
    client.down = False
    assert (await watch.next())[1]["spec"]["host"] == "x"
    await watch.close()


@with_api()
async def test_answers_that_are_refused(api: Api):
    client = await converting(api)
    await api.must("POST", FIRST, first("one"))

    def failed(response: dict[str, Any]) -> None:
        response["result"] = {"status": "Failure", "message": "no idea"}

    def renamed(response: dict[str, Any]) -> None:
        response["convertedObjects"][0]["metadata"]["name"] = "other"

    def too_few(response: dict[str, Any]) -> None:
        response["convertedObjects"] = []

    def stranger(response: dict[str, Any]) -> None:
        response["uid"] = "x"

    for change, word in (
        (failed, "no idea"),
        (renamed, "metadata.name changed"),
        (too_few, "expected 1"),
        (stranger, "expected response.uid"),
    ):
        client.change = change
        status, answer = await api.get(f"{SECOND}/one")
        assert (status, word in answer["message"]) == (500, True), answer

    def labelled(response: dict[str, Any]) -> None:
        response["convertedObjects"][0]["metadata"] |= {"labels": {"a": "b"}, "generation": 77}

    client.change = labelled
    shown = await api.must("GET", f"{SECOND}/one")
    assert (shown["metadata"]["labels"], shown["metadata"]["generation"]) == ({"a": "b"}, 1)

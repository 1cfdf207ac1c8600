"""Answers in Protobuf, YAML and JSON for the eye: what comes back is what JSON would have said."""

import threading
from typing import Any

import orjson
import pytest
import yaml

from actors.apiserver import encodings
from actors.apiserver.call import Answer, ApiCall, StreamAnswer
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.resource import COMPUTED
from actors.apiserver.protobuf import catalog, encode, wire
from tests.actors.apiserver.api_harness import ADMIN, config_map, with_api
from tests.actors.apiserver.extensions.definitions import definition
from tests.actors.apiserver.extensions.test_serving import established

PROTOBUF = "application/vnd.kubernetes.protobuf"
METADATA_LIST = f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
CMS = "/api/v1/namespaces/default/configmaps"

SAMPLES = {
    "string": "text", "bool": True, "int32": -7, "int64": 1 << 40, "uint32": 7, "double": 1.5, "bytes": "AAE=",
    "Time": "2024-05-06T07:08:09Z", "MicroTime": "2024-05-06T07:08:09.000123Z", "Quantity": "500m",
    "IntOrString": "http", "RawExtension": {"any": ["thing"]}, "FieldsV1": {"f:spec": {}}, "JSON": [1, {"a": None}],
}  # fmt: skip


def sample(kind: str, within: tuple[str, ...] = ()) -> Any:
    """A value with every field of a message, but for messages within themselves."""
    if kind in SAMPLES:
        return SAMPLES[kind]
    message = catalog.find(kind)
    assert message is not None
    if message.is_either:
        return True if "allows" in {field.name for field in message.fields.values()} else {"type": "string"}
    if message.is_list:
        return ["one", "two"]
    return whole(message, (*within, kind))


def whole(message: catalog.Message, within: tuple[str, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for field in message.fields.values():
        if field.kind in within:
            continue
        value = sample(field.kind, within)
        if field.is_inline:
            made |= value
        elif field.is_map:
            made[field.name] = {"a": value, "b": value}
        elif field.is_repeated:
            made[field.name] = [value, value]
        elif value != {}:
            made[field.name] = value
    return made


KINDS = sorted({(one.api_version, one.kind) for one in REGISTRY if one.verbs != COMPUTED})


@pytest.mark.parametrize(("api_version", "kind"), KINDS)
def test_an_object_with_every_field_comes_back(api_version, kind):
    obj = {"kind": kind, "apiVersion": api_version, **sample(catalog.name_of(api_version, kind))}
    assert wire.decode(encode.encode(obj)) == obj


def test_zeros_and_either():
    properties = {"a": {"type": "integer", "minimum": 0, "default": 0}}
    schema = {"type": "object", "properties": properties, "items": [{"type": "string"}], "additionalProperties": {}}
    names = {"plural": "things", "kind": "Thing"}
    versions = [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]
    spec = {"group": "example.org", "names": names, "versions": versions}
    obj = {"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1", "spec": spec}
    assert wire.decode(encode.encode(obj)) == obj
    port = {"port": 0, "targetPort": 8080}
    service = {"kind": "Service", "apiVersion": "v1", "spec": {"ports": [port]}}
    assert wire.decode(encode.encode(service))["spec"]["ports"] == [{"targetPort": 8080}]


def test_what_does_not_fit_is_refused():
    for obj in (
        {"kind": "Thing", "apiVersion": "example.org/v1"},
        {"kind": "Pod", "apiVersion": "apps.example.org/v1"},
        {"kind": "Deployment", "apiVersion": "apps.example.org/v1"},
        {"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": 1}},
        {"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replicas": "3"}},
        {"kind": "Secret", "apiVersion": "v1", "data": {"a": "%%"}},
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"creationTimestamp": "yesterday"}},
    ):
        with pytest.raises(encode.Unencodable):
            encode.encode(obj)


def items_of(body: bytes) -> tuple[str, list[dict[str, Any]]]:
    """The kind of a list in Protobuf, and the ConfigMaps in it."""
    _, kind, raw = wire._envelope(memoryview(body)[4:])
    message = catalog.find("core_v1.ConfigMap")
    assert message is not None
    return kind, [wire._object(message, item, 0) for number, item in wire._fields(raw) if number == 2]


async def answered(api, method: str, path: str, accept: str, body: Any = None) -> Answer:
    answer = await api.raw(method, path, body, accept=accept)
    assert isinstance(answer, Answer), "a stream"
    return answer


@with_api()
async def test_protobuf_only(api):
    made = await answered(api, "POST", CMS, PROTOBUF, config_map("a"))
    assert (made.status, made.content_type) == (201, PROTOBUF)
    stored = await api.must("GET", f"{CMS}/a")
    assert wire.decode(made.body) == stored
    assert wire.decode((await answered(api, "GET", f"{CMS}/a", PROTOBUF)).body) == stored
    kind, items = items_of((await answered(api, "GET", CMS, PROTOBUF)).body)
    assert kind == "ConfigMapList" and [item["metadata"]["name"] for item in items] == ["a"]
    metadata = await answered(api, "GET", CMS, METADATA_LIST)
    assert metadata.content_type.startswith(f"{PROTOBUF};as=PartialObjectMetadataList")
    assert items_of(metadata.body)[0] == "PartialObjectMetadataList"
    missing = await answered(api, "GET", f"{CMS}/missing", PROTOBUF)
    assert (missing.status, wire.decode(missing.body)["reason"]) == (404, "NotFound")
    for path in ("/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1"):
        assert (await answered(api, "GET", path, PROTOBUF)).body.startswith(wire.MAGIC), path


@with_api()
async def test_who_takes_json_too_gets_it(api):
    for accept in (f"{PROTOBUF},application/json", f"{PROTOBUF}, */*", "application/json;q=0.1,application/yaml;q=0"):
        assert (await answered(api, "GET", CMS, accept)).content_type == "application/json"


@with_api()
async def test_a_watch_in_frames(api):
    await api.must("POST", CMS, config_map("a"))
    answers = [await api.raw("GET", f"{CMS}?watch=1&allowWatchBookmarks=true", accept=PROTOBUF) for _ in range(2)]
    for answer in answers:
        assert isinstance(answer, StreamAnswer) and answer.content_type == f"{PROTOBUF};stream=watch"
        assert answer.push_to is None
    seen = [events_of(await anext(answer.chunks)) for answer in answers]
    assert seen[0] == seen[1] == [("ADDED", await api.must("GET", f"{CMS}/a"))]
    await api.must("DELETE", f"{CMS}/a")
    ((kind, obj),) = events_of(await anext(answers[0].chunks))
    assert (kind, obj["metadata"]["name"]) == ("DELETED", "a")
    for answer in answers:
        await answer.close()


def events_of(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        parts = dict(wire._fields(memoryview(data)[4 : 4 + size]))
        ((_, embedded),) = wire._fields(parts[2])
        found.append((bytes(parts[1]).decode(), wire.decode(bytes(embedded))))
        data = data[4 + size :]
    return found


@with_api()
async def test_what_cannot_be_had_is_refused_before_anything_is_done(api):
    await established(api, definition("things", "Thing", "example.org"))
    things = "/apis/example.org/v1/namespaces/default/things"
    for path, accept in (
        (CMS, "image/png"),
        (CMS, f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1"),
        (f"{CMS}?watch=1", "application/yaml"),
        (things, PROTOBUF),
        ("/apis", "image/png"),
    ):
        refused = await answered(api, "GET", path, accept)
        assert (refused.status, refused.content_type) == (406, "application/json"), (path, accept)
    refused = await answered(api, "POST", CMS, "image/png", config_map("a"))
    status = orjson.loads(refused.body)
    assert (status["code"], status["reason"]) == (406, "NotAcceptable")
    assert status["message"] == (
        "only the following media types are accepted: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )
    assert (await api.get(f"{CMS}/a"))[0] == 404
    some = await answered(api, "GET", things, METADATA_LIST)
    assert some.status == 200 and some.body.startswith(wire.MAGIC)


@with_api()
async def test_yaml(api):
    await api.must("POST", CMS, config_map("a", data={"k": "on", "lines": "a\nb\n", "umlaut": "ä"}))
    answer = await answered(api, "GET", f"{CMS}/a", "application/yaml")
    assert answer.content_type == "application/yaml"
    assert yaml.safe_load(answer.body) == await api.must("GET", f"{CMS}/a")
    assert "ä" in answer.body.decode() and "&id" not in answer.body.decode()
    missing = await answered(api, "GET", f"{CMS}/b", "application/yaml")
    assert (missing.status, yaml.safe_load(missing.body)["reason"]) == (404, "NotFound")
    table = await answered(api, "GET", CMS, "application/yaml;as=Table;g=meta.k8s.io;v=v1")
    assert yaml.safe_load(table.body)["kind"] == "Table"


@with_api()
async def test_a_long_answer_is_translated_while_others_are_served(api):
    written, write = [], encodings._yaml
    for number in range(10):
        await api.must("POST", CMS, config_map(f"n{number}", data={"text": "x" * 200}))
    encodings._of_accept.cache_clear()  # which has encodings with the function as it is
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "AT_ONCE_BYTES", 2000)
        patch.setattr(encodings, "_yaml", lambda body: written.append(threading.current_thread()) or write(body))
        one = await api.raw("GET", f"{CMS}/n1", accept="application/yaml")
        every = await api.raw("GET", CMS, accept="application/yaml")
    encodings._of_accept.cache_clear()
    assert yaml.safe_load(one.body)["metadata"]["name"] == "n1"
    assert {item["metadata"]["name"] for item in yaml.safe_load(every.body)["items"]} >= {"n0", "n9"}
    assert [thread is threading.main_thread() for thread in written] == [True, False]


@with_api()
async def test_json_in_lines(api):
    await api.must("POST", CMS, config_map("a"))
    assert b"\n" not in (await answered(api, "GET", f"{CMS}/a", "application/json")).body
    for query, agent, in_lines in (
        ("pretty=true", "", True), ("pretty", "", True), ("pretty=false", "curl/8", False), ("", "curl/8", True),
        ("", "kubectl/1.37", False), ("a=pretty", "", False),
    ):  # fmt: skip
        call = ApiCall(ADMIN, "GET", f"{CMS}/a", query, accept="*/*", user_agent=agent)
        answer = await api.handler.handle(call)
        assert isinstance(answer, Answer) and (b"\n  " in answer.body) is in_lines, (query, agent)
        assert orjson.loads(answer.body)["metadata"]["name"] == "a"

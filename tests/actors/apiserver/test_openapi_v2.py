"""The OpenAPI v2 document in gnostic's Protobuf form: read back by its own declarations."""

import orjson

from actors.apiserver.machinery import openapi
from actors.apiserver.protobuf import wire
from actors.apiserver.protobuf.catalog import find
from actors.apiserver.protobuf.openapi_v2 import encode


def read(data: bytes) -> dict:
    return wire._object(find("openapi_v2.Document"), memoryview(data), 0)


def definition(document: dict, name: str) -> dict:
    return next(one["value"] for one in document["definitions"]["additional_properties"] if one["name"] == name)


def test_a_document_read_back():
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"description": "An A.", "$ref": "#/definitions/A"},
            "b": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
            "c": {"type": "object", "additionalProperties": {"type": "string", "default": "x"}},
        },
    }
    document = {"swagger": "2.0", "info": {"title": "T", "version": "v1"}, "paths": {}, "definitions": {"D": schema}}
    made = read(encode(document))
    assert made["swagger"] == "2.0"
    assert made["info"] == {"title": "T", "version": "v1"}
    found = definition(made, "D")
    a, b, c = (one["value"] for one in found["properties"]["additional_properties"])
    assert found["required"] == ["a"]
    assert a == {"_ref": "#/definitions/A", "description": "An A."}
    assert b["type"] == {"value": ["array"]}
    assert b["items"] == {"schema": [{"type": {"value": ["string"]}}]}
    assert b["vendor_extension"] == [{"name": "x-kubernetes-list-type", "value": {"yaml": '"atomic"\n'}}]
    assert c["additional_properties"]["schema"]["default"] == {"yaml": '"x"\n'}


def test_every_kind_is_named_in_both_forms():
    written = orjson.loads(openapi.openapi_v2())["definitions"]
    made = read(openapi.openapi_v2_protobuf())
    assert {one["name"] for one in made["definitions"]["additional_properties"]} == set(written)
    of_pod = definition(made, "io.k8s.api.core.v1.Pod")
    kinds = next(one for one in of_pod["vendor_extension"] if one["name"] == "x-kubernetes-group-version-kind")
    assert orjson.loads(kinds["value"]["yaml"]) == [{"group": "", "version": "v1", "kind": "Pod"}]
    assert not any("oneOf" in schema or "allOf" in schema for schema in written.values())

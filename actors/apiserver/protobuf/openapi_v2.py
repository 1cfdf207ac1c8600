"""An OpenAPI v2 document in gnostic's Protobuf form: kubectl asks for no other when a kind is unknown to v3.

kubectl reads of it the definitions: their fields, for `explain`, and by `x-kubernetes-group-version-kind` which kind
each is of. A schema's limits (lengths, counts, numbers) are left out: no client of this form reads them.

Source: gnostic's OpenAPIv2.proto. Neighbours: `catalog` reads `protos/openapi_v2.proto`; `machinery.openapi` has the
document.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from actors.api.protobuf_wire import VARINT, delimited, varint
from actors.apiserver.protobuf.catalog import Field, Message, find

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_TEXTS = ("format", "title", "description", "pattern", "required")


def encode(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a document (without its paths, which nobody reads in this form)."""
    message = find("openapi_v2.Document")
    assert message is not None, "the Document is declared"
    made = {
        "swagger": document["swagger"],
        "info": document["info"],
        "paths": {},
        "definitions": {"additional_properties": _named(document["definitions"])},
    }
    return _message(message, made)


def _named(schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": _schema(schema)} for name, schema in schemas.items()]


def _schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a Schema message."""
    made: dict[str, Any] = {name: schema[name] for name in _TEXTS if name in schema}
    if "$ref" in schema:
        made["_ref"] = schema["$ref"]
    if "type" in schema:
        made["type"] = {"value": [schema["type"]]}
    if "default" in schema:
        made["default"] = _any(schema["default"])
    if "enum" in schema:
        made["enum"] = [_any(value) for value in schema["enum"]]
    if "items" in schema:
        made["items"] = {"schema": [_schema(schema["items"])]}
    if "properties" in schema:
        made["properties"] = {"additional_properties": _named(schema["properties"])}
    if "additionalProperties" in schema:
        more = schema["additionalProperties"]
        made["additional_properties"] = {"boolean": more} if isinstance(more, bool) else {"schema": _schema(more)}
    extensions = [{"name": name, "value": _any(value)} for name, value in schema.items() if name.startswith("x-")]
    return made | {"vendor_extension": extensions}


def _any(value: Any) -> dict[str, str]:
    return {"yaml": orjson.dumps(value).decode() + "\n"}


def _message(message: Message, values: Mapping[str, Any]) -> bytes:
    """Return the bytes of a message. Fields that are no pointers are left out when they are empty."""
    out = bytearray()
    for number, field in message.fields.items():
        value = values.get(field.name)
        if value is None or (not field.is_pointer and value in ("", [])):
            continue
        for one in value if field.is_repeated else (value,):
            _put(out, number, field, one)
    return bytes(out)


def _put(out: bytearray, number: int, field: Field, value: Any) -> None:
    if field.kind == "bool":
        out += varint(number << 3 | VARINT) + varint(int(value))
        return
    if field.kind == "string":
        data = value.encode()
    else:
        message = find(field.kind)
        assert message is not None, f"{field.kind} is used and not declared"
        data = _message(message, value)
    out += delimited(number, data)

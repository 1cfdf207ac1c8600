"""A Kubernetes object from Protobuf into the dict that its JSON would give.

The body is the four bytes "k8s\\0" and an envelope (runtime.Unknown) that names apiVersion and kind and holds the
object. Fields that we do not know are skipped, as Protobuf wants it. Whatever is malformed raises `Malformed`; nesting
is bounded, so that no body exhausts the stack.

Source: Kubernetes' documentation of alternate representations, and the Protobuf encoding guide. Neighbours: `catalog`
has the messages; `handler` turns bodies into JSON with `to_json` before anything else looks at them.
"""

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from actors.api import errors
from actors.apiserver.protobuf.catalog import Field, Message, find, name_of

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
MAX_DEPTH = 64  # messages within messages; the deepest of Kubernetes (a JSONSchema apart) has some fifteen

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGN = 1 << 63


class Malformed(ValueError):
    """These bytes are no such message."""


def to_json(body: bytes) -> bytes:
    """Return the JSON of a body. Raises ApiError."""
    if not body:
        return body
    try:
        return orjson.dumps(decode(body))
    except (Malformed, orjson.JSONEncodeError) as error:
        raise errors.bad_request(f"the body is not a Kubernetes object in Protobuf: {error}") from error


def decode(body: bytes) -> dict[str, Any]:
    """Return the object of a body. Raises Malformed, and ApiError UnsupportedMediaType for a kind that is not known."""
    if not body.startswith(MAGIC):
        raise Malformed("it does not begin with the magic number")
    api_version, kind, raw = _envelope(memoryview(body)[len(MAGIC) :])
    message = find(name_of(api_version, kind))
    if message is None:
        raise errors.unsupported_media_type(f"{api_version} {kind} is not known in Protobuf; send JSON")
    return {"kind": kind, "apiVersion": api_version} | _object(message, raw, 0)


def _envelope(data: memoryview) -> tuple[str, str, memoryview]:
    api_version = kind = ""
    raw = data[:0]
    for number, value in _fields(data):
        if number == 1 and isinstance(value, memoryview):
            for inner, text in _fields(value):
                if inner == 1:
                    api_version = _text(text)
                elif inner == 2:
                    kind = _text(text)
        elif number == 2 and isinstance(value, memoryview):
            raw = value
        elif number == 3 and _text(value):
            raise Malformed(f"content encoding {_text(value)!r} is not known")
    if not kind:
        raise Malformed("it names no kind")
    return api_version, kind, raw


def _object(message: Message, data: memoryview, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise Malformed(f"more than {MAX_DEPTH} messages are nested")
    made: dict[str, Any] = {}
    for number, value in _fields(data):
        field = message.fields.get(number)
        if field is not None:
            _put(made, field, value, depth)
    return made


def _put(made: dict[str, Any], field: Field, value: int | memoryview, depth: int) -> None:
    """Add a field's value as the object's JSON has it."""
    if field.is_map:
        key, item = _map_entry(field, value, depth)
        made.setdefault(field.name, {})[key] = item
    elif field.is_repeated:
        items = made.setdefault(field.name, [])
        if field.kind in ("int32", "int64", "uint32", "bool") and isinstance(value, memoryview):
            items.extend(_value(field.kind, number, depth) for number in _packed(value))
        else:
            items.append(_value(field.kind, value, depth))
    else:
        decoded = _value(field.kind, value, depth)
        if field.is_inline:
            made.update(decoded)
        elif decoded is not None and (field.is_pointer or decoded not in ("", 0, {}, [])):
            made[field.name] = decoded


def _map_entry(field: Field, value: int | memoryview, depth: int) -> tuple[str, Any]:
    key = ""
    item: Any = None
    for number, part in _fields(_bytes(value)):
        if number == 1:
            key = _text(part)
        elif number == 2:
            item = _value(field.kind, part, depth)
    if item is None:
        item = _value(field.kind, memoryview(b"") if field.kind not in ("int32", "int64", "bool") else 0, depth)
    return key, item


def _value(kind: str, value: int | memoryview, depth: int) -> Any:
    if kind == "string":
        return _text(value)
    if kind == "bool":
        return bool(_number(value))
    if kind in ("int32", "int64", "uint32"):
        number = _number(value)
        return number - (1 << 64) if number >= _SIGN else number
    if kind == "bytes":
        return base64.b64encode(_bytes(value)).decode()
    if kind == "double":
        return struct.unpack("<d", _number(value).to_bytes(8, "little"))[0]
    if kind in _SPECIAL:
        return _SPECIAL[kind](_bytes(value))
    message = find(kind)
    assert message is not None, f"{kind} is used and not declared"
    made = _object(message, _bytes(value), depth + 1)
    if message.is_either:
        return max(made.values(), key=lambda one: type(one) is not bool, default={})
    return made.get("items", []) if message.is_list else made


def _time(data: memoryview) -> str | None:
    """A Time; None for the zero one, which JSON leaves out."""
    numbers = _numbers(data)
    if not numbers:
        return None
    return _moment(numbers.get(1, 0)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(data: memoryview) -> str | None:
    numbers = _numbers(data)
    if not numbers:
        return None
    micros = numbers.get(2, 0) // 1000
    return _moment(numbers.get(1, 0)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{micros:06d}Z"


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Malformed(f"{seconds} is no time") from error


def _quantity(data: memoryview) -> str:
    for number, value in _fields(data):
        if number == 1:
            return _text(value) or "0"
    return "0"


def _int_or_string(data: memoryview) -> int | str:
    kind, number, text = 0, 0, ""
    for field, value in _fields(data):
        if field == 1:
            kind = _number(value)
        elif field == 2:
            number = _value("int32", value, 0)
        elif field == 3:
            text = _text(value)
    return text if kind == 1 else number


def _raw(data: memoryview) -> Any:
    """RawExtension and FieldsV1: JSON in field 1."""
    for number, value in _fields(data):
        if number == 1:
            try:
                return orjson.loads(_bytes(value))
            except orjson.JSONDecodeError as error:
                raise Malformed(f"embedded JSON: {error}") from error
    return None


def _duration(data: memoryview) -> str:
    return f"{_numbers(data).get(1, 0) / 1e9:g}s"


_SPECIAL = {
    "Time": _time,
    "MicroTime": _micro_time,
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
    "RawExtension": _raw,
    "FieldsV1": _raw,
    "JSON": _raw,
    "Duration": _duration,
}


def _numbers(data: memoryview) -> dict[int, int]:
    return {field: _value("int64", value, 0) for field, value in _fields(data)}


def _text(value: int | memoryview) -> str:
    try:
        return str(_bytes(value), "utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"a string is not UTF-8: {error}") from error


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise Malformed("a number stands where bytes belong")
    return value


def _number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise Malformed("bytes stand where a number belongs")
    return value


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (number, value) of a message's fields; a fixed-width number comes as its bits."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise Malformed(f"wire type {wire} is not known")
        if at + size > end:
            raise Malformed("a field is longer than its message")
        part = data[at : at + size]
        at += size
        yield tag >> 3, part if wire == _BYTES else int.from_bytes(part, "little")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Malformed("a number does not end")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7

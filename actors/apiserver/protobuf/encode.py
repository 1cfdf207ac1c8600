"""A Kubernetes object, as the dict of its JSON, into Protobuf: what `wire` reads, the other way round.

Each message of the catalog becomes one function, made when the first object needs it. Fields that have no number are
left out, as a client of Protobuf does not know them; so is what does not have the type that its schema says.

A list is a message `KindList` of metadata and items; in it, and within objects, nothing names its kind. A watch is a
stream of frames, each after its length in four bytes: WatchEvents without an envelope, whose objects have one.

Source: Kubernetes' documentation of alternate representations. Neighbours: `catalog` has the messages; `encodings`
chooses who gets Protobuf.
"""

import base64
import binascii
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import orjson

from actors.api.protobuf_wire import BYTES, FIXED64, VARINT, delimited, varint
from actors.apiserver.protobuf.catalog import Field, Message, find, name_of
from actors.apiserver.protobuf.wire import MAGIC

Encode = Callable[[Any], bytes]  # a value -> the bytes of it, without its tag

KINDS_REMEMBERED = 4096  # more than there are, unless custom resources come and go all the time

_LIST = "List"
_UINT64 = (1 << 64) - 1


class Unencodable(ValueError):
    """This kind has no form in Protobuf, or an object does not fit its kind."""


def is_known(api_version: str, kind: str) -> bool:
    """Tell whether objects of a kind, or lists of them, can be encoded."""
    return _encoder_of(api_version, kind) is not None


def encode(obj: Mapping[str, Any]) -> bytes:
    """Return an object, or a list, in its envelope. Raises Unencodable."""
    api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
    encoder = _encoder_of(api_version, kind)
    if encoder is None:
        raise Unencodable(f"{api_version} {kind} has no form in Protobuf")
    try:
        raw = encoder(obj)
    except (TypeError, ValueError, AttributeError, struct.error) as error:
        raise Unencodable(f"{api_version} {kind}: {error}") from error
    named = delimited(1, delimited(1, api_version.encode()) + delimited(2, kind.encode()))
    return b"%b%b%b\x1a\x00\x22\x00" % (MAGIC, named, delimited(2, raw))  # no content encoding, no content type


def frame(kind: str, obj: Mapping[str, Any]) -> bytes:
    """Return the frame of a watch stream that tells of an object. Raises Unencodable."""
    event = delimited(1, kind.encode()) + delimited(2, delimited(1, encode(obj)))
    return len(event).to_bytes(4, "big") + event


@lru_cache(maxsize=KINDS_REMEMBERED)
def _encoder_of(api_version: str, kind: str) -> Encode | None:
    name = name_of(api_version, kind)
    if find(name) is not None:
        return _encoder(name)
    of_items = name.removesuffix(_LIST)
    if not kind.endswith(_LIST) or find(of_items) is None:
        return None
    return _of_message(
        Message({1: Field("metadata", "meta_v1.ListMeta"), 2: Field("items", of_items, is_repeated=True)})
    )


@cache
def _encoder(name: str) -> Encode:
    message = find(name)
    assert message is not None, f"{name} is used and not declared"
    if message.is_list:
        (number, field), *_ = message.fields.items()
        put = _putter(number, field)
        return lambda value: b"".join(put(value))
    if message.is_either:
        return _of_either(message)
    return _of_message(message)


def _of_message(message: Message) -> Encode:
    # Functions of fields are made when the first object has them: messages may be within themselves.
    putters: dict[int, Callable[[Any], list[bytes]]] = {}
    fields = sorted(message.fields.items())

    def encode_message(obj: Any) -> bytes:
        out: list[bytes] = []
        for number, field in fields:
            value = obj if field.is_inline else obj.get(field.name)
            if value is None:
                continue
            put = putters.get(number)
            if put is None:
                put = putters[number] = _putter(number, field)
            out += put(value)
        return b"".join(out)

    return encode_message


def _of_either(message: Message) -> Encode:
    """One of two things: a truth or a schema, many schemas or one, many names or a schema."""
    by_name = {field.name: _putter(number, field) for number, field in message.fields.items()}
    (plain,) = by_name.keys() - {"schema"}

    def encode_either(value: Any) -> bytes:
        if type(value) is not dict:
            return b"".join(by_name[plain](value))
        allowed = by_name[plain](True) if plain == "allows" else []
        return b"".join(allowed + by_name["schema"](value))

    return encode_either


def _putter(number: int, field: Field) -> Callable[[Any], list[bytes]]:
    """Return what makes of a field's value its bytes, tags and all."""
    wire, encode_value = _by_kind(field.kind)
    tag = varint(number << 3 | wire)
    is_sized = wire == BYTES

    def one(value: Any) -> bytes:
        data = encode_value(value)
        return b"%b%b%b" % (tag, varint(len(data)), data) if is_sized else tag + data

    if field.is_map:
        outer, inner = varint(number << 3 | BYTES), varint(2 << 3 | wire)

        def entries(value: Any) -> list[bytes]:
            out = []
            for key in sorted(value):
                data = encode_value(value[key])
                sized = b"%b%b" % (varint(len(data)), data) if is_sized else data
                entry = b"%b%b%b" % (delimited(1, key.encode()), inner, sized)
                out += [outer, varint(len(entry)), entry]
            return out

        return entries
    if field.is_repeated:
        return lambda value: [one(item) for item in value]
    if field.is_inline:
        return lambda value: [made] if (made := one(value)) != tag + b"\0" else []
    return lambda value: [one(value)]


def _by_kind(kind: str) -> tuple[int, Encode]:
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        return scalar
    special = _SPECIAL.get(kind)
    return BYTES, special if special is not None else _encoder(kind)


def _number(value: Any) -> bytes:
    if type(value) is not int:
        if type(value) is bool or int(value) != value:
            raise TypeError(f"{value!r} is no integer")
        value = int(value)
    return varint(value & _UINT64)  # a negative number is its two's complement of 64 bits


def _raw_bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"bytes are not in base64: {error}") from error


def _time(value: str) -> bytes:
    moment = datetime.fromisoformat(value).astimezone(UTC)
    seconds, nanos = int(moment.timestamp()), moment.microsecond * 1000
    return varint(1 << 3) + _number(seconds) + varint(2 << 3) + _number(nanos)


def _int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return b"\x08\x01\x10\x00" + delimited(3, value.encode())
    return b"\x08\x00\x10" + _number(value) + b"\x1a\x00"


def _embedded(value: Any) -> bytes:
    return delimited(1, orjson.dumps(value))


_SCALARS: Mapping[str, tuple[int, Encode]] = {
    "string": (BYTES, str.encode),
    "bytes": (BYTES, _raw_bytes),
    "bool": (VARINT, lambda value: b"\x01" if value else b"\x00"),
    "int32": (VARINT, _number),
    "int64": (VARINT, _number),
    "uint32": (VARINT, _number),
    "double": (FIXED64, lambda value: struct.pack("<d", value)),
}
_SPECIAL: Mapping[str, Encode] = {
    "Time": _time,
    "MicroTime": _time,
    "Quantity": lambda value: delimited(1, str(value).encode()),
    "IntOrString": _int_or_string,
    "RawExtension": _embedded,
    "FieldsV1": _embedded,
    "JSON": _embedded,
}

"""Records of the bus from JSON and back, for people: fields by name, bytes as text.

Bytes that are no UTF-8 text appear as {"base64": "..."}, and may be given so. Where a field may hold one of several
records, the JSON object says which with "type", the record's tag.
"""

import base64
import binascii
import types
import typing
from typing import Any

import msgspec

from bus.record import Record


class BadArgument(ValueError):
    """JSON that does not describe the record."""


def to_record(value: Any, kind: Any, place: str = "") -> Any:
    """Return `value`, decoded JSON, as `kind`; BadArgument says what is wrong, and where."""
    if _is_record(kind):
        return _to_struct(value, kind, place)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is bytes:
        return _to_bytes(value, place)
    if origin is list and isinstance(value, list):
        return [to_record(item, arguments[0], f"{place}[{index}]") for index, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: to_record(item, arguments[1], f"{place}.{key}") for key, item in value.items()}
    if origin in (typing.Union, types.UnionType):
        return _to_union(value, arguments, place)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadArgument(f"{place or 'argument'}: {error}") from error


def of_record(value: Any) -> Any:
    """Return a record, or what is in one, as plain data that JSON can hold."""
    if isinstance(value, Record):
        fields = {name: of_record(getattr(value, name)) for name in value.__struct_fields__}
        tag = value.__struct_config__.tag
        return {"type": tag, **fields} if tag is not None else fields
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [of_record(item) for item in value]
    if isinstance(value, dict):
        return {str(key): of_record(item) for key, item in value.items()}
    return value


def describe(kind: type[Record]) -> str:
    """Return a record's fields in one line, for an error or a help text."""
    parts = []
    for field in msgspec.structs.fields(kind):
        type_name = getattr(field.type, "__name__", str(field.type)).replace("typing.", "")
        parts.append(f"{field.name}: {type_name}{'' if field.required else ' (optional)'}")
    return ", ".join(parts) or "nothing"


def _to_struct(value: Any, kind: type[Record], place: str) -> Record:
    if not isinstance(value, dict):
        raise BadArgument(f"{place or 'argument'}: expected an object of {describe(kind)}")
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    given = {name: item for name, item in value.items() if name != "type" or name in fields}
    for name in given:
        if name not in fields:
            raise BadArgument(f"{_inside(place, name)}: unknown; expected {describe(kind)}")
    for name, field in fields.items():
        if field.required and name not in given:
            raise BadArgument(f"{_inside(place, name)} is missing; expected {describe(kind)}")
    return kind(**{name: to_record(item, fields[name].type, _inside(place, name)) for name, item in given.items()})


def _to_union(value: Any, arguments: tuple[Any, ...], place: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    records = [kind for kind in arguments if _is_record(kind)]
    if isinstance(value, dict) and len(records) > 1:
        by_tag = {kind.__struct_config__.tag: kind for kind in records}
        if value.get("type") not in by_tag:
            raise BadArgument(f"{_inside(place, 'type')}: expected one of {', '.join(map(str, by_tag))}")
        return _to_struct(value, by_tag[value["type"]], place)
    others = [kind for kind in arguments if kind is not type(None)]
    failure = BadArgument(f"{place}: nothing fits")
    for kind in sorted(others, key=lambda kind: kind is bytes):  # a number before bytes, which take any text
        try:
            return to_record(value, kind, place)
        except BadArgument as error:
            failure = error
    raise failure


def _to_bytes(value: Any, place: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and list(value) == ["base64"] and isinstance(value["base64"], str):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except binascii.Error as error:
            raise BadArgument(f"{place}: not base64: {error}") from error
    raise BadArgument(f'{place}: expected a text, or {{"base64": "..."}}')


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Record)

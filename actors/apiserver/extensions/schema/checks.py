"""What a single value must be: type, bounds, length, pattern, format, enum. One function for each keyword of a schema.

A check gets a value of the right type and its path, and returns a `Cause` or None, in the words of Kubernetes' OpenAPI
validation ("spec.replicas in body should be less than or equal to 10"). `checks_of` gives those of a schema.

Neighbours: `node` runs them; `formats` and `patterns` for strings.
"""

from collections.abc import Callable
from typing import Any

import orjson

from actors.api.errors import Cause
from actors.apiserver.extensions.schema import formats
from actors.apiserver.machinery import field
from actors.apiserver.patterns import compile_pattern

Check = Callable[[Any, str], Cause | None]

_INTEGER_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def type_name(value: Any) -> str:
    """Return the JSON type of a value as messages call it."""
    kind = type(value)
    if kind is str:
        return "string"
    if kind is bool:
        return "boolean"
    if kind is int:
        return "integer"
    if kind is float:
        return "number"
    if kind is dict:
        return "object"
    return "array" if kind is list else "null"


def wrong_type(value: Any, wanted: str, path: str) -> Cause:
    found = type_name(value)
    message = f'Invalid value: "{found}": {path or "<nil>"} in body must be of type {wanted}: "{found}"'
    return Cause("FieldValueTypeInvalid", message, path or "<nil>")


def invalid(value: Any, path: str, detail: str) -> Cause:
    return field.invalid(path or "<nil>", value, f"{path} in body {detail}")


def checks_of(schema: dict[str, Any]) -> tuple[Check, ...]:
    """Return the checks of a schema's own keywords."""
    found: list[Check] = []
    for names, make in _MAKERS:
        if any(schema.get(name) is not None for name in names):
            found.append(make(schema))
    return tuple(found)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _maximum(schema: dict[str, Any]) -> Check:
    limit, exclusive = schema["maximum"], bool(schema.get("exclusiveMaximum"))
    detail = f"should be less than {'' if exclusive else 'or equal to '}{_number(limit)}"

    def check(value: Any, path: str) -> Cause | None:
        if type(value) not in (int, float) or (value < limit if exclusive else value <= limit):
            return None
        return invalid(value, path, detail)

    return check


def _minimum(schema: dict[str, Any]) -> Check:
    limit, exclusive = schema["minimum"], bool(schema.get("exclusiveMinimum"))
    detail = f"should be greater than {'' if exclusive else 'or equal to '}{_number(limit)}"

    def check(value: Any, path: str) -> Cause | None:
        if type(value) not in (int, float) or (value > limit if exclusive else value >= limit):
            return None
        return invalid(value, path, detail)

    return check


def _multiple_of(schema: dict[str, Any]) -> Check:
    factor = schema["multipleOf"]

    def check(value: Any, path: str) -> Cause | None:
        if type(value) not in (int, float) or not factor or abs(value / factor - round(value / factor)) < 1e-9:
            return None
        return invalid(value, path, f"should be a multiple of {_number(factor)}")

    return check


def _max_length(schema: dict[str, Any]) -> Check:
    limit = schema["maxLength"]

    def check(value: Any, path: str) -> Cause | None:
        return field.too_long(path, limit) if type(value) is str and len(value) > limit else None

    return check


def _min_length(schema: dict[str, Any]) -> Check:
    limit = schema["minLength"]

    def check(value: Any, path: str) -> Cause | None:
        if type(value) is str and len(value) < limit:
            return invalid(value, path, f"should be at least {limit} chars long")
        return None

    return check


def _pattern(schema: dict[str, Any]) -> Check:
    text = schema["pattern"]
    search = compile_pattern(text).search

    def check(value: Any, path: str) -> Cause | None:
        if type(value) is not str or search(value):
            return None
        return invalid(value, path, f"should match '{text}'")

    return check


def _format(schema: dict[str, Any]) -> Check:
    name = schema["format"]
    if name in _INTEGER_RANGES:
        low, high = _INTEGER_RANGES[name]

        def check_range(value: Any, path: str) -> Cause | None:
            if type(value) is not int or low <= value <= high:
                return None
            return invalid(value, path, f"must be of type integer with format {name}")

        return check_range
    if name not in formats.KNOWN:
        return lambda value, path: None

    def check(value: Any, path: str) -> Cause | None:
        if type(value) is not str or formats.has_format(value, name):
            return None
        message = f"Invalid value: {field.shown(value)}: {path} in body must be of type {name}: {field.shown(value)}"
        return Cause("FieldValueTypeInvalid", message, path)

    return check


def _enum(schema: dict[str, Any]) -> Check:
    allowed = schema["enum"]
    texts = [one if type(one) is str else orjson.dumps(one).decode() for one in allowed]
    exact = {(type(one), one) for one in allowed if type(one) in (str, int, bool)}

    def check(value: Any, path: str) -> Cause | None:
        if type(value) in (str, int, bool):
            if (type(value), value) in exact:
                return None
        elif value in allowed:
            return None
        return field.not_supported(path, value, texts)

    return check


def _max_items(schema: dict[str, Any]) -> Check:
    limit = schema["maxItems"]

    def check(value: Any, path: str) -> Cause | None:
        return field.too_many(path, len(value), limit) if type(value) is list and len(value) > limit else None

    return check


def _min_items(schema: dict[str, Any]) -> Check:
    limit = schema["minItems"]

    def check(value: Any, path: str) -> Cause | None:
        if type(value) is list and len(value) < limit:
            return invalid(len(value), path, f"should have at least {limit} items")
        return None

    return check


def _max_properties(schema: dict[str, Any]) -> Check:
    limit = schema["maxProperties"]

    def check(value: Any, path: str) -> Cause | None:
        return field.too_many(path, len(value), limit) if type(value) is dict and len(value) > limit else None

    return check


def _min_properties(schema: dict[str, Any]) -> Check:
    limit = schema["minProperties"]

    def check(value: Any, path: str) -> Cause | None:
        if type(value) is dict and len(value) < limit:
            return invalid(len(value), path, f"should have at least {limit} properties")
        return None

    return check


_MAKERS: tuple[tuple[tuple[str, ...], Callable[[dict[str, Any]], Check]], ...] = (
    (("maximum",), _maximum),
    (("minimum",), _minimum),
    (("multipleOf",), _multiple_of),
    (("maxLength",), _max_length),
    (("minLength",), _min_length),
    (("pattern",), _pattern),
    (("format",), _format),
    (("enum",), _enum),
    (("maxItems",), _max_items),
    (("minItems",), _min_items),
    (("maxProperties",), _max_properties),
    (("minProperties",), _min_properties),
)

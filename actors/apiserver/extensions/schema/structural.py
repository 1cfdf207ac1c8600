"""Which schemas are structural: the rules that make pruning, defaults and server-side apply possible.

Source: the documentation of custom resources, "Specifying a structural schema". Every rule that is broken is a cause,
with the path of its place in the schema. A schema that passes here can be compiled without a further question.

Neighbours: `definition` asks; `defaults` checks default values, `rules` the CEL rules; `node` compiles.
"""

from collections.abc import Iterator
from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.schema import SCHEMAS
from actors.apiserver.machinery.schema.shapes import Report, Unfit
from actors.apiserver.patterns import BadPattern, compile_pattern

MAX_NESTING = 100  # levels of a schema: deeper ones would exhaust the stack long before they were of use

JSON_SCHEMA_PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
TYPES = ("array", "boolean", "integer", "number", "object", "string")
JUNCTORS = ("allOf", "anyOf", "oneOf")
LIST_TYPES, MAP_TYPES = ("atomic", "set", "map"), ("atomic", "granular")

INT_OR_STRING = "x-kubernetes-int-or-string"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
LIST_TYPE, LIST_KEYS, MAP_TYPE = "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"
RULES = "x-kubernetes-validations"

_FORBIDDEN = ("$ref", "definitions", "dependencies", "id", "$schema", "patternProperties", "additionalItems")
_ONLY_OUTSIDE = (
    "description", "type", "default", "additionalProperties", "nullable", "title", PRESERVE, EMBEDDED, INT_OR_STRING,
    LIST_TYPE, LIST_KEYS, MAP_TYPE,
)  # fmt: skip
_METADATA_MAY = frozenset({"type", "description", "properties", "title"})


def causes_of(schema: dict[str, Any], path: str) -> list[Cause]:
    """Return everything that keeps a schema from being structural."""
    causes: list[Cause] = []
    kind = schema.get("type", "")
    if not kind:
        causes.append(field.required(f"{path}.type", "must not be empty at the root"))
    elif kind != "object":
        causes.append(field.invalid(f"{path}.type", kind, "must be object at the root"))
    if schema.get("nullable"):
        causes.append(field.forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    _check(schema, path, causes, 0)
    causes += _metadata_causes((schema.get("properties") or {}).get("metadata"), f"{path}.properties[metadata]")
    return causes


def children(schema: dict[str, Any], path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the schemas of an object's properties, a map's values and a list's items, with their paths."""
    for name, inner in (schema.get("properties") or {}).items():
        yield inner, f"{path}.properties[{name}]"
    if isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"], f"{path}.additionalProperties"
    if isinstance(schema.get("items"), dict):
        yield schema["items"], f"{path}.items"


def has_rules(schema: Any) -> bool:
    """True when a schema, or one below it, has CEL rules."""
    if schema.get(RULES):
        return True
    return any(has_rules(inner) for inner, _ in children(schema, ""))


def _check(schema: dict[str, Any], path: str, causes: list[Cause], depth: int) -> None:
    """Check a schema outside of junctors, and all below it."""
    if depth > MAX_NESTING:
        causes.append(field.forbidden(path, f"schemas may not nest deeper than {MAX_NESTING} levels"))
        return
    for name in ("items", "additionalProperties"):  # decoding takes these for anything at all
        if isinstance(schema.get(name), dict) and (wrong := _misshapen(schema[name])):
            causes.append(field.invalid(f"{path}.{name}", schema[name], wrong))
            return
    _check_form(schema, path, causes)
    _check_structure(schema, path, causes)
    _check_extensions(schema, path, causes)
    for junctor, inner, where in _junctions(schema, path):
        _check_inside(inner, where, schema, causes, depth + 1, junctor)
    for inner, where in children(schema, path):
        if not inner.get("type") and not inner.get(INT_OR_STRING) and not inner.get(PRESERVE):
            what = "array items" if where.endswith(".items") else "object fields"
            causes.append(field.required(f"{where}.type", f"must not be empty for specified {what}"))
        _check(inner, where, causes, depth + 1)


def tidy(schema: dict[str, Any]) -> None:
    """Bring what decoding took for anything at all, items and additionalProperties, into the form of a schema.

    What cannot be is left, for `causes_of` to complain about. Nesting is bounded by that of the request's body.
    """
    shape = SCHEMAS.of_definition(JSON_SCHEMA_PROPS)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict) and not shape.fits(schema[name]):
            try:
                schema[name] = shape.conform_at(schema[name], "", "JSONSchemaProps", Report())
            except Unfit:
                continue
    parts = [schema.get("items"), schema.get("additionalProperties"), schema.get("not")]
    parts += (schema.get("properties") or {}).values()
    for junctor in JUNCTORS:
        parts += schema.get(junctor) or ()
    for part in parts:
        if isinstance(part, dict) and shape.fits(part):
            tidy(part)


def _misshapen(inner: Any) -> str:
    """Why something is no schema at all."""
    shape = SCHEMAS.of_definition(JSON_SCHEMA_PROPS)
    if shape.fits(inner):
        return ""
    try:
        shape.conform_at(inner, "", "JSONSchemaProps", Report())
    except Unfit as error:
        return str(error)
    return "must be a schema without nulls and unknown fields"


def _junctions(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    for junctor in JUNCTORS:
        for i, inner in enumerate(schema.get(junctor) or ()):
            yield junctor, inner, f"{path}.{junctor}[{i}]"
    if isinstance(schema.get("not"), dict):
        yield "not", schema["not"], f"{path}.not"


def _check_form(schema: dict[str, Any], path: str, causes: list[Cause]) -> None:
    """What no schema may have, and values that make no sense."""
    for name in _FORBIDDEN:
        if schema.get(name):
            causes.append(field.forbidden(f"{path}.{name}", f"{name} is not supported"))
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        causes.append(field.forbidden(f"{path}.uniqueItems", detail))
    if schema.get("additionalProperties") is False:
        causes.append(field.forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false"))
    if schema.get("properties") and schema.get("additionalProperties"):
        detail = "additionalProperties and properties are mutual exclusive"
        causes.append(field.forbidden(f"{path}.additionalProperties", detail))
    kind = schema.get("type", "")
    if kind and kind not in TYPES:
        causes.append(field.not_supported(f"{path}.type", kind, TYPES))
    if schema.get("items") is not None and not isinstance(schema["items"], dict):
        causes.append(field.forbidden(f"{path}.items", "items must be a schema object and not an array"))
    if not isinstance(schema.get("additionalProperties", {}), dict | bool | None):
        detail = "must be a schema, or a boolean"
        causes.append(field.invalid(f"{path}.additionalProperties", schema["additionalProperties"], detail))
    if pattern := schema.get("pattern"):
        try:
            compile_pattern(pattern)
        except BadPattern as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            causes.append(field.invalid(f"{path}.pattern", pattern, detail))


def _check_structure(schema: dict[str, Any], path: str, causes: list[Cause]) -> None:
    kind = schema.get("type", "")
    if kind == "array" and "items" not in schema:
        causes.append(field.required(f"{path}.items", "must be specified"))
    if "items" in schema and kind != "array":
        causes.append(field.forbidden(f"{path}.items", f"must not be specified for type {kind or 'unset'}"))
    for name in ("properties", "additionalProperties"):
        if schema.get(name) and kind != "object":
            causes.append(field.forbidden(f"{path}.{name}", "must only be used if type is object"))
    if schema.get(INT_OR_STRING) and kind:
        causes.append(field.invalid(f"{path}.type", kind, f"must be empty if {INT_OR_STRING} is true"))
    if schema.get(PRESERVE) is False:
        causes.append(field.invalid(f"{path}.{PRESERVE}", False, "must be true or undefined"))


def _check_extensions(schema: dict[str, Any], path: str, causes: list[Cause]) -> None:
    kind = schema.get("type", "")
    if schema.get(EMBEDDED):
        if kind != "object":
            detail = f"must be object if {EMBEDDED} is true"
            causes.append(
                field.invalid(f"{path}.type", kind, detail) if kind else field.required(f"{path}.type", detail)
            )
        elif not schema.get("properties") and not schema.get(PRESERVE):
            detail = f"must not be empty if {EMBEDDED} is true without {PRESERVE}"
            causes.append(field.required(f"{path}.properties", detail))
    if list_type := schema.get(LIST_TYPE):
        _check_list(schema, list_type, path, causes)
    elif schema.get(LIST_KEYS):
        causes.append(field.required(f"{path}.{LIST_TYPE}", f"must be map if {LIST_KEYS} is non-empty"))
    if map_type := schema.get(MAP_TYPE):
        if kind != "object":
            causes.append(field.invalid(f"{path}.type", kind, f"must be object if {MAP_TYPE} is specified"))
        causes += field.one_of(f"{path}.{MAP_TYPE}", map_type, MAP_TYPES)


def _check_list(schema: dict[str, Any], list_type: str, path: str, causes: list[Cause]) -> None:
    if schema.get("type") != "array":
        causes.append(
            field.invalid(f"{path}.type", schema.get("type", ""), f"must be array if {LIST_TYPE} is specified")
        )
        return
    causes += field.one_of(f"{path}.{LIST_TYPE}", list_type, LIST_TYPES)
    items = schema.get("items") if isinstance(schema.get("items"), dict) else {}
    assert items is not None, "no items are an empty schema here"
    if list_type == "map":
        _check_list_map(schema, items, path, causes)
    elif schema.get(LIST_KEYS):
        detail = f"must be empty if {LIST_TYPE} is not map"
        causes.append(field.forbidden(f"{path}.{LIST_KEYS}", detail))
    if list_type == "set":
        if items.get("nullable"):
            causes.append(field.forbidden(f"{path}.items.nullable", f"cannot be nullable when {LIST_TYPE} is set"))
        atomic = items.get(LIST_TYPE) == "atomic" if items.get("type") == "array" else items.get(MAP_TYPE) == "atomic"
        if items.get("type") in ("object", "array") and not atomic:
            where = f"{path}.items.{MAP_TYPE if items['type'] == 'object' else LIST_TYPE}"
            causes.append(field.invalid(where, None, f"must be atomic as item of a list with {LIST_TYPE}=set"))


def _check_list_map(schema: dict[str, Any], items: dict[str, Any], path: str, causes: list[Cause]) -> None:
    keys = schema.get(LIST_KEYS) or []
    if not keys:
        causes.append(field.required(f"{path}.{LIST_KEYS}", f"must not be empty if {LIST_TYPE} is map"))
    if items.get("type") != "object":
        detail = f"must be object if parent array's {LIST_TYPE} is map"
        causes.append(field.invalid(f"{path}.items.type", items.get("type", ""), detail))
    properties = items.get("properties") or {}
    for i, key in enumerate(keys):
        where = f"{path}.{LIST_KEYS}[{i}]"
        inner = properties.get(key)
        if inner is None:
            causes.append(field.invalid(where, key, "entries must all be names of item properties"))
            continue
        if inner.get("type") in ("object", "array") or inner.get("nullable"):
            causes.append(
                field.invalid(f"{path}.items.properties[{key}].type", inner.get("type"), "must be a scalar type")
            )
        if key not in (items.get("required") or ()) and "default" not in inner:
            detail = f"this property is in {LIST_KEYS}, so it must have a default or be a required property"
            causes.append(field.required(f"{path}.items.properties[{key}].default", detail))
    if len(set(keys)) != len(keys):
        causes.append(field.invalid(f"{path}.{LIST_KEYS}", keys, "must not contain duplicate entries"))


def _check_inside(
    schema: dict[str, Any], path: str, outside: dict[str, Any], causes: list[Cause], depth: int, junctor: str
) -> None:
    """Check a schema inside a junctor: it may only restrict what is specified outside of it."""
    if depth > MAX_NESTING:
        causes.append(field.forbidden(path, f"schemas may not nest deeper than {MAX_NESTING} levels"))
        return
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict) and (wrong := _misshapen(schema[name])):
            causes.append(field.invalid(f"{path}.{name}", schema[name], wrong))
            return
    _check_form(schema, path, causes)
    may_type = bool(outside.get(INT_OR_STRING)) and junctor in ("anyOf", "allOf")
    for name in _ONLY_OUTSIDE:
        if schema.get(name) and not (name == "type" and may_type):
            causes.append(field.forbidden(f"{path}.{name}", "must be empty to be structural"))
    if schema.get(RULES):
        causes.append(field.forbidden(f"{path}.{RULES}", "must be empty to be structural"))
    known, values = outside.get("properties") or {}, outside.get("additionalProperties")
    for name, inner in (schema.get("properties") or {}).items():
        named = (known.get(name) if isinstance(known, dict) else None, values)
        declared = next((part for part in named if part and isinstance(part, dict)), None)
        where = f"{path}.properties[{name}]"
        if declared is None and name not in ("metadata", "apiVersion", "kind"):
            shown = where.replace(path, path.rpartition(f".{junctor}")[0], 1)
            causes.append(field.required(shown, f"because it is defined in {where}"))
        _check_inside(inner, where, declared or {}, causes, depth + 1, junctor)
    if isinstance(schema.get("items"), dict):
        if not isinstance(outside.get("items"), dict):
            shown = path.rpartition(f".{junctor}")[0]
            causes.append(field.required(f"{shown}.items", f"because it is defined in {path}.items"))
        _check_inside(schema["items"], f"{path}.items", outside.get("items") or {}, causes, depth + 1, junctor)
    for inner_junctor, inner, where in _junctions(schema, path):
        _check_inside(inner, where, outside, causes, depth + 1, inner_junctor)


def _metadata_causes(metadata: dict[str, Any] | None, path: str) -> list[Cause]:
    """The metadata is the API server's: a schema may only restrict the name."""
    if metadata is None:
        return []
    causes = []
    if metadata.get("type") != "object":
        causes.append(field.invalid(f"{path}.type", metadata.get("type", ""), "must be object"))
    if any(metadata.get(name) for name in metadata if name not in _METADATA_MAY):
        detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        causes.append(field.forbidden(path, detail))
    for name in metadata.get("properties") or {}:
        if name not in ("name", "generateName"):
            detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            causes.append(field.forbidden(f"{path}.properties[{name}]", detail))
    return causes

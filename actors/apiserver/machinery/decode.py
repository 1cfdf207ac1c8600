"""A request's body into an object of the wanted kind: media type, kind, types, unknown and duplicate fields.

`fieldValidation` decides what becomes of unknown and duplicate fields: Ignore drops them, Warn drops them and warns,
Strict refuses the request. A value of the wrong type is always refused. Messages are those of Kubernetes' decoders.

Neighbours: `body` parses bytes, `schema` knows the shapes; `patch` sends its result through `conform_object`.
"""

from typing import Any

from actors.api import errors
from actors.api.errors import ApiError
from actors.apiserver.machinery import body as bodies
from actors.apiserver.machinery import schema
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.schema.shapes import CustomKind, Report, Struct, Unfit

STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"
FIELD_VALIDATIONS = (IGNORE, WARN, STRICT)

JSON_MEDIA = ("application/json", "")
YAML_MEDIA = ("application/yaml",)
MAX_STRICT_ERRORS = 100  # listed in one answer or as warnings; what is beyond is left out
SUMMARY_BYTES = 30  # of a body that is quoted because nothing of it was understood


def decode(
    resource: Resource, body: bytes, content_type: str, field_validation: str = WARN
) -> tuple[dict[str, Any], list[str]]:
    """Return (object, warnings) of a body that must hold one of the resource's kind."""
    return decode_as(resource.group, resource.version, resource.kind, body, content_type, field_validation)


def decode_as(
    group: str, version: str, kind: str, body: bytes, content_type: str, field_validation: str = WARN
) -> tuple[dict[str, Any], list[str]]:
    """Return (object, warnings) of a body that must hold a kind, such as a Scale or an Eviction."""
    check_field_validation(field_validation)
    data, duplicates = parse(kind, body, content_type, field_validation != IGNORE)
    api_version = f"{group}/{version}" if group else version
    _check_kind(data, api_version, kind)
    return conform_object(data, api_version, kind, field_validation, duplicates)


def decode_options(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the DeleteOptions in the body of a DELETE; {} for an empty body. Any group's version is accepted."""
    if not body.strip():
        return {}
    data, _ = parse("DeleteOptions", body, content_type, False)
    if type(data) is not dict or data.get("kind", "DeleteOptions") != "DeleteOptions":
        raise errors.bad_request("the body of a delete must be a DeleteOptions object")
    api_version = data.get("apiVersion")
    options, _ = conform_object({**data, "kind": "DeleteOptions"}, "v1", "DeleteOptions", IGNORE, [])
    return {**options, "apiVersion": api_version or "v1"}


def check_field_validation(value: str) -> None:
    if value not in FIELD_VALIDATIONS:
        supported = ", ".join(f'"{name}"' for name in FIELD_VALIDATIONS)
        raise errors.bad_request(f'fieldValidation: Unsupported value: "{value}": supported values: {supported}')


def parse(kind: str, body: bytes, content_type: str, want_duplicates: bool) -> tuple[Any, list[str]]:
    """Return (data, complaints about duplicate fields) of a body; `kind` is only for the error's words."""
    media = content_type if content_type in JSON_MEDIA else content_type.partition(";")[0].strip().lower()
    try:
        if media in JSON_MEDIA:
            data, paths = bodies.parse_json(body, want_duplicates)
            return data, [f'duplicate field "{path}"' for path in paths]
        if media in YAML_MEDIA:
            return bodies.parse_yaml(body)
    except bodies.Malformed as error:
        raise _unrecognized(kind, f"couldn't get version/kind; {error}", body) from error
    raise errors.unsupported_media_type(
        f"the body of the request was in an unknown format ({media}) - accepted media types include: "
        "application/json, application/yaml"
    )


def _unrecognized(kind: str, why: str, body: bytes) -> ApiError:
    start = body[:SUMMARY_BYTES].decode("utf-8", "replace")
    more = " ..." if len(body) > SUMMARY_BYTES else ""
    return errors.bad_request(f"the object provided is unrecognized (must be of type {kind}): {why} ({start!r}{more})")


def _check_kind(data: Any, api_version: str, kind: str) -> None:
    """Fill in a missing kind or apiVersion, and refuse another one."""
    if type(data) is not dict:
        what = {list: "array", str: "string", bool: "bool", type(None): "null"}.get(type(data), "number")
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse "
            f"error: json: cannot unmarshal {what} into an object"
        )
    found_kind, found_version = data.get("kind") or kind, data.get("apiVersion") or api_version
    if found_kind == kind and found_version == api_version:
        data["kind"], data["apiVersion"] = kind, api_version
        return
    for name, value in (("kind", found_kind), ("apiVersion", found_version)):
        if type(value) is not str:
            raise errors.bad_request(f"couldn't get version/kind; json parse error: {name} must be a string")
    if found_kind != kind:
        raise errors.bad_request(_other_kind(found_version, found_kind, kind))
    raise errors.bad_request(
        f"the API version in the data ({found_version}) does not match the expected API version ({api_version})"
    )


def _other_kind(api_version: str, found: str, wanted: str) -> str:
    version = api_version.rpartition("/")[2]
    if schema.of_kind(api_version, found) is None:
        why = f'no kind "{found}" is registered for version "{api_version}"'
    else:
        why = f"converting ({version}.{found}) to ({wanted}): unknown conversion"
    return f'{found} in version "{version}" cannot be handled as a {wanted}: {why}'


def conform_object(
    data: dict[str, Any],
    api_version: str,
    kind: str,
    field_validation: str,
    duplicates: list[str],
    *,
    keeps_empty: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Return (object in stored form, warnings). A kind without a schema is taken as it is.

    `keeps_empty`: what Go leaves out because it is empty stays, for it says something of who owns it.
    """
    shape = schema.of_kind(api_version, kind)
    if shape is None or shape.fits(data):
        strict: list[str] = duplicates
    else:
        data, unknown = _conform(shape, data, api_version, kind, Report(keeps_empty=keeps_empty))
        strict = [f'unknown field "{path}"' for path in unknown] + duplicates
    if shape is not None and "metadata" in shape.fields and "metadata" not in data:
        data["metadata"] = {}
    if not strict or field_validation == IGNORE:
        return data, []
    strict = strict[:MAX_STRICT_ERRORS]
    if field_validation == STRICT:
        raise errors.bad_request(_cannot_handle(api_version, kind, "strict decoding error: " + ", ".join(strict)))
    return data, strict


def _conform(
    shape: Struct | CustomKind, data: dict, api_version: str, kind: str, report: Report
) -> tuple[dict, list[str]]:
    try:
        conformed = shape.conform_at(data, "", kind, report)
    except Unfit as error:
        raise errors.bad_request(_cannot_handle(api_version, kind, str(error))) from error
    return conformed, report.unknown


def _cannot_handle(api_version: str, kind: str, why: str) -> str:
    return f'{kind} in version "{api_version.rpartition("/")[2]}" cannot be handled as a {kind}: {why}'

"""PATCH: JSON patch (RFC 6902), JSON merge patch (RFC 7396) and Kubernetes' strategic merge patch.

A patch is applied to the versioned object as a reader sees it; the outcome is decoded like a body, so that types,
unknown fields and kinds get the same words. What the outcome means for storage is the caller's business.

Neighbours: `strategic` merges by schema; `decode` conforms the result. Server-side apply is another matter: `apply`.
"""

from typing import Any

import jsonpatch
import jsonpointer
import orjson

from actors.api import errors
from actors.api.errors import ApiError
from actors.apiserver.machinery import body as bodies
from actors.apiserver.machinery import decode, schema, strategic
from actors.apiserver.machinery.apply.request import MEDIA_TYPE as APPLY_PATCH
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.schema.shapes import Struct

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

MAX_JSON_PATCH_OPERATIONS = 10_000  # Kubernetes' limit; more are refused with RequestEntityTooLarge
MAX_COPIED_BYTES = 3 * 1024 * 1024  # of all values that one patch copies: copying copies would double without end


def apply_patch(
    resource: Resource, current: dict[str, Any], patch: bytes, content_type: str, field_validation: str = decode.WARN
) -> tuple[dict[str, Any], list[str]]:
    """Return (patched object, warnings). `current` is not changed."""
    return apply_patch_as(resource.api_version, resource.kind, current, patch, content_type, field_validation)


def apply_patch_as(
    api_version: str,
    kind: str,
    current: dict[str, Any],
    patch: bytes,
    content_type: str,
    field_validation: str = decode.WARN,
) -> tuple[dict[str, Any], list[str]]:
    """The same for an object that is no resource's own kind, such as a Scale."""
    decode.check_field_validation(field_validation)
    media = content_type.partition(";")[0].strip().lower()
    shape = schema.of_kind(api_version, kind)
    merges = isinstance(shape, Struct)
    supported = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH) if merges else (JSON_PATCH, MERGE_PATCH)
    if media not in supported:
        raise _unsupported(media, supported)
    operations, duplicates = _parse(patch, field_validation != decode.IGNORE)
    if media != JSON_PATCH:
        current = _without_managed_fields(current)
    copy = orjson.loads(orjson.dumps(current))
    if media == JSON_PATCH:
        patched = _json_patch(copy, operations)
    elif media == MERGE_PATCH:
        patched = merge_patch(copy, _as_object(operations))
    else:
        patched = _strategic_patch(copy, _as_object(operations), shape)
    if type(patched) is not dict or patched.get("kind") != kind or patched.get("apiVersion") != api_version:
        raise errors.bad_request(f"a patch may not change the kind or apiVersion of a {kind}")
    bodies.check_depth(patched)
    return decode.conform_object(patched, api_version, kind, field_validation, duplicates)


def _without_managed_fields(obj: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a merge would copy and check for nothing: without entries, the writer keeps those of before."""
    metadata = {name: part for name, part in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def _unsupported(media: str, supported: tuple[str, ...]) -> ApiError:
    return errors.unsupported_media_type(
        f"the body of the request was in an unknown format ({media}) - accepted media types include: "
        + ", ".join((*supported, APPLY_PATCH))
    )


def _parse(patch: bytes, want_duplicates: bool) -> tuple[Any, list[str]]:
    try:
        data, paths = bodies.parse_json(patch, want_duplicates)
    except bodies.Malformed as error:
        raise errors.bad_request(f"error decoding patch: {error}") from error
    return data, [f'duplicate field "{path}"' for path in paths]


def _as_object(patch: Any) -> dict[str, Any]:
    if type(patch) is not dict:
        raise errors.bad_request("error decoding patch: the patch must be an object")
    return patch


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target after a JSON merge patch. The target may be changed."""
    if type(patch) is not dict:
        return patch
    if type(target) is not dict:
        target = {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif type(value) is dict:
            target[key] = merge_patch(target.get(key), value)
        else:
            target[key] = value
    return target


def _strategic_patch(current: dict[str, Any], patch: dict[str, Any], shape: Any) -> dict[str, Any]:
    try:
        return strategic.merge(current, patch, shape)
    except strategic.BadPatch as error:
        raise errors.bad_request(str(error)) from error


def _json_patch(current: dict[str, Any], operations: Any) -> Any:
    if type(operations) is not list or not all(type(operation) is dict for operation in operations):
        raise errors.bad_request("error decoding patch: a JSON patch is a list of operations")
    if len(operations) > MAX_JSON_PATCH_OPERATIONS:
        raise errors.too_large(
            f"The allowed maximum operations in a JSON patch is {MAX_JSON_PATCH_OPERATIONS}, got {len(operations)}"
        )
    copied = 0
    for operation in operations:
        try:
            if operation.get("op") == "copy":
                copied += len(orjson.dumps(jsonpointer.resolve_pointer(current, operation.get("from", ""))))
                if copied > MAX_COPIED_BYTES:
                    raise errors.too_large(f"a JSON patch may copy {MAX_COPIED_BYTES} bytes at most")
            current = jsonpatch.JsonPatch([operation]).apply(current, in_place=True)
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, AttributeError) as error:
            raise _not_applicable(operation, error) from error
    return current


def _not_applicable(operation: dict[str, Any], error: Exception) -> ApiError:
    """A patch that is no patch is a bad request; one that does not fit the object is Invalid, as Kubernetes says it."""
    where = f'{operation.get("op")} operation at "{operation.get("path")}"'
    if isinstance(error, jsonpatch.InvalidJsonPatch):
        return errors.bad_request(f"error decoding patch: {where}: {error}")
    if isinstance(error, jsonpatch.JsonPatchTestFailed):
        why = f"testing value {operation.get('path')} failed"
    elif isinstance(error, jsonpointer.JsonPointerException):  # whose text shows what is there instead
        why = "doc is missing path: missing value"
    else:
        why = str(error)
    return ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: {where}: {why}")

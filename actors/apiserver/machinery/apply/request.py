"""A request to apply: a configuration out of a PATCH's body, and the object that it makes of the live one.

A body is YAML or JSON. Unlike a decoder of whole objects, an apply refuses fields that the kind does not have, whatever
`fieldValidation` says, for nobody could own them. What the path does not write is left out of the configuration: the
status on the main resource, all but the status on the status subresource.

Neighbours: `verbs.apply` asks; `server_side` and `last_applied` do it.
"""

from typing import Any

import orjson

from actors.api import errors
from actors.api.errors import ApiError
from actors.apiserver.machinery import body as bodies
from actors.apiserver.machinery import decode
from actors.apiserver.machinery.apply import last_applied, tracking
from actors.apiserver.machinery.apply.kinds import KINDS
from actors.apiserver.machinery.apply.managers import Writer
from actors.apiserver.machinery.apply.server_side import ApplyConflict, apply
from actors.apiserver.machinery.apply.values import BadConfiguration, check
from actors.apiserver.machinery.resource import Resource

MEDIA_TYPE = "application/apply-patch+yaml"

_STATUS = "status"
_IDENTITY = ("name", "namespace", "uid", "resourceVersion")  # metadata that says which object is meant, on any path
_UNKNOWN_FIELD = 'unknown field "'


def is_apply(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == MEDIA_TYPE


def configuration(
    api_version: str, kind: str, body: bytes, field_validation: str = decode.WARN
) -> tuple[dict[str, Any], list[str]]:
    """Return (configuration, warnings). Raises ApiError."""
    decode.check_field_validation(field_validation)
    try:
        data, duplicates = _parsed(body)
    except bodies.Malformed as error:
        raise errors.bad_request(f"error decoding YAML: {error}") from error
    if duplicates and field_validation == decode.STRICT:
        raise errors.bad_request(f"error strict decoding YAML: {', '.join(duplicates)}")
    _check_head(data, api_version, kind)
    config, unknown = decode.conform_object(data, api_version, kind, decode.WARN, [], keeps_empty=True)
    of = KINDS.of(api_version, kind)
    try:
        if unknown:
            path = unknown[0].removeprefix(_UNKNOWN_FIELD).removesuffix('"')
            raise BadConfiguration(f".{path}: field not declared in schema")
        check(of, config)
    except BadConfiguration as error:
        raise _untyped(config, str(error)) from error
    return config, duplicates if field_validation == decode.WARN else []


def _parsed(body: bytes) -> tuple[Any, list[str]]:
    """Most clients send JSON; what looks like it and is none may still be YAML."""
    if body.lstrip()[:1] == b"{":
        try:
            data, paths = bodies.parse_json(body, True)
        except bodies.Malformed:
            return bodies.parse_yaml(body)
        return data, [f'duplicate field "{path}"' for path in paths]
    return bodies.parse_yaml(body)


def _check_head(data: Any, api_version: str, kind: str) -> None:
    if type(data) is not dict:
        raise errors.bad_request("error decoding YAML: an applied configuration must be an object")
    given_version, given_kind = data.get("apiVersion") or "", data.get("kind") or ""
    if given_version != api_version:
        raise errors.bad_request(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {given_version}, expected: {api_version}"
        )
    if given_kind != kind:
        raise errors.bad_request(f"invalid object type: {_shown_kind(api_version, given_kind)}")
    metadata = data.get("metadata")
    if type(metadata) is dict and metadata.get(tracking.MANAGED_FIELDS) is not None:
        raise errors.bad_request("metadata.managedFields must be nil")


def _shown_kind(api_version: str, kind: Any) -> str:
    return f"{api_version if '/' in api_version else '/' + api_version}, Kind={kind}"


def _untyped(config: dict[str, Any], why: str) -> ApiError:
    """Kubernetes answers this with 500, and knows that it should not (kubernetes#139253)."""
    metadata = config["metadata"]
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    what = f"{name}; {_shown_kind(config['apiVersion'], config['kind'])}"
    return errors.bad_request(f"failed to create typed patch object ({what}): {why}")


def for_path(resource: Resource, config: dict[str, Any], subresource: str) -> dict[str, Any]:
    """Return what of a configuration the path may write."""
    if subresource != _STATUS:
        if _STATUS not in config or _STATUS not in resource.subresources:
            return config
        return {name: part for name, part in config.items() if name != _STATUS}
    metadata = config["metadata"]
    written = (*_IDENTITY, *getattr(resource.strategy, "metadata_with_status", ()))
    kept = {"apiVersion": config["apiVersion"], "kind": config["kind"]}
    kept["metadata"] = {name: part for name, part in metadata.items() if name in written}
    if _STATUS in config:
        kept[_STATUS] = config[_STATUS]
    return kept


def applied(live: dict[str, Any], config: dict[str, Any], writer: Writer, force: bool) -> dict[str, Any]:
    """Return the object that a configuration makes of a live one, sharing nothing with either.

    Raises ApiError Conflict. An object that is not there yet is one without a uid.
    """
    of = KINDS.of(live["apiVersion"], live["kind"])
    is_kubectl = writer.manager == last_applied.KUBECTL
    try:
        made = apply(of, live, config, writer, force)
    except ApplyConflict as conflict:
        rest = conflict
        if is_kubectl:
            rest = conflict.without(last_applied.may_be_taken(of, live))
        if rest.conflicts:
            raise rest.api_error() from conflict
        made = apply(of, live, config, writer, True)
    made, _ = decode.conform_object(
        orjson.loads(orjson.dumps(made)), live["apiVersion"], live["kind"], decode.IGNORE, []
    )
    if is_kubectl:
        last_applied.renew(made, config)
    return made


def absent(resource: Resource) -> dict[str, Any]:
    """Return what an object is before it is created by an apply."""
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": {}}

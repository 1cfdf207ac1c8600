"""All that is wrong with an object, collected and raised as one Invalid error.

Metadata first, then what the schema requires, then the kind's own rules; a field that two of them complain about is
named once. Neighbours: `metadata`, `schema`, and the strategies in `kinds`.
"""

from typing import Any

from actors.api import errors
from actors.api.errors import Cause
from actors.apiserver.machinery import field, schema
from actors.apiserver.machinery.metadata import metadata_causes
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.schema.shapes import ListOf, MapOf, Shape, Struct

MAX_CAUSES = 200  # in one answer; an object with more is wrong enough
MAX_SHOWN_NAME = 256  # characters of a name in a message; a longer one is no name


def validate_metadata(resource: Resource, obj: dict[str, Any], old: dict[str, Any] | None = None) -> None:
    """Raise ApiError Invalid when the metadata is wrong."""
    _raise(resource, obj, metadata_causes(resource, obj, old))


def validate(resource: Resource, obj: dict[str, Any], old: dict[str, Any] | None = None) -> None:
    """Raise ApiError Invalid with all causes. With `old` the object is an update of it."""
    causes = [] if resource.is_virtual else metadata_causes(resource, obj, old)
    own = [] if old is not None and resource.strategy.ratchets else resource.strategy.validate(obj)
    own += resource.strategy.validate_create(obj) if old is None else resource.strategy.validate_update(obj, old)
    if missing := missing_causes(resource, obj):
        named = {cause.field for cause in own}
        causes += [cause for cause in missing if cause.field not in named]
    _raise(resource, obj, causes + own)


def validate_status(resource: Resource, obj: dict[str, Any], old: dict[str, Any]) -> None:
    """Raise ApiError Invalid when an update of the status subresource is wrong."""
    causes = metadata_causes(resource, obj, old)
    _raise(resource, obj, causes + resource.strategy.validate_status_update(obj, old))


def missing_causes(resource: Resource, obj: dict[str, Any]) -> list[Cause]:
    """Return a cause for each field that the schema requires and the object lacks, the status apart.

    Lists are left to the kinds: Go writes an empty list as null, so that the schema calls lists required that need not
    be there.
    """
    shape = schema.of_kind(resource.api_version, resource.kind)
    causes: list[Cause] = []
    if isinstance(shape, Struct):
        demanding = shape.resolved().demanding
        for name, part in obj.items():
            if name in demanding and name not in ("metadata", "status"):
                _collect(shape.fields[name].shape, part, name, causes)
        _collect_required(shape, obj, "", causes)
    return causes


def _collect(shape: Shape, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(shape, Struct):
        _collect_required(shape.resolved(), value, path + ".", causes)
        for name, part in value.items():
            inner = shape.fields.get(name)
            if inner is not None and (type(part) is dict or type(part) is list):
                _collect(inner.shape, part, f"{path}.{name}", causes)
    elif isinstance(shape, ListOf) and isinstance(shape.item, Struct):
        for i, part in enumerate(value):
            _collect(shape.item, part, f"{path}[{i}]", causes)
    elif isinstance(shape, MapOf) and isinstance(shape.value, Struct):
        for key, part in value.items():
            _collect(shape.value, part, f"{path}[{key}]", causes)


def _collect_required(shape: Struct, value: dict, prefix: str, causes: list[Cause]) -> None:
    for name in shape.required:
        if name not in value and name in shape.fields and not isinstance(shape.fields[name].shape, ListOf):
            causes.append(field.required(prefix + name))


def _raise(resource: Resource, obj: dict[str, Any], causes: list[Cause]) -> None:
    if not causes:
        return
    name = (obj.get("metadata") or {}).get("name") or (obj.get("metadata") or {}).get("generateName", "")
    told = list(dict.fromkeys(causes))[:MAX_CAUSES]
    raise errors.invalid(resource.kind, name[:MAX_SHOWN_NAME], told, group=resource.group)

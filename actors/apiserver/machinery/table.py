"""A list as kubectl wants it: `meta.k8s.io/v1 Table`, cells ready to print.

A resource without columns of its own, such as a custom one, shows name and age.
"""

from typing import Any

from actors.api import errors
from actors.apiserver.machinery.columns.cells import AGE, NAME
from actors.apiserver.machinery.resource import Column, Resource

TABLE_API_VERSION = "meta.k8s.io/v1"
INCLUDE_OBJECT = ("Metadata", "None", "Object")
_GENERIC: tuple[Column, ...] = (NAME, AGE)


def to_table(
    resource: Resource, objs: list[dict], now: float, include_object: str = "Metadata", list_meta: dict | None = None
) -> dict[str, Any]:
    """Return a Table of objects. `include_object` says how much of each a row carries; `now` is for ages."""
    include_object = include_object or "Metadata"
    if include_object not in INCLUDE_OBJECT:
        raise errors.bad_request(f'unrecognized includeObject value: "{include_object}"')
    columns = resource.columns or _GENERIC
    return {
        "kind": "Table",
        "apiVersion": TABLE_API_VERSION,
        "metadata": list_meta or {},
        "columnDefinitions": [_definition(column) for column in columns],
        "rows": [_row(resource, columns, obj, now, include_object) for obj in objs],
    }


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(resource: Resource, columns: tuple[Column, ...], obj: dict, now: float, include_object: str) -> dict[str, Any]:
    """Columns read the stored form: both forms of an Event show the same."""
    shown = obj if resource.conversion is None else resource.conversion.to_stored(obj)
    row: dict[str, Any] = {"cells": [column.value(shown, now) for column in columns]}
    if include_object == "Metadata":
        row["object"] = partial_metadata(obj)
    elif include_object == "Object":
        row["object"] = obj
    return row


def partial_metadata(obj: dict) -> dict[str, Any]:
    """Return the object's metadata alone, as a PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": TABLE_API_VERSION, "metadata": obj["metadata"]}

"""Objects for the tests of the machinery, and short ways through it."""

from typing import Any

import orjson
import pytest
import yaml

from actors.api.errors import ApiError
from actors.apiserver.machinery.decode import decode
from actors.apiserver.machinery.prepare import prepare_for_create, prepare_for_update
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.validation import validate

NOW = "2026-05-01T12:00:00Z"
UID = "7a2b6c1e-0000-4000-8000-000000000001"

MINIMAL = {
    "Pod": "{metadata: {name: x}, spec: {containers: [{name: c, image: 'busybox:1.36'}]}}",
    "ConfigMap": "{metadata: {name: x}, data: {k: v}}",
    "Secret": "{metadata: {name: x}, data: {k: djE=}}",
    "Service": "{metadata: {name: x}, spec: {selector: {app: x}, ports: [{port: 80}]}}",
    "Namespace": "{metadata: {name: x}}",
    "Node": "{metadata: {name: x}}",
    "Deployment": """{metadata: {name: x}, spec: {selector: {matchLabels: {app: x}}, template: {
        metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: nginx}]}}}}""",
}


def resource(kind: str, api_version: str = "") -> Resource:
    """Return the resource of a kind, in the group that the tests mean."""
    found = [r for r in REGISTRY if r.kind == kind and api_version in ("", r.api_version)]
    return found[0]


def loaded(text: str | dict[str, Any]) -> dict[str, Any]:
    """Return YAML as an object; a dict as a copy of itself."""
    return orjson.loads(orjson.dumps(yaml.safe_load(text) if isinstance(text, str) else text))


def decoded(kind: str, text: str | dict[str, Any] = "") -> dict[str, Any]:
    row = resource(kind)
    obj = loaded(text or MINIMAL[kind])
    if row.namespaced:
        obj.setdefault("metadata", {}).setdefault("namespace", "default")
    return decode(row, orjson.dumps(obj), "application/json", "Strict")[0]


def created(kind: str, text: str | dict[str, Any] = "") -> dict[str, Any]:
    """Return an object as a create would store it; ApiError when it is refused."""
    row, obj = resource(kind), decoded(kind, text)
    prepare_for_create(row, obj, UID, NOW)
    validate(row, obj)
    return obj


def updated(kind: str, old: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the object after an update with `changes` merged in, double underscores standing for dots."""
    row, obj = resource(kind), loaded(old)
    for path, value in changes.items():
        *steps, last = path.split("__")
        at: Any = obj
        for step in steps:
            at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
        at[last] = value
    obj, _ = decode(row, orjson.dumps(obj), "application/json", "Strict")
    prepare_for_update(row, obj, old)
    validate(row, obj, old)
    return obj


def refused(kind: str, text: str | dict[str, Any]) -> dict[str, str]:
    """Return the causes by field of an object that validation must refuse."""
    with pytest.raises(ApiError) as caught:
        created(kind, text)
    return causes(caught.value)


def causes(error: ApiError) -> dict[str, str]:
    """Return the messages by field, joined where a field has several."""
    assert error.code == 422, error.message
    found: dict[str, str] = {}
    for cause in error.details["causes"]:
        before = found.get(cause["field"])
        found[cause["field"]] = f"{before}; {cause['message']}" if before else cause["message"]
    return found

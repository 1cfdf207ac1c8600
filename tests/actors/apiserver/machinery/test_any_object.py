"""Objects of every kind with anything in them that their schema lets through: made, changed, shown, or refused.

Nothing but a refusal may come of it, for anything else would be a 500. What is stored is changed into something else of
the same kind, for rules of updates compare objects that need not be alike.
"""

import copy
import random
from typing import Any

import orjson
import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery import openapi
from actors.apiserver.machinery.apply.managers import Writer
from actors.apiserver.machinery.apply.tracking import track_create
from actors.apiserver.machinery.decode import decode
from actors.apiserver.machinery.prepare import prepare_for_create, prepare_for_status_update, prepare_for_update
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.table import to_table
from actors.apiserver.machinery.validation import validate, validate_status
from tests.actors.apiserver.machinery.objects import NOW, UID

OBJECTS = 25  # of each kind and seed
MAX_LEVELS = 14
TEXTS = (
    "", "a", "A b", "a.b/c", "x" * 70, "10.0.0.1", "::1", "fd00::1/64", "1.2.3.4/24", "5%", "1", "é", "true", "None",
    "NodePort", "LoadBalancer", "ExternalName", "Always", "Never", "OnFailure", "Indexed", "All", "ExactCount",
    "Exists", "Equal", "In", "2026-01-01T00:00:00Z",
)  # fmt: skip
KINDS = [r for r in REGISTRY if not r.is_virtual]
RARE = ("deletionTimestamp", "ownerReferences", "finalizers", "creationTimestamp", "labels", "annotations")


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in openapi.document_paths():
        found |= orjson.loads(openapi.openapi_v3(path) or b"{}")["components"]["schemas"]
    return found


class Maker:
    """Makes values of a schema, some of their fields missing."""

    def __init__(self, schemas: dict[str, Any], seed: int) -> None:
        self.schemas = schemas
        self.choose = random.Random(seed)

    def value(self, schema: dict[str, Any], level: int = 0) -> Any:
        if "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        for part in schema.get("allOf", ()):
            return self.value(part, level)
        kind, choose = schema.get("type"), self.choose
        if "properties" in schema:
            return self.struct(schema, level)
        if schema.get("format") == "date-time":
            return NOW
        if schema.get("format") == "byte":
            return choose.choice(("", "YQ=="))
        if "oneOf" in schema or schema.get("format") == "int-or-string":
            return choose.choice((1, 0, -1, "5%", "a", "100m", "1Gi", "-1"))
        if kind == "array":
            return [self.value(schema["items"], level + 1) for _ in range(choose.randint(0, 2))]
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            keys = choose.sample(TEXTS[1:], choose.randint(0, 2))
            return {key: self.value(schema["additionalProperties"], level + 1) for key in keys}
        return choose.choice(
            {
                "string": tuple(schema.get("enum") or ()) * 4 + TEXTS,
                "integer": (0, 1, -1, 5, 80, 70_000, 2**31 - 1),
                "boolean": (True, False),
                "number": (0, 1.5),
            }.get(kind or "", ({}, {"a": 1}, 5, "x", [1], None))
        )

    def struct(self, schema: dict[str, Any], level: int) -> dict[str, Any]:
        if level > MAX_LEVELS:
            return {}
        needed = schema.get("required", ())
        return {
            name: self.value(part, level + 1)
            for name, part in schema["properties"].items()
            if self.choose.random() < (0.85 if name in needed else 0.45 if level < 2 else 0.3)
        }

    def of_kind(self, resource: Resource, schema: dict[str, Any]) -> dict[str, Any]:
        obj = self.value(schema)
        metadata = {name: part for name, part in (obj.get("metadata") or {}).items() if name != "managedFields"}
        for name in RARE:
            if self.choose.random() < 0.8:
                metadata.pop(name, None)
        metadata |= {"name": "x", **({"namespace": "default"} if resource.namespaced else {})}
        return obj | {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}


def made_of(resource: Resource, obj: dict[str, Any]) -> dict[str, Any] | None:
    """Return an object as a create would store it, after all that looks at it has done so; None when it is refused."""
    made = copy.deepcopy(obj)
    try:
        prepare_for_create(resource, made, UID, NOW)
        validate(resource, made)
    except ApiError:
        return None
    strategy = resource.strategy
    strategy.warnings(made)
    track_create(copy.deepcopy(made), Writer("m", resource.api_version, "", NOW), "status" in resource.subresources)
    shown(resource, made)
    for read in resource.selectable_fields.values():
        assert isinstance(read(made), str)
    strategy.deletes_at_once(made)
    return made


def shown(resource: Resource, obj: dict[str, Any]) -> None:
    if resource.conversion is None:
        orjson.dumps(to_table(resource, [obj], 1.9e9, "Object"))


def changed(resource: Resource, obj: dict[str, Any], old: dict[str, Any]) -> None:
    """Make `old` into `obj`, and its status into that of `obj`, if that may be."""
    for is_status in (False, True) if "status" in resource.subresources else (False,):
        new, before = copy.deepcopy(obj), copy.deepcopy(old)
        try:
            if is_status:
                prepare_for_status_update(resource, new, before)
                validate_status(resource, new, before)
            else:
                prepare_for_update(resource, new, before)
                validate(resource, new, before)
                resource.strategy.update_warnings(new, before)
        except ApiError:
            continue
        shown(resource, new)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("resource", KINDS, ids=lambda resource: f"{resource.group_resource}-{resource.version}")
def test_a_life(schemas, resource, seed):
    maker = Maker(schemas, seed)
    tag = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    schema = next(s for s in schemas.values() if tag in s.get("x-kubernetes-group-version-kind", ()))
    old: dict[str, Any] | None = None
    for _ in range(OBJECTS):
        sent = orjson.dumps(maker.of_kind(resource, schema))
        try:
            obj, _ = decode(resource, sent, "application/json", "Warn")
        except ApiError:
            continue
        made = made_of(resource, obj)
        if old is not None:
            changed(resource, obj, old)
        old = made or old

"""The resources that a CustomResourceDefinition makes: a row of the resource table for each served version.

Neighbours: `served` puts them in the registry; `versions`, `strategy`, `columns`, `scaling` are what they are made of.
"""

from typing import Any

from actors.apiserver.extensions import conditions
from actors.apiserver.extensions.columns import columns_of
from actors.apiserver.extensions.jsonpath import field_steps
from actors.apiserver.extensions.scaling import CustomScale
from actors.apiserver.extensions.schema.shape import PRESERVE_ALL, CustomShape
from actors.apiserver.extensions.strategy import CustomStrategy
from actors.apiserver.extensions.versions import Conversion, ConvertMany, Version
from actors.apiserver.machinery.resource import STANDARD_VERBS, Resource, Subresource
from actors.apiserver.machinery.rows import SCALE, status_of
from actors.apiserver.machinery.selectable import FieldReader, text
from actors.apiserver.storage.stored_cache import StoredCache

Object = dict[str, Any]


def storage_prefix(definition: Object) -> bytes:
    spec = definition["spec"]
    return f"/registry/{spec['group']}/{spec['names']['plural']}/".encode()


def storage_version(definition: Object) -> str:
    """Return the apiVersion of what is written."""
    spec = definition["spec"]
    name = next(version["name"] for version in spec["versions"] if version.get("storage"))
    return f"{spec['group']}/{name}"


def resources_of(definition: Object, stored: StoredCache, convert: ConvertMany | None) -> list[Resource]:
    """Return the rows of an established definition, the best version first."""
    conversion = Conversion(storage_version(definition), convert)
    served = sorted((v for v in definition["spec"]["versions"] if v.get("served")), key=lambda v: priority(v["name"]))
    return [_resource(definition, version, conversion, stored) for version in served]


def priority(version: str) -> tuple[Any, ...]:
    """A key that sorts versions as Kubernetes prefers them: v2, v1, v1beta2, v1beta1, v1alpha1, then the others."""
    stage, numbers = "", []
    if version.startswith("v"):
        for name in ("alpha", "beta"):
            if name in version:
                stage = name
        parts = version[1:].split(stage) if stage else [version[1:]]
        numbers = [int(part) for part in parts if part.isdigit()]
        if len(numbers) != len(parts):
            numbers = []
    if not numbers:
        return (3, version)
    rank = {"": 0, "beta": 1, "alpha": 2}[stage]
    return (0, rank, *(-number for number in numbers)) if not stage else (0, rank, -numbers[0], -numbers[1])


def _resource(definition: Object, version: Object, conversion: Conversion, stored: StoredCache) -> Resource:
    spec = definition["spec"]
    accepted = definition["status"]["acceptedNames"]
    api_version = f"{spec['group']}/{version['name']}"
    shape = CustomShape((version.get("schema") or {}).get("openAPIV3Schema") or PRESERVE_ALL)
    given = version.get("subresources") or {}
    scale = CustomScale(given["scale"]) if given.get("scale") else None
    fields = _selectable(version.get("selectableFields") or ())
    subresources: list[Subresource] = []
    if "status" in given:
        subresources.append(status_of(api_version, accepted["kind"]))
    if scale is not None:
        subresources.append(SCALE)
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=accepted["kind"],
        plural=accepted["plural"],
        singular=accepted.get("singular", ""),
        namespaced=spec["scope"] == "Namespaced",
        list_kind=accepted.get("listKind") or f"{accepted['kind']}List",
        short_names=tuple(accepted.get("shortNames") or ()),
        categories=tuple(accepted.get("categories") or ()),
        verbs=_verbs(definition),
        subresources={part.name: part for part in subresources},
        strategy=CustomStrategy(shape, "status" in given),
        columns=columns_of(version),
        selectable_fields=fields,
        custom=Version(api_version, shape, conversion, stored, fields, scale),
        warning=_deprecation(definition, version),
    )


def _verbs(definition: Object) -> tuple[str, ...]:
    """A definition on its way out takes no new objects."""
    if conditions.is_deleting(definition):
        return tuple(verb for verb in STANDARD_VERBS if verb != "create")
    return STANDARD_VERBS


def _deprecation(definition: Object, version: Object) -> str:
    if not version.get("deprecated"):
        return ""
    api_version = f"{definition['spec']['group']}/{version['name']}"
    default = f"{api_version} {definition['spec']['names']['kind']} is deprecated"
    return version.get("deprecationWarning") or default


def _selectable(given: Any) -> dict[str, FieldReader]:
    """Readers of selectable fields, by their paths without the first dot."""
    return {one["jsonPath"].lstrip("."): _reader(field_steps(one["jsonPath"])) for one in given}


def _reader(steps: list[str]) -> FieldReader:
    def read(obj: Object) -> str:
        value: Any = obj
        for step in steps:
            value = value.get(step) if type(value) is dict else None
        return "" if value is None else text(value)

    return read

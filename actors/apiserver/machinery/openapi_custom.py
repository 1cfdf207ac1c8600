"""What OpenAPI documents say of custom resources: the schema of each version, and of its list.

v3 tells the whole schema, with all of its extensions. v2 cannot say oneOf, nullable and the like, and kubectl of old
took an empty object for one without fields: what it cannot say is left out.

Neighbours: `openapi` puts these components beside the built-in ones.
"""

from typing import Any

from actors.apiserver.machinery import schema
from actors.apiserver.machinery.resource import Resource

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
OBJECT_META, LIST_META = META + "ObjectMeta", META + "ListMeta"
PRESERVE = "x-kubernetes-preserve-unknown-fields"

_NOT_IN_V2 = frozenset(
    {"oneOf", "anyOf", "allOf", "not", "nullable", "x-kubernetes-validations", "x-kubernetes-int-or-string"}
)
_HELP = {
    "apiVersion": (
        "APIVersion defines the versioned schema of this representation of an object. Servers should convert "
        "recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/"
        "community/contributors/devel/sig-architecture/api-conventions.md#resources"
    ),
    "kind": (
        "Kind is a string value representing the REST resource this object represents. Servers may infer this from the "
        "endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/"
        "community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
    ),
    "metadata": (
        "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/"
        "api-conventions.md#metadata"
    ),
}


def is_custom(resource: Resource) -> bool:
    return resource.custom is not None


def source_of(resource: Resource) -> dict[str, Any]:
    """Return the structural schema of a custom resource."""
    shape = schema.SCHEMAS.of_custom_kind(resource.api_version, resource.kind)
    return dict(shape.structural) if shape is not None else {"type": "object"}


def digest_of(resource: Resource) -> str:
    """Return what changes with the schema of a custom resource."""
    shape = schema.SCHEMAS.of_custom_kind(resource.api_version, resource.kind)
    return "" if shape is None else shape.digest


def component_names(resource: Resource) -> dict[str, str]:
    """Return the components' names by "apiVersion/Kind": the group reversed, the version, the kind."""
    start = ".".join([*reversed(resource.group.split(".")), resource.version])
    return {f"{resource.api_version}/{kind}": f"{start}.{kind}" for kind in (resource.kind, resource.list_kind)}


def components(resource: Resource, prefix: str, is_v2: bool) -> dict[str, Any]:
    """Return the schemas of a custom resource by name. They refer to OBJECT_META and LIST_META."""
    names = component_names(resource)
    name = names[f"{resource.api_version}/{resource.kind}"]
    own = source_of(resource)
    made = _v2(own) if is_v2 else dict(own)
    properties = dict(made.get("properties") or {})
    for field in ("apiVersion", "kind"):
        properties[field] = {"description": _HELP[field], "type": "string"}
    reference = {"$ref": prefix + OBJECT_META}
    description = {"description": _HELP["metadata"]}
    properties["metadata"] = {**description, **(reference if is_v2 else {"allOf": [reference]})}
    made |= {"type": "object", "properties": properties, "x-kubernetes-group-version-kind": [_gvk(resource)]}
    item = {"$ref": prefix + name}
    listed = {
        "description": f"{resource.list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": properties["apiVersion"],
            "kind": properties["kind"],
            "metadata": {"$ref": prefix + LIST_META},
            "items": {"description": f"List of {resource.plural}.", "type": "array", "items": item},
        },
        "x-kubernetes-group-version-kind": [{**_gvk(resource), "kind": resource.list_kind}],
    }
    return {name: made, names[f"{resource.api_version}/{resource.list_kind}"]: listed}


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _v2(source: dict[str, Any]) -> dict[str, Any]:
    """Return what v2 can say of a schema."""
    made = {key: value for key, value in source.items() if key not in _NOT_IN_V2}
    if source.get(PRESERVE) and source.get("type") == "object" and not source.get("properties"):
        made.pop("type")
    if "properties" in source:
        made["properties"] = {name: _v2(inner) for name, inner in source["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(source.get(key), dict):
            made[key] = _v2(source[key])
    return made

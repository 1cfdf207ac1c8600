"""OpenAPI documents, from Kubernetes' own schemas: `kubectl explain`, and how kubectl learns what the server checks.

A v3 document covers one group and version. Its URL in the index carries a hash of everything that goes into it, so that
a client keeps it until it changes. Documents are made when first asked for and kept as bytes in the cache directory,
not in memory: the largest has most of a megabyte and hardly anyone asks twice.

Neighbours: `schema.definitions` reads the schemas; `openapi_paths` writes the paths.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson

from actors.apiserver.machinery import openapi_custom, schema
from actors.apiserver.machinery.openapi_paths import DELETE_OPTIONS, PATCH, STATUS, paths_of, version_two
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.resource import Registry, Resource
from actors.apiserver.machinery.schema.definitions import (
    SCHEMA_VERSION,
    package_version,
    plain_type,
    read_full,
    ref_name,
    write_atomically,
)
from actors.apiserver.protobuf.openapi_v2 import encode as encode_v2

FORMAT = 6  # of the documents: raise it whenever what is written here changes
HASH_CHARS = 32

_BEARER = "BearerToken"
_IN_HEADER = {"description": "Bearer Token authentication", "name": "authorization", "in": "header"}
_SECURED: list[dict[str, list[str]]] = [{_BEARER: []}]
_ALWAYS = (DELETE_OPTIONS, STATUS, PATCH)
_LEFT_OUT = ("type", "enum", "properties", "items", "additionalProperties", "oneOf", "$ref")


def document_paths(registry: Registry = REGISTRY) -> dict[str, tuple[str, str]]:
    """Return (group, version) by the path of its document: `api/v1`, `apis/apps/v1`."""
    return {
        f"apis/{group}/{version}" if group else f"api/{version}": (group, version)
        for group, versions in registry.groups().items()
        for version in versions
    }


def openapi_v3_index(registry: Registry = REGISTRY) -> bytes:
    """Return the answer of /openapi/v3."""
    paths = {
        path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={document_hash(group, version, registry)}"}
        for path, (group, version) in document_paths(registry).items()
    }
    return orjson.dumps({"paths": paths})


def document_hash(group: str, version: str, registry: Registry = REGISTRY) -> str:
    """Return the hash of what the document of a group and version is made of."""
    parts = [package_version(), str(FORMAT)]
    for resource in registry.of_group_version(group, version):
        parts += [resource.kind, resource.plural, str(resource.namespaced), ",".join(resource.verbs)]
        parts += [
            f"{part.name}:{part.group_version}:{part.kind}:{part.verbs}" for part in resource.subresources.values()
        ]
        if openapi_custom.is_custom(resource):
            parts.append(openapi_custom.digest_of(resource))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest().upper()[:HASH_CHARS]


def openapi_v3(path: str, registry: Registry = REGISTRY) -> bytes | None:
    """Return the answer of /openapi/v3/PATH; None when there is no such document."""
    found = document_paths(registry).get(path)
    if found is None:
        return None
    resources = registry.of_group_version(*found)
    if any(openapi_custom.is_custom(resource) for resource in resources):
        return orjson.dumps(_document(resources))
    name = f"openapi-v3-{path.replace('/', '_')}-{document_hash(*found, registry)}.json"
    return _cached(name, lambda: _document(resources))


def openapi_v2(registry: Registry = REGISTRY) -> bytes:
    """Return a Swagger 2.0 document, for clients that know no v3: most generators of clients among them."""
    return orjson.dumps(_v2_whole(registry)) if _custom(registry) else _v2_builtin(registry)


def openapi_v2_protobuf(registry: Registry = REGISTRY) -> bytes:
    """Return the same in the form that kubectl asks for when v3 does not know a kind."""
    if _custom(registry):
        return encode_v2(_v2_whole(registry))
    return _cached(f"openapi-v2-{_v2_hash(registry)}.pb", lambda: _v2_document(registry), encode_v2)


def _custom(registry: Registry) -> list[Resource]:
    return [resource for resource in registry if openapi_custom.is_custom(resource)]


def _v2_builtin(registry: Registry) -> bytes:
    """The document of the built-in resources, which is made once."""
    return _cached(f"openapi-v2-{_v2_hash(registry)}.json", lambda: _v2_document(registry))


def _v2_whole(registry: Registry) -> dict[str, Any]:
    """The document with custom resources: made for each who asks, for those who ask are few."""
    document = orjson.loads(_v2_builtin(registry))
    for resource in _custom(registry):
        document["definitions"] |= openapi_custom.components(resource, "#/definitions/", True)
    document["paths"] |= version_two(_paths(_custom(registry)))
    return document


def _v2_hash(registry: Registry) -> str:
    builtin = [resource for resource in registry if not openapi_custom.is_custom(resource)]
    versions = dict.fromkeys((resource.group, resource.version) for resource in builtin)
    hashes = "".join(document_hash(group, version, Registry(builtin)) for group, version in versions)
    return hashlib.sha256(hashes.encode()).hexdigest()[:HASH_CHARS]


def _v2_document(registry: Registry) -> dict[str, Any]:
    builtin = [resource for resource in registry if not openapi_custom.is_custom(resource)]
    definitions = {name: _v2_schema(schema) for name, schema in _components(builtin, "#/definitions/").items()}
    info = {"title": "Kubernetes", "version": SCHEMA_VERSION}
    return {
        "swagger": "2.0",
        "info": info,
        "paths": version_two(_paths(builtin)),
        "definitions": definitions,
        "securityDefinitions": {_BEARER: {"type": "apiKey", **_IN_HEADER}},
        "security": _SECURED,
    }


def _v2_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema as v2 has it: a description beside a $ref, and no oneOf (of Quantity and IntOrString)."""
    target = {key: value for key, value in schema.items() if key not in ("allOf", "oneOf")}
    for part in schema.get("allOf", ()):
        target |= part
    if "oneOf" in schema:
        target["type"] = "string"
    if "properties" in schema:
        target["properties"] = {key: _v2_schema(value) for key, value in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            target[key] = _v2_schema(schema[key])
    return target


def _cached(name: str, make: Callable[[], Any], encode: Callable[[Any], bytes] = orjson.dumps) -> bytes:
    cache_dir: Path | None = schema.SCHEMAS.cache_dir
    if cache_dir is None:
        return encode(make())
    path = cache_dir / name
    try:
        return path.read_bytes()
    except OSError:
        data = encode(make())
        write_atomically(path, data)
        return data


def _document(resources: list[Resource]) -> dict[str, Any]:
    scheme = {"type": "apiKey", **_IN_HEADER}
    schemas = _components(resources, "#/components/schemas/")
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": SCHEMA_VERSION},
        "paths": _paths(resources),
        "components": {"schemas": schemas, "securitySchemes": {_BEARER: scheme}},
        "security": _SECURED,
    }


def _paths(resources: list[Resource]) -> dict[str, Any]:
    kinds = _kinds(resources)
    return {path: item for resource in resources for path, item in paths_of(resource, kinds).items()}


def _kinds(resources: list[Resource]) -> dict[str, str]:
    """Return the definition's name of each "apiVersion/Kind" that the resources speak of."""
    wanted = {(r.api_version, kind) for r in resources for kind in (r.kind, r.list_kind)}
    wanted |= {(part.group_version, part.kind) for r in resources for part in r.subresources.values()}
    named = {f"{version}/{kind}": schema.SCHEMAS.definition_name(version, kind) for version, kind in sorted(wanted)}
    names = {key: name for key, name in named.items() if name}
    for resource in resources:
        if openapi_custom.is_custom(resource):
            names |= openapi_custom.component_names(resource)
    return names


def _components(resources: list[Resource], prefix: str) -> dict[str, Any]:
    """Return the schemas of the resources and of all that they refer to."""
    full = read_full()
    found: dict[str, Any] = {}
    waiting = [name for name in (*_kinds(resources).values(), *_ALWAYS) if name in full]
    for resource in resources:
        if openapi_custom.is_custom(resource):
            found |= openapi_custom.components(resource, prefix, False)
            waiting += [openapi_custom.OBJECT_META, openapi_custom.LIST_META]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = plain(msgspec.json.decode(full[name]), prefix, waiting)
    return dict(sorted(found.items()))


def plain(source: dict[str, Any], prefix: str, references: list[str]) -> dict[str, Any]:
    """Return a schema as OpenAPI writes it: one type, no null. Names that it refers to are added to `references`."""
    target = {key: value for key, value in source.items() if key not in _LEFT_OUT}
    if name := ref_name(source):
        references.append(name)
        reference = {"$ref": prefix + name}
        return {**target, "allOf": [reference]} if target else reference
    if kind := plain_type(source):
        target["type"] = kind
    if "properties" in source:
        target["properties"] = {key: plain(value, prefix, references) for key, value in source["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in source:
            target[key] = plain(source[key], prefix, references)
    if "oneOf" in source:
        target["oneOf"] = [plain(part, prefix, references) for part in source["oneOf"]]
    return target

"""Kubernetes' own schemas, as the package kubernetes-validate ships them, made compact.

The package's file is 1.6 MB of JSON, most of it descriptions. `compact` reduces every definition to what decoding and
patching need (about a tenth), and `Definitions` keeps that in the cache directory, named by package version and by the
format here, so that only the first process ever reads the big file. Definitions stay raw JSON until one is asked for.

A compact type is a string for a leaf ("string", "int32", "quantity" ...), or a dict: {"ref": name}, {"list": type},
{"map": type}; a list also carries how a strategic merge patch treats it, and what has a part in server-side apply says
how: "topology" is "map" or "set" for a list, "atomic" or "granular" for the rest, and "keys" are those of a list of
objects. A compact definition is {"fields": {name: type}, "required": [name], "omitted": [name]}, and "topology" where
it is atomic. The omitted ones are those that `omission` says are left out when they are empty.

What can go wrong: the cache is unreadable or damaged (it is made again), or cannot be written (a warning, then it works
from memory). Neighbours: `shapes` builds checkers out of definitions; `omission`; `openapi` reads the full ones by
`read_full`.
"""

import importlib.metadata
import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import structlog

from actors.apiserver.machinery.schema.omission import omitted_when_empty

PACKAGE = "kubernetes-validate"
SCHEMA_VERSION = "v1.36.0"
FORMAT = 5  # of the compact form: raise it whenever `compact` changes what it writes

LOG = structlog.get_logger("apiserver.schema")

_LEAVES_BY_NAME = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intstr",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
}
_FORMATS = {"byte": "bytes", "int32": "int32", "int64": "int64", "date-time": "time", "double": "double"}
_LEAVES = {"string": "string", "boolean": "bool", "integer": "int64", "number": "double"}


class Compact(msgspec.Struct):
    """The compact file: definitions by name, and names by "apiVersion/Kind"."""

    kinds: dict[str, str]
    definitions: dict[str, msgspec.Raw]


def package_version() -> str:
    """Return the version of kubernetes-validate; what is cached is keyed by it."""
    return importlib.metadata.version(PACKAGE)


def source_path() -> Path:
    """Return the file of all definitions. The package is found and not imported: its import is slow."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    assert spec is not None and spec.origin is not None, f"{PACKAGE} is not installed"
    return Path(spec.origin).parent / "kubernetes-json-schema" / f"{SCHEMA_VERSION}-local" / "_definitions.json"


def read_full() -> dict[str, msgspec.Raw]:
    """Return the full definitions by name, each still JSON text."""
    document = msgspec.json.decode(source_path().read_bytes(), type=dict[str, msgspec.Raw])
    return msgspec.json.decode(document["$defs"], type=dict[str, msgspec.Raw])


def plain_type(schema: dict) -> str:
    """Return the one type of a schema: the package writes `type: [string, null]` for `type: string`."""
    kind = schema.get("type", "")
    if isinstance(kind, list):
        return next((k for k in kind if k != "null"), "")
    return kind


def ref_name(schema: dict) -> str:
    """Return the name of the definition that a `$ref` points to; "" without one."""
    return schema.get("$ref", "").rpartition("/")[2]


def compact_type(schema: dict, leaves: dict[str, str]) -> Any:
    """Return the compact type of a schema. `leaves` are the definitions that are no structs."""
    if ref := ref_name(schema):
        found: Any = leaves.get(ref) or {"ref": ref}
    elif plain_type(schema) == "array":
        found = {"list": compact_type(schema["items"], leaves)}
    elif "additionalProperties" in schema:
        found = {"map": compact_type(schema["additionalProperties"], leaves)}
    elif plain_type(schema) == "object" or not plain_type(schema):
        found = "any"
    else:
        found = _FORMATS.get(schema.get("format", "")) or _LEAVES[plain_type(schema)]
    return _with_patch_rules(_with_topology(found, schema), schema)


def _with_topology(found: Any, schema: dict) -> Any:
    """Say how the parts of a list or an object are owned, where that is not the rule (lists atomic, objects not)."""
    topology = schema.get("x-kubernetes-list-type") or schema.get("x-kubernetes-map-type") or ""
    if isinstance(found, str) or not topology or ("list" in found and topology == "atomic"):
        return found
    found["topology"] = topology
    if keys := schema.get("x-kubernetes-list-map-keys"):
        found["keys"] = keys
    return found


def _with_patch_rules(found: Any, schema: dict) -> Any:
    strategy = schema.get("x-kubernetes-patch-strategy", "")
    if not strategy or isinstance(found, str):
        return found
    found["strategy"] = strategy.split(",")
    if key := schema.get("x-kubernetes-patch-merge-key"):
        found["key"] = key
    return found


def compact(full: dict[str, msgspec.Raw]) -> Compact:
    """Return the compact form of all definitions."""
    schemas: dict[str, dict] = {name: msgspec.json.decode(raw) for name, raw in full.items()}
    leaves = {name: _leaf_of(name, schema) for name, schema in schemas.items() if "properties" not in schema}
    kinds: dict[str, str] = {}
    definitions: dict[str, msgspec.Raw] = {}
    for name, schema in schemas.items():
        if name in leaves:
            continue
        for gvk in schema.get("x-kubernetes-group-version-kind", ()):
            kinds[f"{gvk['group']}/{gvk['version']}/{gvk['kind']}".lstrip("/")] = name
        fields = {key: compact_type(value, leaves) for key, value in schema["properties"].items()}
        required = schema.get("required", [])
        shape = {"fields": fields, "required": required, "omitted": omitted_when_empty(name, fields, required)}
        if topology := schema.get("x-kubernetes-map-type"):
            shape["topology"] = topology
        definitions[name] = msgspec.Raw(msgspec.json.encode(shape))
    return Compact(kinds, definitions)


def _leaf_of(name: str, schema: dict) -> str:
    if name in _LEAVES_BY_NAME:
        return _LEAVES_BY_NAME[name]
    kind = plain_type(schema)
    return _LEAVES.get(kind, "any")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a cache file so that a reader sees all of it or none. An OSError is logged: a cache is never needed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        LOG.warning("a cache file could not be written", path=str(path), error=str(error))


def read_compact(cache_dir: Path | None) -> Compact:
    """Return the compact definitions, from the cache where it has them."""
    if cache_dir is None:
        return compact(read_full())
    path = cache_dir / f"schemas-{SCHEMA_VERSION}-{package_version()}-{FORMAT}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Compact)
    except FileNotFoundError:
        LOG.info("compiling schemas", path=str(path))
    except (OSError, msgspec.DecodeError) as error:
        LOG.warning("the schema cache is damaged and is made again", path=str(path), error=str(error))
    made = compact(read_full())
    write_atomically(path, msgspec.json.encode(made))
    return made

"""The types of kinds: made of Kubernetes' own schemas when first asked for, or of a custom resource's schema.

`KINDS.of(api_version, kind)` is all that the rest needs. A custom resource comes in with `KINDS.add(api_version, kind,
of_structural(schema))` and leaves with `discard`. A kind that is not known at all is deduced: its objects are granular,
its lists are leaves.

The root of an object differs from other structs: apiVersion and kind are nobody's, nor is the metadata that the server
owns or that names the object.

Neighbours: `schema` has the definitions; `types` is what comes out.
"""

from collections.abc import Mapping
from typing import Any

from actors.apiserver.machinery import schema
from actors.apiserver.machinery.apply.types import DEDUCED, Granular, Items, Type

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_UNTRACKED = frozenset({"apiVersion", "kind"})
_UNTRACKED_METADATA = frozenset(
    {
        "clusterName",
        "creationTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }  # fmt: skip
)

# The schemas as packaged have lost their defaults. These are the defaults of keys of lists.
_KEY_DEFAULTS = {"protocol": "TCP"}

# Go has these in an object before anybody sets a field in them (structs kept by value, a list that is always written):
# that they are there is nothing that the creator owns. Deeper down they come with the item that they are in.
_BY_VALUE = ("metadata", "spec", "status", "strategy", "template", "updateStrategy", "jobTemplate", "containers")


class Kinds:
    """Types by kind."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], Granular] = {}
        self._structs: dict[str, Granular] = {}

    def of(self, api_version: str, kind: str) -> Granular:
        """Return the type of a kind's objects."""
        found = self._kinds.get((api_version, kind))
        if found is None:
            if (custom := schema.SCHEMAS.of_custom_kind(api_version, kind)) is not None:
                self.add(api_version, kind, of_structural(custom.structural))
                return self._kinds[api_version, kind]
            name = schema.SCHEMAS.definition_name(api_version, kind)
            struct = self._struct(name) if name else DEDUCED
            found = self._kinds[api_version, kind] = self.rooted(struct)
        return found

    def add(self, api_version: str, kind: str, struct: Granular) -> None:
        """Take the type of a custom kind, as `of_structural` makes it, in place of any that was there."""
        self._kinds[api_version, kind] = self.rooted(struct)

    def discard(self, api_version: str, kind: str) -> None:
        self._kinds.pop((api_version, kind), None)

    def rooted(self, struct: Granular) -> Granular:
        """Return the type of whole objects for that of a struct."""
        meta = self._struct(OBJECT_META)
        metadata = Granular(meta.fields, untracked=_UNTRACKED_METADATA)
        fields = {**struct.fields, "metadata": metadata}
        return Granular(fields, other=struct.other, is_open=struct.is_open, untracked=_UNTRACKED)

    def _struct(self, name: str) -> Granular:
        struct = self._structs.get(name)
        if struct is None:
            struct = self._structs[name] = Granular()  # in its place before its fields are, for some contain themselves
            definition = schema.SCHEMAS.compact_definition(name)
            struct.fields.update({field: self._type(kind) for field, kind in definition["fields"].items()})
        return struct

    def _type(self, compact: Any) -> Type:
        if isinstance(compact, str) or compact.get("topology") == "atomic":
            return None
        if "list" in compact:
            return self._items(compact)
        if "map" in compact:
            return Granular(other=self._type(compact["map"]), is_open=True)
        name = compact["ref"]
        atomic = schema.SCHEMAS.compact_definition(name).get("topology") == "atomic"
        return None if atomic and compact.get("topology") != "granular" else self._struct(name)

    def _items(self, compact: dict[str, Any]) -> Items | None:
        topology = compact.get("topology")
        if topology == "map":
            return Items(self._type(compact["list"]), tuple(compact["keys"]), _KEY_DEFAULTS)
        return Items(None) if topology == "set" else None


def of_structural(structural: Mapping[str, Any]) -> Granular:
    """Return the type of an object by the structural schema of a custom resource (openAPIV3Schema)."""
    found = _of_structural(structural)
    return found if isinstance(found, Granular) else DEDUCED


def _of_structural(structural: Mapping[str, Any]) -> Type:
    if structural.get("x-kubernetes-map-type") == "atomic":
        return None
    if structural.get("type") == "array":
        return _items_of_structural(structural)
    if structural.get("type") != "object":
        return DEDUCED if structural.get("x-kubernetes-preserve-unknown-fields") else None
    fields = {name: _of_structural(part) for name, part in (structural.get("properties") or {}).items()}
    if structural.get("x-kubernetes-embedded-resource"):
        fields.setdefault("metadata", DEDUCED)
    additional = structural.get("additionalProperties")
    if isinstance(additional, Mapping):
        return Granular(fields, other=_of_structural(additional), is_open=True)
    keeps_unknown = bool(additional or structural.get("x-kubernetes-preserve-unknown-fields") or not fields)
    return Granular(fields, other=DEDUCED if keeps_unknown else None, is_open=keeps_unknown)


def _items_of_structural(structural: Mapping[str, Any]) -> Items | None:
    topology, item = structural.get("x-kubernetes-list-type"), structural.get("items") or {}
    if topology == "map":
        keys = tuple(structural.get("x-kubernetes-list-map-keys") or ())
        properties = item.get("properties") or {}
        defaults = {key: properties[key]["default"] for key in keys if "default" in (properties.get(key) or {})}
        return Items(_of_structural(item), keys, defaults)
    return Items(None) if topology == "set" else None


def blank(struct: Granular) -> dict[str, Any]:
    """Return an object of a kind before anything is set in it."""
    found: dict[str, Any] = {}
    for name in _BY_VALUE:
        part = struct.fields.get(name)
        if part is not None:
            found[name] = blank(part) if isinstance(part, Granular) else []
    return found


KINDS = Kinds()

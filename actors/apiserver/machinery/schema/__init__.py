"""The shapes of every built-in kind, compiled from Kubernetes' own schemas when first asked for.

`use_cache` names the directory that keeps the compact definitions between starts; without it a process compiles them
from the installed package. See `definitions` for the format, `shapes` for what a shape can do.
"""

from pathlib import Path
from typing import Any

import msgspec

from actors.apiserver.machinery.schema.definitions import Compact, read_compact
from actors.apiserver.machinery.schema.shapes import LEAF_SHAPES, CustomKind, ListOf, MapOf, Shape, Struct


class Schemas:
    """Shapes by definition name and by kind. `add_kind` lets a custom resource bring its own."""

    def __init__(self, cache_dir: Path | None = None) -> None:
        self.cache_dir = cache_dir
        self._compact: Compact | None = None
        self._structs: dict[str, Struct] = {}
        self._custom: dict[tuple[str, str], CustomKind] = {}
        self._known: dict[tuple[str, str], Struct] = {}

    def add_kind(self, api_version: str, kind: str, shape: CustomKind) -> None:
        """Take the shape of a custom kind, in place of any that was there."""
        self._custom[api_version, kind] = shape

    def discard_kind(self, api_version: str, kind: str) -> None:
        self._custom.pop((api_version, kind), None)

    def of_custom_kind(self, api_version: str, kind: str) -> CustomKind | None:
        return self._custom.get((api_version, kind))

    def of_kind(self, api_version: str, kind: str) -> Struct | CustomKind | None:
        """Return the shape of a kind; None when there is no schema for it."""
        asked = (api_version, kind)
        found = self._custom.get(asked) or self._known.get(asked)
        if found is None and (name := self.definition_name(api_version, kind)):
            found = self._known[asked] = self.of_definition(name)
        return found

    def definition_name(self, api_version: str, kind: str) -> str:
        """Return the definition's name of a kind; "" when there is none."""
        return self._definitions().kinds.get(f"{api_version}/{kind}", "")

    def of_definition(self, name: str) -> Struct:
        struct = self._structs.get(name)
        if struct is None:
            struct = self._structs[name] = Struct(name, self.compact_definition(name), self._shape)
        return struct

    def compact_definition(self, name: str) -> dict[str, Any]:
        """Return a definition in the compact form that `definitions` describes."""
        return msgspec.json.decode(self._definitions().definitions[name])

    def _definitions(self) -> Compact:
        if self._compact is None:
            self._compact = read_compact(self.cache_dir)
        return self._compact

    def _shape(self, compact: Any) -> Shape:
        if isinstance(compact, str):
            return LEAF_SHAPES[compact]
        if "ref" in compact:
            return self.of_definition(compact["ref"])
        if "list" in compact:
            return ListOf(self._shape(compact["list"]))
        return MapOf(self._shape(compact["map"]))


SCHEMAS = Schemas()


def use_cache(cache_dir: Path) -> None:
    """Keep compiled schemas and OpenAPI documents under a directory. Call it once, before the first request."""
    SCHEMAS.cache_dir = cache_dir


def of_kind(api_version: str, kind: str) -> Struct | CustomKind | None:
    """Return the shape of a kind; None when there is no schema for it."""
    return SCHEMAS.of_kind(api_version, kind)

"""All resources that this API server serves now: the built-in ones, and those of established definitions.

It follows the definitions in the watch cache, synchronously: by the time a change of a definition can be read, what it
changes is served. No API server decides anything here that another could decide otherwise; what is served follows from
the stored definitions, of which `conditions` are the deciding part.

Neighbours: `resources` makes the rows; `controller` writes conditions; discovery and the handler look rows up.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from actors.apiserver.extensions import conditions
from actors.apiserver.extensions.definition import definition_resource
from actors.apiserver.extensions.resources import priority, resources_of, storage_prefix
from actors.apiserver.extensions.versions import ConvertMany, Version
from actors.apiserver.machinery.apply.kinds import KINDS
from actors.apiserver.machinery.resource import Registry, Resource
from actors.apiserver.machinery.schema import SCHEMAS
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.event import DELETED, CacheEvent
from actors.apiserver.storage.watch_cache import WatchCache

Object = dict[str, Any]
Converter = Callable[[Object], ConvertMany | None]  # of a definition


class Served(Registry):
    """The registry of one API server. `on_change` hears the name of each definition that changed or went."""

    def __init__(self, builtin: Registry, cache: WatchCache) -> None:
        super().__init__(builtin)
        self._builtin_groups = dict(builtin.groups())
        self._cache = cache
        self._definitions: dict[str, Object] = {}
        self._rows: dict[str, list[Resource]] = {}  # by the name of the definition
        self._identities: dict[str, bytes] = {}  # of what the rows were made of
        self.converter_of: Converter = lambda definition: None
        self.on_change: Callable[[str], None] = lambda name: None
        self._by_version: dict[tuple[str, str], list[Resource]] = {}
        self._indexed = -1
        self.generation = 0  # rises whenever a row comes or goes: discovery and OpenAPI are remade then
        cache.observe(definition_resource(), self._replaced, self._changed)

    def definitions(self) -> list[Object]:
        return list(self._definitions.values())

    def definition(self, name: str) -> Object | None:
        return self._definitions.get(name)

    def is_builtin(self, group: str) -> bool:
        return group in self._builtin_groups

    def groups(self) -> dict[str, list[str]]:
        """As a registry's; the versions of custom groups in the order that Kubernetes prefers."""
        found = super().groups()
        for group, versions in found.items():
            if group not in self._builtin_groups:
                versions.sort(key=priority)
        return found

    def of_group_version(self, group: str, version: str) -> list[Resource]:
        """As a registry's, without a look at hundreds of other rows for each of hundreds of versions."""
        if self._indexed != self.generation:
            self._by_version = {}
            for row in self:
                self._by_version.setdefault((row.group, row.version), []).append(row)
            self._indexed = self.generation
        return list(self._by_version.get((group, version), ()))

    def _replaced(self, entries: list[Entry]) -> None:
        """The watch cache is loaded, for the first time or anew."""
        names = set()
        for entry in entries:
            definition = entry.decode()
            names.add(definition["metadata"]["name"])
            self._take(definition)
        for name in [name for name in self._definitions if name not in names]:
            self._forget(name)

    def _changed(self, event: CacheEvent) -> None:
        definition = event.entry.decode()
        if event.kind == DELETED:
            self._forget(definition["metadata"]["name"])
        else:
            self._take(definition)

    def _take(self, definition: Object) -> None:
        name = definition["metadata"]["name"]
        self._definitions[name] = definition
        identity = _identity(definition) if conditions.is_established(definition) else b""
        if identity != self._identities.get(name, b""):
            self._remove_rows(name)
            if identity:
                self._add_rows(definition)
                self._identities[name] = identity
        self.on_change(name)

    def _forget(self, name: str) -> None:
        definition = self._definitions.pop(name, None)
        self._remove_rows(name)
        if definition is not None:
            self._cache.discard(storage_prefix(definition))
        self.on_change(name)

    def _add_rows(self, definition: Object) -> None:
        stored = self._cache.add(storage_prefix(definition))
        convert = self.converter_of(definition)
        rows = resources_of(definition, stored, convert)
        for row in rows:
            if self.lookup(row.group, row.version, row.plural) is None:  # never in a built-in one's place
                self.add(row)
                assert isinstance(row.custom, Version)
                SCHEMAS.add_kind(row.api_version, row.kind, row.custom.shape)
                KINDS.discard(row.api_version, row.kind)
        self._rows[definition["metadata"]["name"]] = rows
        self.generation += 1

    def _remove_rows(self, name: str) -> None:
        self._identities.pop(name, None)
        for row in self._rows.pop(name, ()):
            if self.lookup(row.group, row.version, row.plural) is row:
                self.remove(row)
                SCHEMAS.discard_kind(row.api_version, row.kind)
                KINDS.discard(row.api_version, row.kind)
            assert isinstance(row.custom, Version)
            row.custom.close()
            self.generation += 1


def _identity(definition: Object) -> bytes:
    """What the rows depend on: while it stays, so do they, and the watches on them."""
    accepted = definition["status"]["acceptedNames"]
    deleting = conditions.is_deleting(definition)
    parts = [definition["metadata"]["uid"], definition["spec"], accepted, deleting]
    return hashlib.sha256(orjson.dumps(parts)).digest()

"""A collection of which only kind and metadata are kept: enough for the garbage collector, and little memory.

Neighbours: `caches` wraps the API's sources in it.
"""

from collections.abc import AsyncIterator
from typing import Any

from runtime.informer import Source

Object = dict[str, Any]

# What a graph of owners needs. Annotations and managed fields are most of an object's metadata, and not needed.
_KEPT = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "ownerReferences",
    "finalizers",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


class MetadataSource:
    def __init__(self, source: Source):
        self._source = source

    async def list(self) -> tuple[dict[str, Object], str]:
        objects, version = await self._source.list()
        return {key: trimmed(found) for key, found in objects.items()}, version

    async def watch(self, version: str) -> AsyncIterator[tuple[str, Object | None, str]]:
        async for key, found, at in self._source.watch(version):
            yield key, trimmed(found) if found is not None else None, at


def trimmed(obj: Object) -> Object:
    """Return an object reduced to what owners and finalizers are decided upon."""
    metadata = obj["metadata"]
    return {
        "apiVersion": obj.get("apiVersion", ""),
        "kind": obj.get("kind", ""),
        "metadata": {name: metadata[name] for name in _KEPT if name in metadata},
    }

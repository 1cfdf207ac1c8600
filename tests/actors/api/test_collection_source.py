"""What an informer gets of a collection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson

from actors.api.client import CollectionSource

ENTRY = {"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}


def pod(name: str, version: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "resourceVersion": version, "managedFields": [ENTRY]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}


class Played:
    """An API client that says what it was told to."""

    async def list(self, resource: str, namespace: str | None, **options: Any) -> dict[str, Any]:
        items = [pod("a", "3"), pod("b", "4")]
        for item in items:
            del item["kind"], item["apiVersion"]
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "5"}, "items": items}

    async def stream(self, path: str, query: str, *, unhurried: bool) -> AsyncIterator[bytes]:
        for kind, obj in (("ADDED", pod("c", "6")), ("BOOKMARK", pod("", "7")), ("DELETED", pod("c", "8"))):
            yield orjson.dumps({"type": kind, "object": obj}) + b"\n"


def test_objects_come_whole_but_for_their_managed_fields():
    async def main() -> None:
        source = CollectionSource(Played(), "pods", None, "", "")
        objects, version = await source.list()
        assert version == "5" and objects.keys() == {"default/a", "default/b"}
        metadata = {"name": "a", "namespace": "default", "resourceVersion": "3"}
        assert objects["default/a"] == {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}
        events = [event async for event in source.watch("5")]
        metadata = {"name": "c", "namespace": "default", "resourceVersion": "6"}
        assert events == [
            ("default/c", {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}, "6"),
            ("", None, "7"),
            ("default/c", None, "8"),
        ]

    asyncio.run(main())

"""Stored objects in the form that a client asked for: as they are, as a Table, as metadata only, or in another version.

Plain JSON of the stored version is the usual case, and costs nothing: the stored bytes are the answer. Every other form
decodes. `one` and `many` are for answers; `of_events` gives a watch channel its function.

Neighbours: `negotiation` reads the Accept header; `verbs` use these; `machinery.table` fills the cells.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from actors.api import errors
from actors.apiserver.call import Answer, LongAnswer
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.table import to_table
from actors.apiserver.negotiation import METADATA, METADATA_LIST, OBJECT, TABLE, Wanted
from runtime.clock import Clock

LONG_BYTES = 1 << 20  # of objects: a longer list is written in pieces
PIECE_BYTES = 256 << 10  # about: it is encrypted while the reader takes the one before
_LIST_END = b"]}"
INCLUDE_OBJECT = ("None", "Metadata", "Object")


class Representation:
    """How one resource's objects are shown to one request. `name` is the same for equal representations."""

    __slots__ = ("_clock", "_include", "_resource", "_wanted", "content_type", "is_plain", "name")

    def __init__(self, resource: Resource, wanted: Wanted, query: Mapping[str, str], clock: Clock) -> None:
        self._resource = resource
        self._wanted = wanted
        self._clock = clock
        self._include = query.get("includeObject") or "Metadata"
        if wanted.form == TABLE and self._include not in INCLUDE_OBJECT:
            raise errors.bad_request(f"includeObject must be one of {', '.join(INCLUDE_OBJECT)}")
        self.is_plain = wanted.form == OBJECT and resource.conversion is None
        self.content_type = wanted.content_type
        own = "" if self.is_plain else f"{resource.api_version}/{self._include}/{wanted.version}"
        self.name = wanted.form + own

    def one(self, body: bytes) -> bytes:
        """An object's bytes in the wanted form."""
        if self.is_plain:
            return body
        return orjson.dumps(self._shown(self._converted(body)))

    def many(self, bodies: Sequence[bytes], metadata: dict[str, Any]) -> bytes:
        """A List of the wanted form. `metadata` is ListMeta."""
        resource = self._resource
        if self.is_plain:
            return _join(resource.list_kind or resource.kind + "List", resource.api_version, metadata, bodies)
        objs = [self._converted(body) for body in bodies]
        if self._wanted.form == TABLE:
            table = to_table(resource, objs, self._clock.wall(), self._include, metadata)
            return orjson.dumps(table | {"apiVersion": f"meta.k8s.io/{self._wanted.version}"})
        if self._wanted.form == OBJECT:
            kind, version, items = resource.list_kind or resource.kind + "List", resource.api_version, objs
        else:
            kind, version = METADATA_LIST, f"meta.k8s.io/{self._wanted.version}"
            items = [self._metadata_of(obj) for obj in objs]
        return orjson.dumps({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items})

    def listed(self, bodies: list[bytes], metadata: dict[str, Any]) -> Answer:
        """The answer to a list."""
        if self.is_plain and len(bodies) > 1:
            size_bytes = sum(map(len, bodies))
            if size_bytes > LONG_BYTES:
                resource = self._resource
                head = _head(resource.list_kind or resource.kind + "List", resource.api_version, metadata)
                a_piece = max(1, len(bodies) * PIECE_BYTES // size_bytes)
                size_bytes += len(head) + len(bodies) - 1 + len(_LIST_END)
                return LongAnswer(partial(_pieces, head, bodies, a_piece), size_bytes, self.content_type)
        return Answer(200, self.many(bodies, metadata), self.content_type)

    @property
    def of_events(self) -> Callable[[bytes], bytes] | None:
        """What a watch channel applies to each object; None to hand on stored bytes."""
        return None if self.is_plain else self.one

    def _converted(self, body: bytes) -> dict[str, Any]:
        obj = orjson.loads(body)
        conversion = self._resource.conversion
        return obj if conversion is None else conversion.from_stored(obj)

    def _shown(self, obj: dict[str, Any]) -> dict[str, Any]:
        if self._wanted.form == TABLE:
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            table = to_table(self._resource, [obj], self._clock.wall(), self._include, metadata)
            return table | {"apiVersion": f"meta.k8s.io/{self._wanted.version}"}
        if self._wanted.form in (METADATA, METADATA_LIST):
            return self._metadata_of(obj)
        return obj

    def _metadata_of(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": METADATA,
            "apiVersion": f"meta.k8s.io/{self._wanted.version}",
            "metadata": obj["metadata"],
        }


def _join(kind: str, api_version: str, metadata: dict[str, Any], bodies: Sequence[bytes]) -> bytes:
    """Put a List around objects' bytes, copying each once."""
    head = _head(kind, api_version, metadata)
    if not bodies:
        return head + _LIST_END
    parts = list(bodies)
    parts[0] = head + parts[0]
    parts[-1] += _LIST_END
    return b",".join(parts)


def _head(kind: str, api_version: str, metadata: dict[str, Any]) -> bytes:
    return b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
        kind.encode(),
        api_version.encode(),
        orjson.dumps(metadata),
    )


def _pieces(head: bytes, bodies: list[bytes], a_piece: int) -> Iterator[bytes]:
    """The same List, so many objects at a time."""
    before = head
    for first in range(0, len(bodies), a_piece):
        yield before + b",".join(bodies[first : first + a_piece])
        before = b","
    yield _LIST_END

"""A stored object as the API server holds it: the bytes that readers get, and what selectors need of them.

The bytes are JSON with the resource version filled in, so that a get, a list and a watch hand them on as they are. What
a selector looks at (labels, selectable fields) is taken out once, when the first selector asks.

Neighbours: `resource_cache` keeps entries; `machinery` makes and stamps the stored bytes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import orjson

_VERSION_MARK = b'"resourceVersion":"'
EMPTY_STAMP_PREFIX = 400  # bytes; kind, apiVersion and the mark stand at the very start of a stored object

Fields = Mapping[str, Callable[[dict], str]]


def stamp_bytes(body: bytes, revision: int) -> bytes:
    """Return the object's bytes with another resource version in place of the one, or the blank, that is there."""
    start = body.index(_VERSION_MARK, 0, EMPTY_STAMP_PREFIX) + len(_VERSION_MARK)
    if body[start] == 0x22:  # a quote at once: blank
        return b"%b%d%b" % (body[:start], revision, body[start:])
    return b"%b%d%b" % (body[:start], revision, body[body.index(b'"', start) :])


class Entry(msgspec.Struct, gc=False, eq=False):
    """An object at a revision. Never changed after it was made; `traits` is a memo.

    A struct that the garbage collector does not track: there are as many as objects, and they are in no cycle.
    """

    key: bytes
    body: bytes
    revision: int
    _traits: tuple[dict[str, str], dict[str, str]] | None = None

    @classmethod
    def of_stored(cls, key: bytes, value: bytes, revision: int) -> "Entry":
        return cls(key, stamp_bytes(value, revision), revision)

    def decode(self) -> dict[str, Any]:
        """Return the object, freshly decoded: the caller may change it."""
        return orjson.loads(self.body)

    def at(self, revision: int) -> "Entry":
        """The same object with a later revision, as the event of its deletion shows it."""
        later = Entry(self.key, stamp_bytes(self.body, revision), revision)
        later._traits = self._traits
        return later

    def traits(self, fields: Fields) -> tuple[dict[str, str], dict[str, str]]:
        """Return (labels, selectable fields); computed when first asked for."""
        if self._traits is None:
            obj = orjson.loads(self.body)
            labels = obj["metadata"].get("labels") or {}
            self._traits = (labels, {name: of(obj) for name, of in fields.items()})
        return self._traits

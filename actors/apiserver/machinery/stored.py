"""The bytes that the state actor keeps: an object's JSON in an order that makes it stampable.

A stored value begins `{"kind":"K","apiVersion":"V","metadata":{"resourceVersion":"",`: the revision of an object is not
known before it is written, so it is stored empty and spliced in when the object enters the watch cache. As the first
`"resourceVersion":""` is always the object's own, one replace does it, however large the object is.

Neighbours: serving stores what `encode_stored` gives, and stamps what it reads.
"""

from typing import Any

import orjson

EMPTY = b'"resourceVersion":""'
_EMPTY_METADATA = {"resourceVersion": ""}  # first, so that the placeholder is in front


def encode_stored(obj: dict[str, Any]) -> bytes:
    """Return the stored bytes of an object; it is not changed. Its own resourceVersion is left out."""
    metadata = _EMPTY_METADATA | obj["metadata"]
    metadata["resourceVersion"] = ""
    head = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": metadata}
    return orjson.dumps(head | obj | {"metadata": metadata})


def stamp(stored: bytes, revision: int) -> bytes:
    """Return stored bytes with the revision in their first empty resourceVersion."""
    return stored.replace(EMPTY, b'"resourceVersion":"%d"' % revision, 1)


def encode(obj: dict[str, Any]) -> bytes:
    """Return the JSON of an object that is answered and not stored."""
    return orjson.dumps(obj)

"""What is known of a value before there is one: its type for the checker, its size for the estimator.

A schema becomes a tree of `Declared`; what a schema leaves open is `ANYTHING`. Sizes are upper bounds: characters,
members, entries. Where a schema sets none, the size of the largest request that the API server accepts does. What has
no size in that sense, a number or an object, has size 0, as in Kubernetes, whose estimates these are.

Neighbours: `typecheck` and `cost` read them; `extensions.schema` makes them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_REQUEST_BYTES = 3 * 1024 * 1024

OBJECT, MAP, LIST = "object", "map", "list"
STRING, BYTES, INT, DOUBLE, BOOL = "string", "bytes", "int", "double", "bool"
TIMESTAMP, DURATION, DYN = "timestamp", "duration", "dyn"
OPAQUE, OPTIONAL = "opaque", "optional"  # a message of `opaque`'s, a value that may be missing: the checker's only

SCALARS = frozenset({STRING, BYTES, INT, DOUBLE, BOOL, TIMESTAMP, DURATION})

_KEYWORDS = frozenset(
    {
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}


@dataclass(frozen=True, slots=True)
class Declared:
    """`fields` of an object by their escaped names; `element` of a list, or of a map's values.

    `name` tells opaque types apart. `smallest_bytes` is the least that a value takes in JSON: it bounds how many of
    them a list in a request can hold.
    """

    kind: str
    max_size: int = 0
    smallest_bytes: int = 1
    fields: Mapping[str, "Declared"] = field(default_factory=dict)
    element: "Declared | None" = None
    name: str = ""


ANYTHING = Declared(DYN, MAX_REQUEST_BYTES - 2)
ANY_STRING = Declared(STRING, MAX_REQUEST_BYTES - 2, 2)
KEY = Declared(STRING, 0, 2)  # of a map


def list_of(element: Declared, max_items: int | None = None) -> Declared:
    most = (MAX_REQUEST_BYTES - 2) // (element.smallest_bytes + 1) if max_items is None else max(max_items, 0)
    return Declared(LIST, most, 2, element=element)


def map_of(element: Declared, max_properties: int | None = None) -> Declared:
    # Every entry has a key of at least one character in quotes, a colon and a comma.
    most = (MAX_REQUEST_BYTES - 2) // (element.smallest_bytes + 6) if max_properties is None else max(max_properties, 0)
    return Declared(MAP, most, 2, element=element)


def escape(name: str) -> str:
    """Return the identifier by which an expression names a property; "" for a property that it cannot name."""
    if name in _KEYWORDS:
        return f"__{name}__"
    if not name or name[0].isdigit() or not all(c.isascii() and (c.isalnum() or c in "_.-/") for c in name):
        return ""
    parts = [_ESCAPES.get(part, part) for part in re.split(r"(__|[./-])", name)]
    return "".join(parts)

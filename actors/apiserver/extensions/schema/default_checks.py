"""Whether the default values of a schema are good: they are what the schema itself would accept, whole and pruned.

Neighbours: `version_checks` asks; `node` validates.
"""

import orjson

from actors.api.errors import Cause
from actors.apiserver.extensions.schema.node import Node
from actors.apiserver.machinery import field


def causes_of(node: Node, path: str) -> list[Cause]:
    """Return what is wrong with the defaults of a schema and of all below it."""
    causes: list[Cause] = []
    if node.root and node.default_bytes:
        causes.append(field.forbidden(f"{path}.default", "must be unset at the root"))
    _visit(node, path, causes)
    return causes


def _visit(node: Node, path: str, causes: list[Cause]) -> None:
    if node.default_bytes and not node.root:
        _check(node, path, causes)
    for name, inner in node.properties.items():
        if node.root and name == "metadata":
            continue
        _visit(inner, f"{path}.properties[{name}]", causes)
    if isinstance(node.additional, Node):
        _visit(node.additional, f"{path}.additionalProperties", causes)
    if node.items is not None:
        _visit(node.items, f"{path}.items", causes)


def _check(node: Node, path: str, causes: list[Cause]) -> None:
    where, value = f"{path}.default", orjson.loads(node.default_bytes)
    if value is None and not node.nullable:
        causes.append(field.invalid(where, None, "must not be null"))
        return
    unknown: list[str] = []
    node.prune(value, "", unknown)
    if unknown:
        detail = "must not have unknown fields"
        causes.append(field.invalid(where, orjson.loads(node.default_bytes), detail))
        return
    node.default(value)
    found: list[Cause] = []
    node.validate(value, where, found)
    causes += found

"""Sets of fields, kept as what FieldsV1 is in JSON: a tree of path elements.

    {"f:spec": {"f:replicas": {}, "f:template": {".": {}, "f:metadata": {...}}}}

A node `{}` is a member of the set and has no members below it; a node with `"."` is a member and has some; a node with
parts and no `"."` only leads to members. So a set needs no decoding, and an unchanged one no encoding. The empty set is
`{}` at the root (the root itself is never a member). Inside, None stands for a node of which nothing is left.

No function changes its arguments, and each returns its first argument itself when that is the result: `is` tells
whether anything has changed.

Neighbours: `path_elements` writes and reads the elements; `types` and `values` make sets out of objects.
"""

from collections.abc import Iterator
from typing import Any

from actors.apiserver.machinery.apply import path_elements

Fields = dict[str, Any]

SELF = "."
MEMBER: Fields = {}  # a node that is a member, shared by all sets
EMPTY: Fields = {}  # the set without members


class BadFields(ValueError):
    """What a client sent is no FieldsV1."""


def is_member(node: Fields) -> bool:
    return not node or SELF in node


def union(a: Fields, b: Fields) -> Fields:
    """Return all members of both sets."""
    if not b or a is b:
        return a
    return _union(a, b) if a else b


def _union(a: Fields, b: Fields) -> Fields:
    merged: Fields | None = None
    for element, theirs in b.items():
        mine = a.get(element)
        joined = theirs if mine is None else _union_node(mine, theirs)
        if joined is not mine:
            if merged is None:
                merged = dict(a)
            merged[element] = joined
    return a if merged is None else merged


def _union_node(a: Fields, b: Fields) -> Fields:
    if not b:
        return a if is_member(a) else {SELF: MEMBER, **a}
    if not a:
        return b if SELF in b else {SELF: MEMBER, **b}
    return _union(a, b)


def difference(a: Fields, b: Fields) -> Fields:
    """Return the members of `a` that are not in `b`. Members below a member of `b` stay."""
    if not a or not b:
        return a
    return _kept(a, b) or EMPTY


def _difference_node(a: Fields, b: Fields) -> Fields | None:
    if not a:
        return None if is_member(b) else a
    if not b:
        rest = {element: node for element, node in a.items() if element != SELF} if SELF in a else a
        return rest or None
    return _normal(_kept(a, b))


def _kept(a: Fields, b: Fields) -> Fields:
    """`_difference_node` for each part of a node, put together; `a` itself when all stay as they are."""
    kept: Fields | None = None
    for element in a.keys() & b.keys():
        mine = a[element]
        rest = _difference_node(mine, b[element])
        if rest is not mine:
            if kept is None:
                kept = dict(a)
            if rest is None:
                del kept[element]
            else:
                kept[element] = rest
    return a if kept is None else kept


def _normal(node: Fields) -> Fields | None:
    """Return a node of parts in its one form: None without members, `{}` for a member without parts."""
    if not node:
        return None
    return MEMBER if len(node) == 1 and SELF in node else node


def intersection(a: Fields, b: Fields) -> Fields:
    """Return the members of both sets."""
    found: Fields = {}
    for element in a.keys() & b.keys():
        node = _intersection_node(a[element], b[element])
        if node is not None:
            found[element] = node
    return found


def _intersection_node(a: Fields, b: Fields) -> Fields | None:
    both = is_member(a) and is_member(b)
    if not a or not b:
        return MEMBER if both else None
    found = intersection({k: v for k, v in a.items() if k != SELF}, b)
    if both:
        return {SELF: MEMBER, **found} if found else MEMBER
    return found or None


def paths(fields: Fields, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each member, as its elements."""
    for element in sorted(fields):
        node = fields[element]
        if element == SELF:
            yield prefix
            continue
        path = (*prefix, element)
        if not node:
            yield path
        else:
            yield from paths(node, path)


def path_text(path: tuple[str, ...]) -> str:
    """Return a path as messages write it: `.spec.containers[name="web"].image`."""
    return "".join(path_elements.text(element) for element in path)


def decoded(value: Any) -> Fields:
    """Return a set that a client sent, in the one form of its elements. Raises BadFields."""
    return _decoded(value) if value else EMPTY


def _decoded(value: Any) -> Fields:
    if type(value) is not dict:
        raise BadFields("fieldsV1 must be an object of objects")
    found: Fields = {}
    for element, node in value.items():
        if element == SELF:
            found[SELF] = MEMBER
            continue
        try:
            found[path_elements.canonical(element)] = _decoded(node)
        except path_elements.BadElement as error:
            raise BadFields(str(error)) from error
    return MEMBER if len(found) == 1 and SELF in found else found

"""What an apply does to values: merge a configuration into an object, remove fields from it, name the fields set.

Merging keeps what the configuration does not mention. Lists of items keep the object's order for the items that only it
has, and take the configuration's order for those that the configuration has.

Neighbours: `types` says how each part is to be treated; `server_side` puts these steps together.
"""

from collections.abc import Iterator
from typing import Any

from actors.apiserver.machinery.apply import path_elements
from actors.apiserver.machinery.apply.field_set import MEMBER, SELF, Fields, is_member
from actors.apiserver.machinery.apply.types import Granular, Items, Type


class BadConfiguration(ValueError):
    """An applied configuration whose lists cannot be merged; the message names the field."""


def check(of: Type, value: Any, path: str = "") -> None:
    """Raise BadConfiguration when a list of items has one twice, or one without its keys."""
    if isinstance(of, Granular) and type(value) is dict:
        for name, part in value.items():
            inner = of.fields.get(name, of.other)
            if inner is not None:
                check(inner, part, f"{path}.{name}")
    elif isinstance(of, Items) and type(value) is list:
        _check_items(of, value, path)


def _check_items(of: Items, items: list, path: str) -> None:
    seen: set[str] = set()
    for i, (element, item) in enumerate(of.elements(items)):
        if element == path_elements.NO_KEY:
            names = ", ".join(f'"{key}"' for key in of.keys)
            raise BadConfiguration(
                f"{path}: element {i}: associative list with keys has an element that omits all key fields [{names}] "
                "(and doesn't have default values for any key fields)"
            )
        shown = path_elements.text(element)
        if element in seen:
            raise BadConfiguration(f"{path}: duplicate entries for key {shown}")
        seen.add(element)
        check(of.item, item, path + shown)


def fields_of(of: Granular, value: dict[str, Any]) -> Fields:
    """Return the set of fields that a value has: leaves, items, and what is empty."""
    return _fields_of_object(of, value)


def _fields_of_object(of: Granular, value: dict[str, Any]) -> Fields:
    found: Fields = {}
    for name, part in value.items():
        if name in of.untracked:
            continue
        element, inner = of.at(name)
        if inner is None or part is None or part == {}:
            found[element] = MEMBER
            continue
        node = _parts(inner, part)
        if node is not None and name not in of.fields:
            node = {SELF: MEMBER, **node} if node else MEMBER
        if node is None:
            found[element] = MEMBER
        elif node:
            found[element] = node
    return found


def _parts(of: Granular | Items, value: Any) -> Fields | None:
    """Return the fields below a node; None when the value is a leaf, whatever its type says."""
    if isinstance(of, Granular):
        return _fields_of_object(of, value) if type(value) is dict else None
    if type(value) is not list:
        return None
    found: Fields = {}
    for element, items in of.grouped(value).items():
        inner = _parts(of.item, items[0]) if of.item is not None and len(items) == 1 else None
        found[element] = {SELF: MEMBER, **inner} if inner else MEMBER
    return found


def merge(of: Type, live: Any, config: Any) -> Any:
    """Return the live value with the configuration's in it. Neither is changed; the result shares parts with both."""
    if isinstance(of, Granular) and type(live) is dict and type(config) is dict:
        merged = dict(live)
        for name, part in config.items():
            merged[name] = merge(of.fields.get(name, of.other), live[name], part) if name in live else part
        return merged
    if isinstance(of, Items) and type(live) is list and type(config) is list:
        return list(_merge_items(of, live, config))
    return config


def _merge_items(of: Items, live: list, config: list) -> Iterator[Any]:
    """Yield the merged items in their order.

    The configuration's items stay in its order. An item that only the object has keeps its place before the next item
    that both have, unless that one has come up already. Of an item that the object has more than once, the
    configuration's is taken as it is.
    """
    before = of.grouped(live)
    wanted = [of.element(item) for item in config]
    waiting = [element for element in wanted if element in before]  # items of both, in the configuration's order
    configured, at, shared = set(wanted), 0, 0

    def of_config(i: int) -> Any:
        found = before.get(wanted[i], ())
        return merge(of.item, found[0], config[i]) if len(found) == 1 else config[i]

    for element, item in of.elements(live):
        if element not in configured:
            yield item
        elif shared < len(waiting) and element == waiting[shared]:
            upto = wanted.index(element, at) + 1
            for i in range(at, upto):
                yield of_config(i)
            at, shared = upto, shared + 1
    for i in range(at, len(config)):
        yield of_config(i)


def remove(of: Type, value: Any, fields: Fields) -> Any:
    """Return the value without the fields of a set. Of what is emptied by it nothing is left: None."""
    if not fields:
        return value
    if isinstance(of, Granular) and type(value) is dict:
        kept = {}
        for name, part in value.items():
            element, inner = of.at(name)
            left = _left(inner, part, fields.get(element))
            if left is not None:
                kept[name] = left
        return kept or None
    if isinstance(of, Items) and type(value) is list:
        lefts = (_left(of.item, item, fields.get(element)) for element, item in of.elements(value))
        return [left for left in lefts if left is not None] or None
    return value


def _left(of: Type, value: Any, node: Fields | None) -> Any:
    if node is None:
        return value
    return None if is_member(node) else remove(of, value, node)


def with_structs(of: Type, fields: Fields) -> Fields:
    """Return a set with every named field that leads to a member a member itself."""
    found: Fields = {}
    for element, node in fields.items():
        if not node:
            found[element] = node
            continue
        inner, is_named = _inner(of, element)
        node = with_structs(inner, node)
        found[element] = {SELF: MEMBER, **node} if is_named and SELF not in node else node
    return found


def _inner(of: Type, element: str) -> tuple[Type, bool]:
    """Return the type below an element, and whether that is a field which the type names."""
    if isinstance(of, Granular):
        name = element[2:]
        return of.fields.get(name, of.other), name in of.fields
    return (of.item if isinstance(of, Items) else None), False

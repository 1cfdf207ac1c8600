"""One step of a path into an object, as FieldsV1 writes it.

`f:NAME` a field, `k:{...}` the item of a list by its keys, `v:VALUE` the item of a set, `i:INDEX` an item by its place.
Keys and values are compact JSON with sorted keys, so that equal steps are equal strings.

Neighbours: `field_set` keeps elements in trees; `types` makes them out of items.
"""

from typing import Any

import orjson

FIELD, KEY, VALUE, INDEX = "f:", "k:", "v:", "i:"
NO_KEY = "k:{}"  # of an item that lacks every key of its list, which no applied configuration may hold


class BadElement(ValueError):
    """No path element."""


def of_key(item: Any, keys: tuple[str, ...], defaults: dict[str, Any]) -> str:
    """Return the element of a list's item. `keys` are sorted; a missing one has its default or is left out."""
    if type(item) is not dict:
        return NO_KEY
    if len(keys) == 1:
        value = item.get(keys[0])
        if type(value) is str and '"' not in value and "\\" not in value and value.isprintable():
            return f'k:{{"{keys[0]}":"{value}"}}'
    found = {}
    for key in keys:
        value = item.get(key)
        if value is None:
            value = defaults.get(key)
        if value is not None:
            found[key] = value
    return KEY + orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()


def of_value(item: Any) -> str:
    return VALUE + orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode()


def canonical(element: str) -> str:
    """Return an element in its one form. Raises BadElement."""
    kind, rest = element[:2], element[2:]
    if kind == FIELD:
        return element
    if kind not in (KEY, VALUE, INDEX):
        raise BadElement(f"missing or unknown path element type in {element!r}")
    try:
        value = orjson.loads(rest)
    except orjson.JSONDecodeError as error:
        raise BadElement(f"path element {element!r} is not JSON: {error}") from error
    if kind == KEY and type(value) is not dict:
        raise BadElement(f"the key of path element {element!r} is not an object")
    if kind == INDEX and type(value) is not int:
        raise BadElement(f"the index of path element {element!r} is not an integer")
    return kind + orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def text(element: str) -> str:
    """Return an element as messages write it."""
    kind, rest = element[:2], element[2:]
    if kind == FIELD:
        return "." + rest
    if kind == KEY:
        return f"[{','.join(f'{key}={orjson.dumps(value).decode()}' for key, value in orjson.loads(rest).items())}]"
    return f"[={rest}]" if kind == VALUE else f"[{rest}]"

"""Strategic merge patch: a merge that knows from the schema which lists are merged, and by which key.

What the directives mean, and the order of merged lists, follow Kubernetes' design document of strategic merge patch:
`$patch` (replace, delete, merge), `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`. A null
deletes; a list whose field has no merge strategy is replaced.

Pure: `merge` changes the object that it is given (its caller copies). Lists are merged in linear time, since a client
chooses how long they are. Raises `BadPatch`. Neighbour: `patch`.
"""

from collections.abc import Hashable
from typing import Any

import orjson

from actors.apiserver.machinery.schema.shapes import Field, ListOf, MapOf, Shape, Struct

PATCH = "$patch"
RETAIN_KEYS = "$retainKeys"
DELETE_FROM = "$deleteFromPrimitiveList/"
SET_ORDER = "$setElementOrder/"


class BadPatch(ValueError):
    """The patch is not a strategic merge patch for this kind."""


def merge(original: dict[str, Any], patch: dict[str, Any], shape: Shape | None) -> dict[str, Any]:
    """Return `original` with the patch merged into it. `shape` is that of the object; None where there is none."""
    patch = dict(patch)
    directive = patch.pop(PATCH, None)
    if directive == "replace":
        return without_directives(patch)
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadPatch(f"Unknown directive: {directive!r} of $patch")
    _retain_keys(original, patch)
    _merge_ordered_lists(original, patch, shape)
    for key, value in patch.items():
        if key.startswith(DELETE_FROM):
            _delete_primitives(original, key.removeprefix(DELETE_FROM), value)
        elif value is None:
            original.pop(key, None)
        elif type(value) is not type(original.get(key)):
            original[key] = without_directives(value)
        elif type(value) is dict:
            original[key] = merge_field(original[key], value, _field(shape, key))
        elif type(value) is list:
            original[key] = merge_list(original[key], value, _field(shape, key))
        else:
            original[key] = value
    return original


def _field(shape: Shape | None, key: str) -> Field | None:
    """Return the field of a shape; for a map its values' shape, which has no merge strategy of its own."""
    if isinstance(shape, Struct):
        return shape.resolved().fields.get(key)
    if isinstance(shape, MapOf):
        return Field(shape.value, {})
    return None


def merge_field(original: dict[str, Any], patch: dict[str, Any], field: Field | None) -> dict[str, Any]:
    if field is not None and "replace" in field.strategies:
        return without_directives(patch)
    return merge(original, patch, None if field is None else field.shape)


def _retain_keys(original: dict[str, Any], patch: dict[str, Any]) -> None:
    """Keep only the keys that the patch's `$retainKeys` lists."""
    if RETAIN_KEYS not in patch:
        return
    retained = patch.pop(RETAIN_KEYS)
    if type(retained) is not list or not all(type(key) is str for key in retained):
        raise BadPatch("$retainKeys must be a list of keys")
    retained = set(retained)
    if missing := [k for k in patch if k not in retained and not k.startswith("$") and patch[k] is not None]:
        raise BadPatch(f"patch holds keys that its $retainKeys list lacks: {', '.join(missing)}")
    for key in [key for key in original if key not in retained]:
        del original[key]


def merge_list(original: list, patch: list, field: Field | None) -> list:
    """Return the list that a field has after the patch."""
    if field is None or "merge" not in field.strategies:
        return without_directives(patch)
    if not any(type(item) is dict for item in (*original, *patch)):
        if any(type(item) is list for item in patch):
            raise BadPatch("a merged list of plain values holds a list")
        merged = list(dict.fromkeys([*original, *patch]))
        return _in_order(merged, patch, original, "")
    item_shape = field.shape.item if isinstance(field.shape, ListOf) else None
    return _merge_maps(original, patch, field.merge_key, item_shape)


def _merge_maps(original: list[dict], patch: list[dict], key: str, shape: Shape | None) -> list[dict]:
    if not key:
        raise BadPatch("cannot merge lists of objects without a merge key")
    kept, changes = _apply_list_directives(original, patch, key)
    merged = list(kept)
    places: dict[Hashable, int] = {}
    for i, item in enumerate(merged):
        places.setdefault(_identity(item, key), i)
    for change in changes:
        at = places.setdefault(_token(_key_of(change, key)), len(merged))
        if at == len(merged):
            merged.append(without_directives(change))
        else:
            merged[at] = merge(merged[at], change, shape)
    return _in_order(merged, changes, original, key)


def _apply_list_directives(original: list[dict], patch: list[dict], key: str) -> tuple[list[dict], list[dict]]:
    """Return (items that stay, items to merge) after `$patch: delete` and `$patch: replace` items took effect."""
    deleted: set[Hashable] = set()
    changes, replace = [], False
    for item in patch:
        if type(item) is not dict:
            raise BadPatch(f"a list merged by {key!r} holds an item that is no object")
        directive = item.get(PATCH)
        if directive == "delete":
            deleted.add(_token(_key_of(item, key)))
        elif directive == "replace":
            replace = True
            if rest := {name: value for name, value in item.items() if name != PATCH}:
                changes.append(rest)
        elif directive is None:
            changes.append(item)
        else:
            raise BadPatch(f"{directive!r} is not a directive for an item of a list")
    if replace:
        return [], changes
    return [item for item in original if _identity(item, key) not in deleted], changes


def _key_of(item: Any, key: str) -> Any:
    if type(item) is not dict or key not in item:
        raise BadPatch(f"map: {item} does not contain declared merge key: {key}")
    return item[key]


def _delete_primitives(original: dict[str, Any], key: str, values: Any) -> None:
    if type(values) is not list:
        raise BadPatch(f"{DELETE_FROM}{key} must be a list")
    if type(original.get(key)) is list:
        deleted = {_token(value) for value in values}
        original[key] = [item for item in original[key] if _token(item) not in deleted]


def _merge_ordered_lists(original: dict[str, Any], patch: dict[str, Any], shape: Shape | None) -> None:
    """Merge each list for which the patch holds a `$setElementOrder`, put it in that order, and take both out of it."""
    for directive in [key for key in patch if key.startswith(SET_ORDER)]:
        order, key = patch.pop(directive), directive.removeprefix(SET_ORDER)
        before, change = original.get(key), patch.pop(key, None)
        if type(order) is not list or not isinstance(change, list | None):
            raise BadPatch(f"{directive} and {key} must be lists")
        if type(before) is not list:
            if change is not None:
                original[key] = without_directives(change)
            continue
        field = _field(shape, key)
        merge_key = field.merge_key if field is not None else ""
        _check_order(order, change or [], merge_key, directive)
        merged = before if change is None else merge_list(before, change, field)
        original[key] = _in_order(merged, order, before, merge_key)


def _check_order(order: list, change: list, merge_key: str, directive: str) -> None:
    """Every item of the patch's list must be in the order that the same patch gives."""
    listed = {_identity(item, merge_key) for item in order}
    for item in change:
        deletes = type(item) is dict and item.get(PATCH) is not None
        if not deletes and _identity(item, merge_key) not in listed:
            raise BadPatch(f"The order in patch list doesn't match {directive} list: {item} is missing")


def _token(value: Any) -> Hashable:
    """Return what stands for a value in sets: itself where it can, else its JSON."""
    return value if type(value) in (str, int) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _identity(item: Any, key: str) -> Hashable:
    """Return what an item of a list is recognized by: its merge key's value, or itself."""
    return _token(item.get(key) if key and type(item) is dict else item)


def _places(order: list, key: str) -> dict[Hashable, int]:
    found: dict[Hashable, int] = {}
    for i, item in enumerate(order):
        found.setdefault(_identity(item, key), i)
    return found


def _in_order(merged: list, patch_order: list, server_order: list, key: str) -> list:
    """Return merged items in the patch's order, with items that only the server had at their old places among them.

    Both relative orders are kept; where they leave a choice, items stand as they stood on the server.
    """
    wanted, place = _places(patch_order, key), _places(server_order, key)
    items = [(_identity(item, key), item) for item in merged]
    mine = sorted(((i, item) for i, item in items if i in wanted), key=lambda pair: wanted[pair[0]])
    theirs = [(i, item) for i, item in items if i not in wanted]
    theirs.sort(key=lambda pair: place.get(pair[0], len(place)))
    ordered: list = []
    at = 0
    for identity, item in mine:
        here = place.get(identity, -1)
        while at < len(theirs) and place.get(theirs[at][0], len(place)) < here:
            ordered.append(theirs[at][1])
            at += 1
        ordered.append(item)
    return ordered + [item for _, item in theirs[at:]]


def without_directives(value: Any) -> Any:
    """Return a patch's value as it stands where there was nothing to merge with: no directives, no nulls."""
    if type(value) is dict:
        return {
            key: without_directives(part)
            for key, part in value.items()
            if part is not None and key not in (PATCH, RETAIN_KEYS) and not key.startswith((DELETE_FROM, SET_ORDER))
        }
    if type(value) is list:
        kept = [item for item in value if not (type(item) is dict and item.get(PATCH) == "delete")]
        return [without_directives(item) for item in kept]
    return value

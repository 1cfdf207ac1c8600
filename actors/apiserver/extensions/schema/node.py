"""A structural schema, compiled: validates, prunes and defaults the values of custom objects.

`fits(value)` is the quick half, a closure for each node: true when the value is valid, and there is nothing to prune
and no default to fill in. Most writes pass it and are done. The careful half says all that is wrong, or mends it:
`prune` drops what the schema does not know, `default` fills in and removes nulls, `validate` collects causes.

An update tolerates what was wrong before (KEP-4008): a part that has not changed is not validated again. Parts are
matched by property, by map key, and by the keys of a list of type map; items of other lists have no past.

Neighbours: `checks` has the keywords; `structural` has made sure that the schema can be compiled; `rules` walks the
same nodes with CEL; `shape` gives them to decoding.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from actors.api.errors import Cause
from actors.apiserver.extensions.schema import structural
from actors.apiserver.extensions.schema.checks import checks_of, wrong_type
from actors.apiserver.extensions.schema.embedded import prune_metadata, validate_embedded
from actors.apiserver.machinery import field

MAX_CAUSES = 200  # of one object; an object with more is wrong enough
UNSET: Any = object()  # no old value

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
_TYPE_META = ("apiVersion", "kind")


def same(value: Any, old: Any) -> bool:
    """True when two values are equal as JSON: 1 is not true here."""
    if type(value) is not type(old) or value != old:
        return False
    if type(value) not in (dict, list):
        return True
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == orjson.dumps(old, option=orjson.OPT_SORT_KEYS)


class Node:
    """One schema. `inside` a junctor it only restricts: nothing is pruned or defaulted by it."""

    __slots__ = (
        "additional", "checks", "default_bytes", "defaulted", "embedded", "fits", "items", "junctions", "list_keys",
        "list_type", "map_type", "nullable", "preserve", "properties", "required", "root", "schema", "types",
        "wanted",
    )  # fmt: skip

    def __init__(self, source: Mapping[str, Any], inside: bool = False, root: bool = False) -> None:
        self.schema = source
        self.root = root
        kind = source.get("type", "")
        self.types = _TYPES.get(kind, ())
        self.wanted = kind
        if source.get(structural.INT_OR_STRING):
            self.types, self.wanted = (int, str), "integer,string"
        self.nullable = bool(source.get("nullable"))
        self.preserve = inside or bool(source.get(structural.PRESERVE))
        self.embedded = bool(source.get(structural.EMBEDDED))
        self.required: tuple[str, ...] = tuple(source.get("required") or ())
        self.list_type: str = source.get(structural.LIST_TYPE) or "atomic"
        self.list_keys: tuple[str, ...] = tuple(source.get(structural.LIST_KEYS) or ())
        self.map_type: str = source.get(structural.MAP_TYPE) or "granular"
        self.default_bytes = orjson.dumps(source["default"]) if "default" in source else b""
        self.properties = {name: Node(one, inside) for name, one in (source.get("properties") or {}).items()}
        extra, items = source.get("additionalProperties"), source.get("items")
        self.additional: Node | bool = Node(extra, inside) if isinstance(extra, dict) else bool(extra)
        self.items = Node(items, inside) if isinstance(items, dict) else None
        self.checks = checks_of(dict(source))
        self.junctions = _Junctions(source) if any(source.get(one) for one in (*structural.JUNCTORS, "not")) else None
        self.defaulted = tuple(name for name, one in self.properties.items() if one.default_bytes)
        self.fits: Callable[[Any], bool] = self._compile()

    def has_type(self, value: Any) -> bool:
        kind = type(value)
        if not self.types or kind in self.types:
            return True
        return kind is float and int in self.types and value.is_integer()

    # --- the careful half

    def validate(self, value: Any, path: str, causes: list[Cause], old: Any = UNSET) -> None:
        """Add a cause for all that is wrong with a value; what has not changed since `old` is not looked at."""
        if len(causes) > MAX_CAUSES or (old is not UNSET and same(value, old)):
            return
        if value is None:
            if not self.nullable and self.types:
                causes.append(wrong_type(value, self.wanted, path))
            return
        if not self.has_type(value):
            causes.append(wrong_type(value, self.wanted, path))
            return
        for check in self.checks:
            if cause := check(value, path):
                causes.append(cause)
        if self.junctions is not None:
            self.junctions.validate(value, path, causes)
        if type(value) is dict:
            self._validate_object(value, path, causes, old)
        elif type(value) is list:
            self._validate_list(value, path, causes, old)

    def _validate_object(self, value: dict[str, Any], path: str, causes: list[Cause], old: Any) -> None:
        prefix = path + "." if path else ""
        for name in self.required:
            if name not in value:
                causes.append(field.required(prefix + name))
        if self.embedded:
            validate_embedded(value, prefix, causes)
        before = old if type(old) is dict else {}
        for name, part in value.items():
            node = self.properties.get(name)
            if node is None and isinstance(self.additional, Node):
                node = self.additional
            if node is not None:
                node.validate(part, prefix + name, causes, before.get(name, UNSET))

    def _validate_list(self, value: list[Any], path: str, causes: list[Cause], old: Any) -> None:
        if self.list_type != "atomic":
            self._validate_unique(value, path, causes)
        if self.items is None:
            return
        before = self.by_keys(old) if self.list_type == "map" and type(old) is list else {}
        for i, part in enumerate(value):
            past = before.get(self.keys_of(part), UNSET) if before else UNSET
            self.items.validate(part, f"{path}[{i}]", causes, past)

    def _validate_unique(self, value: list[Any], path: str, causes: list[Cause]) -> None:
        seen: set[Any] = set()
        for i, part in enumerate(value):
            identity = self.identity_of(part)
            if identity in seen:
                shown = part
                if self.list_type == "map" and type(part) is dict:
                    shown = {key: part.get(key) for key in self.list_keys}
                causes.append(field.duplicate(f"{path}[{i}]", shown))
            seen.add(identity)

    def identity_of(self, part: Any) -> Any:
        """What no two items of a set, or of a list of type map, may have in common."""
        if self.list_type == "map":
            return self.keys_of(part)
        return orjson.dumps(part, option=orjson.OPT_SORT_KEYS)

    def keys_of(self, part: Any) -> bytes:
        """The keys of an item of a list of type map."""
        if type(part) is not dict:
            return b""
        defaults = self.items.properties if self.items is not None else {}
        return orjson.dumps([part.get(key, _default_of(defaults.get(key))) for key in self.list_keys])

    def by_keys(self, items: list[Any]) -> dict[bytes, Any]:
        return {self.keys_of(part): part for part in items}

    def prune(self, value: Any, path: str, unknown: list[str]) -> None:
        """Drop what the schema does not know, in place; add the paths of what was dropped."""
        if type(value) is dict:
            self._prune_object(value, path, unknown)
        elif type(value) is list and self.items is not None:
            for i, part in enumerate(value):
                self.items.prune(part, f"{path}[{i}]", unknown)

    def _prune_object(self, value: dict[str, Any], path: str, unknown: list[str]) -> None:
        prefix = path + "." if path else ""
        for name in list(value):
            if (self.root or self.embedded) and (name in _TYPE_META or name == "metadata"):
                if name == "metadata" and self.embedded:
                    prune_metadata(value, prefix, unknown)
                continue
            node = self.properties.get(name)
            if node is None and isinstance(self.additional, Node):
                node = self.additional
            if node is not None:
                node.prune(value[name], prefix + name, unknown)
            elif not self.preserve and not self.additional:
                unknown.append(prefix + name)
                del value[name]

    def default(self, value: Any) -> None:
        """Fill in defaults, and remove nulls that the schema does not allow, in place."""
        if type(value) is list:
            if self.items is not None:
                for i, part in enumerate(value):
                    if part is None and not self.items.nullable and self.items.default_bytes:
                        value[i] = orjson.loads(self.items.default_bytes)
                    self.items.default(value[i])
            return
        if type(value) is not dict:
            return
        for name in self.defaulted:
            node = self.properties[name]
            if name not in value or (value[name] is None and not node.nullable):
                value[name] = orjson.loads(node.default_bytes)
        for name in list(value):
            inner = self.properties.get(name)
            if inner is None and isinstance(self.additional, Node):
                inner = self.additional
            if inner is None:
                continue
            if value[name] is None:
                if not inner.nullable and inner.default_bytes:
                    value[name] = orjson.loads(inner.default_bytes)
                elif not inner.nullable and inner.types:
                    del value[name]
            else:
                inner.default(value[name])

    # --- the quick half

    def _compile(self) -> Callable[[Any], bool]:
        own = self._compile_own()
        if self.nullable:
            return lambda value: value is None or own(value)
        return own

    def _compile_own(self) -> Callable[[Any], bool]:
        if self.wanted == "object" and not self.embedded:
            return self._compile_object()
        if self.wanted == "array":
            return self._compile_list()
        checks, junctions, kinds = self.checks, self.junctions, self.types
        if len(kinds) == 1 and not checks and junctions is None and kinds[0] in (str, int, bool):
            kind = kinds[0]
            return lambda value: type(value) is kind
        if self.embedded:
            return lambda value: False  # metadata within: always with care
        if not kinds and not checks and junctions is None:
            return lambda value: True  # whatever it is, it is kept

        def fits(value: Any) -> bool:
            if value is None or (kinds and type(value) not in kinds):
                return False
            for check in checks:
                if check(value, ""):
                    return False
            if type(value) is dict or type(value) is list:
                return False
            return junctions is None or junctions.are_valid(value)

        return fits

    def _compile_object(self) -> Callable[[Any], bool]:
        fits_of = {name: node.fits for name, node in self.properties.items()}
        if self.root:
            for name in (*_TYPE_META, "metadata"):
                fits_of.setdefault(name, lambda value: True)
        extra = self.additional.fits if isinstance(self.additional, Node) else None
        anything = self.preserve or self.additional is True
        checks, junctions = self.checks, self.junctions
        needed = frozenset((*self.required, *self.defaulted))

        def fits(value: Any) -> bool:
            if type(value) is not dict or not needed <= value.keys():
                return False
            for key, part in value.items():
                inner = fits_of.get(key)
                if inner is None:
                    inner = extra
                    if inner is None:
                        if anything:
                            continue
                        return False
                if not inner(part):
                    return False
            for check in checks:
                if check(value, ""):
                    return False
            return junctions is None or junctions.are_valid(value)

        return fits

    def _compile_list(self) -> Callable[[Any], bool]:
        inner = self.items.fits if self.items is not None else (lambda value: True)
        checks, junctions, is_atomic = self.checks, self.junctions, self.list_type == "atomic"

        def fits(value: Any) -> bool:
            if type(value) is not list or not all(map(inner, value)):
                return False
            for check in checks:
                if check(value, ""):
                    return False
            if not is_atomic and len(value) > 1 and len({self.identity_of(part) for part in value}) != len(value):
                return False
            return junctions is None or junctions.are_valid(value)

        return fits


class _Junctions:
    """allOf, anyOf, oneOf and not of one schema."""

    __slots__ = ("all_of", "any_of", "not_", "one_of")

    def __init__(self, source: Mapping[str, Any]) -> None:
        self.all_of, self.any_of, self.one_of = (
            tuple(Node(one, inside=True) for one in source.get(name) or ()) for name in structural.JUNCTORS
        )
        self.not_ = Node(source["not"], inside=True) if source.get("not") else None

    def are_valid(self, value: Any) -> bool:
        causes: list[Cause] = []
        self.validate(value, "", causes)
        return not causes

    def validate(self, value: Any, path: str, causes: list[Cause]) -> None:
        for node in self.all_of:
            node.validate(value, path, causes)
        if self.any_of and not any(_is_valid(node, value) for node in self.any_of):
            causes.append(_of_junction(path, "must validate at least one schema (anyOf)"))
        if self.one_of:
            count = sum(_is_valid(node, value) for node in self.one_of)
            if count != 1:
                found = "Found none valid" if not count else f"Found {count} valid alternatives"
                causes.append(_of_junction(path, f"must validate one and only one schema (oneOf). {found}"))
        if self.not_ is not None and _is_valid(self.not_, value):
            causes.append(_of_junction(path, "must not validate the schema (not)"))


def _is_valid(node: Node, value: Any) -> bool:
    causes: list[Cause] = []
    node.validate(value, "", causes)
    return not causes


def _of_junction(path: str, detail: str) -> Cause:
    return field.invalid(path or "<nil>", "", f'"{path}" {detail}')


def _default_of(node: Node | None) -> Any:
    return orjson.loads(node.default_bytes) if node is not None and node.default_bytes else None

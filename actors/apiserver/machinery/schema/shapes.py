"""Shapes: the types of an object as a graph that checks, conforms, and tells a patch how to merge.

`fits(value)` is the quick half: true when the value is of the shape, holds no null, no unknown field and nothing empty
that Go leaves out, and every leaf is in stored form. Nearly all requests pass it. `conform_at` is the careful half for
the rest: it drops nulls and what is empty as Go does, brings leaves into form, collects unknown fields in the report
(and drops them), and raises `Unfit` for a value of the wrong type.

Structs are built when first needed: a process pays for the kinds that it meets. Neighbours: `leaves`; `definitions`
gives the compact form; `decode` and `patch` use the shapes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from actors.apiserver.machinery.schema.leaves import LEAVES, Leaf, Mistyped, mistyped


class Unfit(ValueError):
    """A value of the wrong type somewhere in an object; the message is Go's."""


class Report:
    """What `conform` met on its way: the paths of unknown fields, in order.

    `keeps_empty`: what is empty stays, for the value is no object but what somebody says of one.
    """

    __slots__ = ("keeps_empty", "unknown")

    def __init__(self, *, keeps_empty: bool = False) -> None:
        self.unknown: list[str] = []
        self.keeps_empty = keeps_empty


class Shape(Protocol):
    """What leaves, structs, lists and maps have in common."""

    fits: Callable[[Any], bool]

    def conform_at(self, value: Any, path: str, struct: str, report: Report) -> Any: ...

    def of_null(self) -> Any: ...


class CustomKind(Protocol):
    """The shape of a custom resource's objects: decodes like a struct, but knows no strategic merge.

    `structural` is the openAPIV3Schema of the kind, `digest` a hash of it.
    """

    @property
    def structural(self) -> Mapping[str, Any]: ...

    @property
    def digest(self) -> str: ...

    @property
    def fields(self) -> Mapping[str, Any]: ...

    def fits(self, value: Any) -> bool: ...

    def conform_at(self, value: Any, path: str, struct: str, report: Report) -> dict: ...


class LeafShape:
    """A leaf in its place."""

    __slots__ = ("fits", "leaf")

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        self.fits = leaf.fits

    def conform_at(self, value: Any, path: str, struct: str, report: Report) -> Any:
        try:
            return self.leaf.conform(value)
        except Mistyped as error:
            raise Unfit(error.at(struct, path)) from error

    def of_null(self) -> Any:
        return self.leaf.zero


class Struct:
    """An object with known fields. `name` is the definition's; its last part is the name that Go's errors use.

    `omitted` are the fields that are left out when they are empty; `demanding`, once it is resolved, those that hold
    objects, in which something may be required.
    """

    __slots__ = ("_compact", "_resolve", "demanding", "fields", "fits", "go_name", "name", "omitted", "required")

    fits: Callable[[Any], bool]

    def __init__(self, name: str, compact: dict, resolve: Callable[[Any], "Shape"]) -> None:
        self.name = name
        self.go_name = name.rpartition(".")[2]
        self.required: tuple[str, ...] = tuple(compact["required"])
        self.omitted: frozenset[str] = frozenset(compact["omitted"])
        self.fields: dict[str, Field] = {}
        self.demanding: frozenset[str] = frozenset()
        self._compact: dict | None = compact
        self._resolve = resolve
        self.fits = self._fits_first

    def resolved(self) -> "Struct":
        """Return self with its fields in place. Recursive types end here, as a field's struct is resolved on use."""
        if self._compact is not None:
            for field, kind in self._compact["fields"].items():
                self.fields[field] = Field(self._resolve(kind), kind if isinstance(kind, dict) else {})
            self._compact = None
            self.demanding = frozenset(name for name, field in self.fields.items() if _holds_objects(field.shape))
            self.fits = _compile_struct(self.fields, self.omitted)
        return self

    def _fits_first(self, value: Any) -> bool:
        return self.resolved().fits(value)

    def conform_at(self, value: Any, path: str, struct: str, report: Report) -> dict:
        if type(value) is not dict:
            raise Unfit(mistyped(value, f"v1.{self.go_name}").at(struct, path))
        fields, omitted = self.resolved().fields, self.omitted
        conformed = {}
        for key, part in value.items():
            field = fields.get(key)
            where = f"{path}.{key}" if path else key
            if field is None:
                report.unknown.append(where)
            elif part is not None:
                found = field.shape.conform_at(part, where, self.go_name, report)
                if found or key not in omitted or report.keeps_empty:
                    conformed[key] = found
        return conformed

    def of_null(self) -> dict:
        return {}


class ListOf:
    """A list of one shape."""

    __slots__ = ("fits", "item")

    def __init__(self, item: Shape) -> None:
        self.item = item
        self.fits = _compile_list(item)

    def conform_at(self, value: Any, path: str, struct: str, report: Report) -> list:
        if type(value) is not list:
            raise Unfit(mistyped(value, f"[]{_go_type(self.item)}").at(struct, path))
        item = self.item
        return [
            item.of_null() if part is None else item.conform_at(part, f"{path}[{i}]", struct, report)
            for i, part in enumerate(value)
        ]

    def of_null(self) -> None:
        return None


class MapOf:
    """An object with free keys and values of one shape."""

    __slots__ = ("fits", "value")

    def __init__(self, value: Shape) -> None:
        self.value = value
        self.fits = _compile_map(value)

    def conform_at(self, value: Any, path: str, struct: str, report: Report) -> dict:
        if type(value) is not dict:
            raise Unfit(mistyped(value, f"map[string]{_go_type(self.value)}").at(struct, path))
        inner = self.value
        return {
            key: inner.of_null() if part is None else inner.conform_at(part, f"{path}.{key}", struct, report)
            for key, part in value.items()
        }

    def of_null(self) -> None:
        return None


class Field:
    """A struct's field: its shape, and how a strategic merge patch treats it."""

    __slots__ = ("merge_key", "shape", "strategies")

    def __init__(self, shape: Shape, compact: dict) -> None:
        self.shape = shape
        self.merge_key: str = compact.get("key", "")
        self.strategies: tuple[str, ...] = tuple(compact.get("strategy", ()))


def _go_type(shape: Shape) -> str:
    if isinstance(shape, LeafShape):
        return {"bytes": "[]uint8", "any": "interface {}"}.get(shape.leaf.name, shape.leaf.name)
    if isinstance(shape, Struct):
        return f"v1.{shape.go_name}"
    return "[]..." if isinstance(shape, ListOf) else "map[string]..."


def _holds_objects(shape: Shape) -> bool:
    """Are there objects with known fields in values of this shape?"""
    if isinstance(shape, ListOf):
        return isinstance(shape.item, Struct)
    if isinstance(shape, MapOf):
        return isinstance(shape.value, Struct)
    return isinstance(shape, Struct)


def _compile_struct(fields: dict[str, Field], omitted: frozenset[str]) -> Callable[[Any], bool]:
    """Return the quick check of a struct: exact Python types by field, and a function for every other field."""
    exact: dict[str, type] = {}
    checks: dict[str, Callable[[Any], bool]] = {}
    for name, field in fields.items():
        shape = field.shape
        if isinstance(shape, LeafShape) and shape.leaf.exact is not None:
            exact[name] = shape.leaf.exact
        elif isinstance(shape, Struct):
            checks[name] = _late(shape, checks, name)
        else:
            checks[name] = shape.fits
    exact_of, check_of = exact.get, checks.get

    def fits(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for key, part in value.items():
            if not part and key in omitted:
                return False
            kind = exact_of(key)
            if kind is None:
                check = check_of(key)
                if check is None or part is None or not check(part):
                    return False
            elif type(part) is not kind:
                return False
        return True

    return fits


def _late(struct: Struct, checks: dict[str, Callable[[Any], bool]], name: str) -> Callable[[Any], bool]:
    """Return a check that resolves the struct at its first use and then puts the compiled one in its place."""

    def fits(value: Any) -> bool:
        checks[name] = struct.resolved().fits
        return checks[name](value)

    return fits


def _compile_list(item: Shape) -> Callable[[Any], bool]:
    if isinstance(item, LeafShape) and item.leaf.exact is not None:
        kind = item.leaf.exact
        return lambda value: type(value) is list and all(type(part) is kind for part in value)
    return lambda value: type(value) is list and all(part is not None and item.fits(part) for part in value)


def _compile_map(inner: Shape) -> Callable[[Any], bool]:
    if isinstance(inner, LeafShape) and inner.leaf.exact is not None:
        kind = inner.leaf.exact

        def fits(value: Any) -> bool:
            if type(value) is not dict:
                return False
            for part in value.values():  # noqa: SIM110 - most maps are small, and cost less than a generator
                if type(part) is not kind:
                    return False
            return True

        return fits
    return lambda value: type(value) is dict and all(p is not None and inner.fits(p) for p in value.values())


LEAF_SHAPES: dict[str, LeafShape] = {name: LeafShape(leaf) for name, leaf in LEAVES.items()}

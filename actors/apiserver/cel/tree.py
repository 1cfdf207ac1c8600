"""The checked tree of an expression, as its compiler serializes it (cel.expr.CheckedExpr).

The messages are made here with the protocol's numbers and names, without what nobody here looks at.

Neighbours: `interpreter` evaluates trees; `cost` estimates them.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "kubus.cel.tree"
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "int64": _Field.TYPE_INT64,
    "int32": _Field.TYPE_INT32,
    "uint64": _Field.TYPE_UINT64,
    "double": _Field.TYPE_DOUBLE,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
}
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {  # (field, number, type); a type with * is repeated
    "Checked": (("references", 2, "ReferenceEntry*"), ("types", 3, "TypeEntry*"), ("expr", 4, "Expr")),
    "ReferenceEntry": (("key", 1, "int64"), ("value", 2, "Reference")),
    "Reference": (("name", 1, "string"), ("overload_id", 3, "string*")),
    "TypeEntry": (("key", 1, "int64"), ("value", 2, "Type")),
    "Type": (
        ("dyn", 1, "Empty"), ("null", 2, "int32"), ("primitive", 3, "int32"), ("wrapper", 4, "int32"),
        ("well_known", 5, "int32"), ("list_type", 6, "ListType"), ("map_type", 7, "MapType"),
        ("message_type", 9, "string"), ("abstract_type", 14, "AbstractType"),
    ),
    "Empty": (),
    "ListType": (("elem_type", 1, "Type"),),
    "MapType": (("key_type", 1, "Type"), ("value_type", 2, "Type")),
    "AbstractType": (("name", 1, "string"), ("parameter_types", 2, "Type*")),
    "Expr": (
        ("id", 2, "int64"), ("const_expr", 3, "Constant"), ("ident_expr", 4, "Ident"), ("select_expr", 5, "Select"),
        ("call_expr", 6, "Call"), ("list_expr", 7, "List"), ("struct_expr", 8, "Struct"),
        ("comprehension_expr", 9, "Comprehension"),
    ),
    "Constant": (
        ("null_value", 1, "int32"), ("bool_value", 2, "bool"), ("int64_value", 3, "int64"),
        ("uint64_value", 4, "uint64"), ("double_value", 5, "double"), ("string_value", 6, "string"),
        ("bytes_value", 7, "bytes"),
    ),
    "Ident": (("name", 1, "string"),),
    "Select": (("operand", 1, "Expr"), ("field", 2, "string"), ("test_only", 3, "bool")),
    "Call": (("target", 1, "Expr"), ("function", 2, "string"), ("args", 3, "Expr*")),
    "List": (("elements", 1, "Expr*"), ("optional_indices", 2, "int32*")),
    "Entry": (("map_key", 3, "Expr"), ("value", 4, "Expr"), ("optional_entry", 5, "bool")),
    "Struct": (("message_name", 1, "string"), ("entries", 2, "Entry*")),
    "Comprehension": (
        ("iter_var", 1, "string"), ("iter_range", 2, "Expr"), ("accu_var", 3, "string"), ("accu_init", 4, "Expr"),
        ("loop_condition", 5, "Expr"), ("loop_step", 6, "Expr"), ("result", 7, "Expr"), ("iter_var2", 8, "string"),
    ),
}  # fmt: skip
_ONEOF = frozenset({"Constant"})  # whose fields say by their presence which one it is


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="kubus/cel/tree.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _ONEOF:
            message.oneof_decl.add(name="kind")
        for field, number, kind in fields:
            label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, label=label)
            if name in _ONEOF:
                made.oneof_index = 0
            kind = kind.rstrip("*")
            if kind in _SCALARS:
                made.type = _SCALARS[kind]
            else:
                made.type, made.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Checked"))


_Checked = _message_class()
_KINDS = ("const_expr", "ident_expr", "select_expr", "call_expr", "list_expr", "struct_expr", "comprehension_expr")


class Tree:
    """An expression's root, the overloads that its calls may mean, and the types of its parts, by the nodes' ids."""

    __slots__ = ("overloads", "root", "types")

    def __init__(self, serialized: bytes) -> None:
        checked = _Checked.FromString(any_pb2.Any.FromString(serialized).value)
        self.root = checked.expr
        self.overloads = {entry.key: tuple(entry.value.overload_id) for entry in checked.references}
        self.types = {entry.key: entry.value for entry in checked.types}


@lru_cache(maxsize=256)
def parse(serialized: bytes) -> Tree:
    """Return the tree of what a compiler has serialized."""
    return Tree(serialized)


def kind_of(node: Any) -> str:
    """Return which of its fields says what a node is; const_expr for one that is empty."""
    return next((kind for kind in _KINDS if node.HasField(kind)), "const_expr")


def constant_kind(node: Any) -> str:
    """Return which value a constant holds: null_value, int64_value."""
    return node.const_expr.WhichOneof("kind") or "null_value"


def is_bind(loop: Any) -> bool:
    """Is a comprehension what `cel.bind` makes: no loop, but a name for a value?"""
    return (
        loop.iter_range.HasField("list_expr")
        and not loop.iter_range.list_expr.elements
        and loop.loop_condition.HasField("const_expr")
        and not loop.loop_condition.const_expr.bool_value
    )


def _nodes(root: Any) -> Iterator[Any]:
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if hasattr(value, "ListFields") else value)


def identifiers(serialized: bytes) -> frozenset[str]:
    """Return the names that an expression uses: variables, its loops' own ones included."""
    return frozenset(
        node.ident_expr.name
        for node in _nodes(parse(serialized).root)
        if node.DESCRIPTOR.name == "Expr" and node.HasField("ident_expr")
    )

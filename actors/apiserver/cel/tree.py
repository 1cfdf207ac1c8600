"""The checked tree of an expression, as its compiler serializes it (cel.expr.CheckedExpr).

The messages are made here with the protocol's numbers and names, the parts only that `cost` looks at.
"""

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "kubus.cel.tree"
_SCALARS = {"string": _Field.TYPE_STRING, "int64": _Field.TYPE_INT64, "bool": _Field.TYPE_BOOL}
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {  # (field, number, type); a type with * is repeated
    "Checked": (("expr", 4, "Expr"),),
    "Expr": (
        ("id", 2, "int64"), ("const_expr", 3, "Constant"), ("ident_expr", 4, "Ident"), ("select_expr", 5, "Select"),
        ("call_expr", 6, "Call"), ("list_expr", 7, "List"), ("struct_expr", 8, "Struct"),
        ("comprehension_expr", 9, "Comprehension"),
    ),
    "Constant": (("string_value", 6, "string"),),
    "Ident": (("name", 1, "string"),),
    "Select": (("operand", 1, "Expr"), ("field", 2, "string"), ("test_only", 3, "bool")),
    "Call": (("target", 1, "Expr"), ("function", 2, "string"), ("args", 3, "Expr*")),
    "List": (("elements", 1, "Expr*"),),
    "Entry": (("map_key", 3, "Expr"), ("value", 4, "Expr")),
    "Struct": (("entries", 2, "Entry*"),),
    "Comprehension": (
        ("iter_var", 1, "string"), ("iter_range", 2, "Expr"), ("accu_var", 3, "string"), ("accu_init", 4, "Expr"),
        ("loop_condition", 5, "Expr"), ("loop_step", 6, "Expr"), ("result", 7, "Expr"), ("iter_var2", 8, "string"),
    ),
}  # fmt: skip


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="kubus/cel/tree.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            if kind in _SCALARS:
                message.field.add(name=field, number=number, type=_SCALARS[kind], label=label)
            else:
                full = f".{_PACKAGE}.{kind}"
                message.field.add(name=field, number=number, type=_Field.TYPE_MESSAGE, type_name=full, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Checked"))


_Checked = _message_class()


def parse(serialized: bytes) -> Any:
    """Return the root of the tree."""
    packed = any_pb2.Any.FromString(serialized)
    return _Checked.FromString(packed.value).expr


def identifiers(serialized: bytes) -> frozenset[str]:
    """Return the names that an expression uses: variables, its loops' own ones included."""
    found: set[str] = set()
    waiting = [parse(serialized)]
    while waiting:
        message = waiting.pop()
        for field, value in message.ListFields():
            if field.name == "ident_expr":
                found.add(value.name)
            elif field.message_type is not None:
                waiting.extend([value] if hasattr(value, "ListFields") else value)
    return frozenset(found)

"""Compiles expressions against declared types, so that mistakes are found when a rule is written and not when it runs.

The checker knows structures as Protobuf messages. So a declared object becomes a message type, made for the occasion in
a descriptor pool of its own; nothing is ever encoded with it. What a message cannot say (a list of lists, a value that
may be null) is dynamic to the checker.

Neighbours: `declared` has the types; `environment` evaluates, without static types, what passed here.
"""

from collections.abc import Mapping
from typing import Any

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2

from actors.apiserver.cel import declared, opaque
from actors.apiserver.cel.declared import Declared
from actors.apiserver.cel.environment import Environment

_PACKAGE = "declared"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    declared.STRING: _Field.TYPE_STRING,
    declared.BYTES: _Field.TYPE_BYTES,
    declared.INT: _Field.TYPE_INT64,
    declared.DOUBLE: _Field.TYPE_DOUBLE,
    declared.BOOL: _Field.TYPE_BOOL,
}
_CEL_TYPES = {
    declared.STRING: cel.Type.STRING,
    declared.BYTES: cel.Type.BYTES,
    declared.INT: cel.Type.INT,
    declared.DOUBLE: cel.Type.DOUBLE,
    declared.BOOL: cel.Type.BOOL,
    declared.TIMESTAMP: cel.Type.TIMESTAMP,
    declared.DURATION: cel.Type.DURATION,
    declared.DYN: cel.Type.DYN,
}
_MESSAGES = {
    declared.TIMESTAMP: ".google.protobuf.Timestamp",
    declared.DURATION: ".google.protobuf.Duration",
    declared.DYN: ".google.protobuf.Value",
}
_KNOWN_FILES = (struct_pb2, timestamp_pb2, duration_pb2, wrappers_pb2)


def checked(variables: Mapping[str, Declared]) -> Environment:
    """Return an environment that compiles with these types. It is for checking, and cannot evaluate."""
    builder = _Builder()
    types = {name: builder.type_of(value) for name, value in variables.items()}
    return Environment(types, builder.pool())


class _Builder:
    """Collects the message types of declared objects."""

    def __init__(self) -> None:
        self._file = descriptor_pb2.FileDescriptorProto(name="declared.proto", package=_PACKAGE, syntax="proto2")
        self._file.dependency.extend(file.DESCRIPTOR.name for file in _KNOWN_FILES)
        self._file.dependency.append(opaque.FILE)
        self._names: dict[int, str] = {}
        self._kept: list[Declared] = []  # so that no id is given away twice

    def pool(self) -> Any:
        pool = descriptor_pool.DescriptorPool()
        for file in _KNOWN_FILES:
            pool.AddSerializedFile(file.DESCRIPTOR.serialized_pb)
        pool.AddSerializedFile(opaque.file_descriptor().SerializeToString())
        pool.AddSerializedFile(self._file.SerializeToString())
        return pool

    def type_of(self, value: Declared) -> Any:
        """Return the checker's type of a variable."""
        if value.kind == declared.OBJECT:
            return cel.Type(f"{_PACKAGE}.{self._message(value)}")
        if value.kind == declared.OPAQUE:
            return cel.Type(value.name)
        if value.kind == declared.LIST and value.element is not None:
            return cel.Type.List(self.type_of(value.element))
        if value.kind == declared.MAP and value.element is not None:
            return cel.Type.Map(cel.Type.STRING, self.type_of(value.element))
        return _CEL_TYPES.get(value.kind, cel.Type.DYN)

    def _message(self, value: Declared) -> str:
        """Return the name of the message type of an object."""
        name = self._names.get(id(value))
        if name is None:
            name = self._names[id(value)] = f"Object{len(self._names)}"
            self._kept.append(value)
            message = self._file.message_type.add(name=name)
            for number, (field, inner) in enumerate(value.fields.items(), 1):
                self._add(message, field, number, inner)
        return name

    def _add(self, message: Any, name: str, number: int, value: Declared) -> None:
        if value.kind == declared.LIST and value.element is not None and not _is_nested(value.element):
            self._set(message.field.add(name=name, number=number, label=_Field.LABEL_REPEATED), value.element)
        elif value.kind == declared.MAP and value.element is not None and _can_be_map(message, name, value.element):
            entry = message.nested_type.add(name=_entry_name(name))
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
            self._set(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), value.element)
            full_name = f".{_PACKAGE}.{message.name}.{entry.name}"
            message.field.add(
                name=name, number=number, label=_Field.LABEL_REPEATED, type=_Field.TYPE_MESSAGE, type_name=full_name
            )
        else:
            self._set(message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL), value)

    def _set(self, field: Any, value: Declared) -> None:
        """Give a descriptor of a single value its type."""
        if value.kind in _SCALARS:
            field.type = _SCALARS[value.kind]
            return
        field.type = _Field.TYPE_MESSAGE
        if value.kind == declared.OBJECT:
            field.type_name = f".{_PACKAGE}.{self._message(value)}"
        elif value.kind == declared.OPAQUE:
            field.type_name = f".{value.name}"
        else:
            field.type_name = _MESSAGES.get(value.kind, _MESSAGES[declared.DYN])


def _entry_name(field: str) -> str:
    """Return the name that Protobuf wants for the entries of a map: the field's in camel case, and Entry."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_")) + "Entry"


def _can_be_map(message: Any, field: str, element: Declared) -> bool:
    """False where two maps' entries would get one name (a_b and aB); such a field is dynamic."""
    taken = {nested.name for nested in message.nested_type}
    return not _is_nested(element) and _entry_name(field) not in taken


def _is_nested(value: Declared) -> bool:
    return value.kind in (declared.LIST, declared.MAP)

"""Values that the language itself does not know: a quantity, an address, a URL, a version, a format.

Each one is a Protobuf message of its own, made here without a .proto file: the checker then tells them apart, and two
that mean the same are equal because their fields hold a canonical form.

Neighbours: `library` makes and reads them; `typecheck` puts their descriptors beside those of a schema.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "kubernetes"
FILE = "kubernetes/cel.proto"
_STRING, _OPTIONAL = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_NAMES = ("Quantity", "IP", "CIDR", "URL", "Semver", "Authorizer", "Format")


def file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    """Return the file that declares all of them: messages with one field, the canonical text."""
    file = descriptor_pb2.FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    for name in _NAMES:
        message = file.message_type.add(name=name)
        message.field.add(name="canonical__", number=1, type=_STRING, label=_OPTIONAL)
    return file


def _message_classes() -> dict[str, Any]:
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file_descriptor().SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _NAMES}


_CLASSES = _message_classes()


def make(name: str, canonical: str) -> Any:
    """Return an opaque value."""
    return _CLASSES[name](canonical__=canonical)


def text_of(value: Any) -> str:
    """Return the canonical text of an opaque value."""
    return value.canonical__

"""What the messages of the wire are made of, read from `protos/` when the first one is needed.

The files name every field's number, name in JSON and type; they say no more than the `protobuf` tags of Kubernetes' Go
types do. `optional` marks what is a pointer there: it is kept when it is zero, other zeros mean absent. `(inline)`
marks a message whose fields belong to the one around it, `(list)` one that is only a list, `(either)` one that is
either of its fields: the richer one, when both are there.

Neighbours: `wire` decodes by it, `encode` encodes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from actors.apiserver.protobuf import protos

_MESSAGE = re.compile(r"^message (\w+) \{$")
_FIELD = re.compile(
    r"^  (optional |repeated )?(?:map<(?P<key>\w+), (?P<value>[\w.]+)>|(?P<type>[\w.]+)) "
    r"(?P<name>[\w$-]+) = (?P<number>\d+)(?: \[\((?P<mark>\w+)\) = true\])?;$"
)
SCALARS = frozenset({"string", "bool", "int32", "int64", "uint32", "double", "bytes"})
# Messages whose JSON is not an object of their fields; `wire` knows each.
SPECIAL = frozenset({"Time", "MicroTime", "Quantity", "IntOrString", "RawExtension", "FieldsV1", "Duration", "JSON"})

_GROUPS = frozenset(
    {"", "apps", "autoscaling", "batch", "flowcontrol.apiserver.k8s.io", "policy", "rbac.authorization.k8s.io"}
) | {
    f"{name}.k8s.io"
    for name in (
        "admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization", "certificates",
        "coordination", "discovery", "events", "meta", "networking", "node", "resource", "scheduling", "storage",
    )
}  # fmt: skip
_META = frozenset(
    {"APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "DeleteOptions", "Status", "WatchEvent"}
)


@dataclass(frozen=True, slots=True)
class Field:
    """`kind` is a scalar, a special message, or `package.Message`. A map's `kind` is that of its values."""

    name: str
    kind: str
    is_pointer: bool = False
    is_repeated: bool = False
    is_map: bool = False
    is_inline: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    fields: Mapping[int, Field]
    is_list: bool = False
    is_either: bool = False


def package_of(api_version: str) -> str:
    """The package of an API version: `v1` is core_v1, `rbac.authorization.k8s.io/v1` is rbac_v1.

    Empty for groups that are not Kubernetes' own: their kinds may have the names of others.
    """
    group, _, version = api_version.rpartition("/")
    first = group.partition(".")[0]
    if group not in _GROUPS:
        return ""
    return f"{first or 'core'}_{version}"


def name_of(api_version: str, kind: str) -> str:
    """The full name of a kind's message; those of meta.k8s.io go by the versions of all groups."""
    return f"{'meta_v1' if kind in _META else package_of(api_version)}.{kind}"


def find(name: str) -> Message | None:
    """The message `package.Name`; None when there is none."""
    package, _, message = name.rpartition(".")
    return _package(package).get(message) if package in _packages() else None


@cache
def _packages() -> frozenset[str]:
    """Clients name packages, so what is none of these must neither be looked for nor remembered."""
    names = (file.name for file in resources.files(protos).iterdir())
    return frozenset(name.removesuffix(".proto") for name in names if name.endswith(".proto"))


@cache
def _package(package: str) -> dict[str, Message]:
    file = resources.files(protos) / f"{package}.proto"
    found: dict[str, Message] = {}
    name, is_list, is_either = "", False, False
    fields: dict[int, Field] = {}
    for text in file.read_text().splitlines():
        if start := _MESSAGE.match(text):
            name, fields, is_list, is_either = start[1], {}, False, False
        elif text == "}":
            found[name] = Message(fields, is_list, is_either)
        elif field := _FIELD.match(text):
            is_list = is_list or field["mark"] == "list"
            is_either = is_either or field["mark"] == "either"
            fields[int(field["number"])] = _field(field, package)
    return found


def _field(match: re.Match[str], package: str) -> Field:
    kind = match["value"] or match["type"]
    if kind not in SCALARS and kind not in SPECIAL and "." not in kind:
        kind = f"{package}.{kind}"
    return Field(
        name=match["name"],
        kind=kind,
        is_pointer=match[1] == "optional ",
        is_repeated=match[1] == "repeated ",
        is_map=match["key"] is not None,
        is_inline=match["mark"] == "inline",
    )

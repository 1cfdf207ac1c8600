"""Bytes of a request into plain data: JSON or YAML, with limits, and the fields that are there twice.

JSON is parsed by orjson, which keeps the last of two equal keys and says nothing. `parse_json` therefore compares: data
that has as many colons, in strings and after keys, as were sent has lost no key. Only where that is no proof (a key was
lost, or a colon escaped) does a slower parser look for duplicates, and only when the caller wants to know.

YAML goes through libyaml's safe loader, restricted to JSON's types, and refuses aliases that expand beyond a limit.

Raises `Malformed` for what cannot be parsed. Neighbours: `decode` gives it the body and words the errors.
"""

import json
import re
from typing import Any

import orjson
import yaml

MAX_DEPTH = 200  # nesting; orjson encodes 254 levels at most, and no sensible object comes near
MAX_YAML_NODES = 200_000  # after aliases are expanded; an alias bomb ends here
MAX_YAML_BYTES = 3 * 1024 * 1024  # Kubernetes' limit of a request body

_DEPTH_SUSPECT = MAX_DEPTH  # opening brackets in a body below which it cannot be too deep
_ESCAPED_COLON = b"\\u003"  # or a neighbour of it


class Malformed(ValueError):
    """The bytes are no JSON or YAML, or exceed a limit."""


class _Twice(dict):
    """An object in which keys were repeated; `names` are those keys."""

    names: list[str]


def parse_json(body: bytes, want_duplicates: bool) -> tuple[Any, list[str]]:
    """Return (data, paths of duplicate fields)."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"json parse error: {error}") from error
    brackets = len(body) - len(body.translate(None, b"{["))  # faster than to count one, and then the other
    if brackets > _DEPTH_SUSPECT:
        check_depth(data)
    if not want_duplicates or _has_each_key_once(body, data):
        return data, []
    return data, _duplicates_of_json(body)


def _has_each_key_once(body: bytes, data: Any) -> bool:
    """False where that is not sure. Each key brings a colon: with one that was lost, the data would have fewer."""
    return orjson.dumps(data).count(b":") == body.count(b":") and _ESCAPED_COLON not in body


def check_depth(data: Any) -> None:
    """Raise Malformed when data nests deeper than MAX_DEPTH. Iterative, so that depth cannot exhaust the stack."""
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for part in level:
            if type(part) is dict:
                inner.extend(part.values())
            elif type(part) is list:
                inner.extend(part)
        if not inner:
            return
        level = inner
    raise Malformed(f"exceeded max depth: the document nests deeper than {MAX_DEPTH} levels")


def _pairs(pairs: list[tuple[str, Any]]) -> dict:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    twice = _Twice(members)
    twice.names = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    return twice


def _duplicates_of_json(body: bytes) -> list[str]:
    return _duplicate_paths(json.loads(body, object_pairs_hook=_pairs), "")


def _duplicate_paths(data: Any, path: str) -> list[str]:
    found: list[str] = []
    if isinstance(data, dict):
        if isinstance(data, _Twice):
            found += [_join(path, name) for name in dict.fromkeys(data.names)]
        for key, value in data.items():
            found += _duplicate_paths(value, _join(path, key))
    elif isinstance(data, list):
        for i, value in enumerate(data):
            found += _duplicate_paths(value, f"{path}[{i}]")
    return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


class _Loader(yaml.CSafeLoader):
    """YAML as JSON's types: no timestamps, no sexagesimal numbers, no binary; a repeated key is remembered."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key_node, _ in node.value:
            name = str(key_node.value)
            if name in seen and name != "<<":
                line = key_node.start_mark.line + 1
                self.repeated.append(f'line {line}: key "{name}" already set in map')
            seen.add(name)
        return super().construct_mapping(node, deep=True)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("timestamp", "int")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^(?:[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)


def _construct_int(loader: _Loader, node: Any) -> int:
    text = loader.construct_scalar(node).replace("_", "").lower()
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    for prefix, base in (("0b", 2), ("0x", 16), ("0o", 8)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits, 8 if len(digits) > 1 and digits.startswith("0") else 10)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def parse_yaml(body: bytes) -> tuple[Any, list[str]]:
    """Return (data, complaints about repeated keys) of the one document in a body."""
    if len(body) > MAX_YAML_BYTES:
        raise Malformed(f"yaml: the document is larger than {MAX_YAML_BYTES} bytes")
    try:
        _check_expansion(body)
        loader = _Loader(body)
        try:
            data = loader.get_single_data()
        finally:
            loader.dispose()
        return _as_json(data), loader.repeated
    except Malformed:
        raise
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise Malformed(f"yaml: {' '.join(str(error).split())}") from error


def _as_json(data: Any) -> Any:
    """Return data without shared parts and with string keys, as JSON would have it."""
    check_depth(data)
    return orjson.loads(orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS))


def _check_expansion(body: bytes) -> None:
    """Raise Malformed when aliases would expand the document beyond MAX_YAML_NODES, or its nesting is too deep."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # (anchor, nodes so far)
    total = 0

    def close(anchor: str | None, size: int) -> None:
        if anchor is not None:
            sizes[anchor] = size
        if open_nodes:
            parent, before = open_nodes.pop()
            open_nodes.append((parent, before + size))

    for event in yaml.parse(body, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            size = sizes.get(event.anchor or "", MAX_YAML_NODES + 1)  # an alias to a node that is still open has no end
            total += size
            close(None, size)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            close(event.anchor, 1)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            total += 1
            open_nodes.append((event.anchor, 1))
            if len(open_nodes) > MAX_DEPTH:
                raise Malformed(f"exceeded max depth: the document nests deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            anchor, size = open_nodes.pop()
            close(anchor, size)
        if total > MAX_YAML_NODES:
            raise Malformed("yaml: document contains excessive aliasing")

"""YAML files into typed config: every error names the file, the line, the key, and what was expected there.

`load` gives a `Loaded`: the value, and the place in the file of each key, so that the caller's own checks (ports that
collide, a network that is none) can complain in the same way through `Loaded.error`.
"""

import difflib
import math
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import msgspec
import yaml

MAX_FILE_BYTES = 1024 * 1024  # a config is some lines long; anything near this is not one
MAX_VALUES = 100_000  # in one file, aliases expanded: a few lines of them can stand for more than any memory holds
MAX_DEPTH = 32  # of nested YAML: no config comes near it, and it keeps a hostile file from exhausting the stack

T = TypeVar("T")
Key = str | int
Place = tuple[Key, ...]


class ConfigError(Exception):
    """A config that can't be used. The message is for the user, complete in itself."""


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """A config, and where in its file each key is."""

    value: T
    source: str
    lines: dict[Place, int] = field(default_factory=dict)

    def error(self, place: Sequence[Key], complaint: str) -> ConfigError:
        """Return the error of a value that is well-formed but wrong."""
        return _error(self.source, self.lines, tuple(place), complaint)


def load(path: Path, kind: type[T]) -> Loaded[T]:
    """Read a file as `kind`, a msgspec.Struct type; raises ConfigError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    return parse(content, str(path), kind)


def parse(content: bytes, source: str, kind: type[T]) -> Loaded[T]:
    """Read YAML as `kind`; `source` is its name in errors. Raises ConfigError."""
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{source}: {len(content)} bytes; a config has at most {MAX_FILE_BYTES}")
    lines: dict[Place, int] = {}
    plain = _Reader(source, lines).read(content)
    value = _convert(plain, kind, (), source, lines)
    return Loaded(value, source, lines)


class _Reader:
    """YAML into plain values, noting the line of each key, and refusing what would silently mean something else."""

    def __init__(self, source: str, lines: dict[Place, int]):
        self._source = source
        self._lines = lines
        self._values = 0

    def read(self, content: bytes) -> Any:
        try:
            loader = yaml.SafeLoader(content)
            node = loader.get_single_node()
            return {} if node is None else self._plain(loader, node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark is not None else ""
            raise ConfigError(f"{self._source}{line}: not YAML: {error.problem or error.context}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._source}: not YAML: {error}") from error
        except RecursionError as error:
            raise ConfigError(f"{self._source}: nested more than {MAX_DEPTH} deep") from error

    def _plain(self, loader: yaml.SafeLoader, node: yaml.Node, place: Place) -> Any:
        if len(place) > MAX_DEPTH:
            raise _error(self._source, self._lines, place[:3], f"nested more than {MAX_DEPTH} deep")
        self._values += 1
        if self._values > MAX_VALUES:
            raise ConfigError(f"{self._source}: more than {MAX_VALUES} values, aliases counted each time")
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(loader, item, (*place, index)) for index, item in enumerate(node.value)]
        return loader.construct_object(node)

    def _mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            if key is None:
                raise ConfigError(f"{self._source}:{line}: a key must be a plain word")
            inner = (*place, key)
            if key in plain:
                raise ConfigError(
                    f"{self._source}:{line}: {_path(inner)}: given twice (also in line {self._lines[inner]})"
                )
            self._lines[inner] = line
            plain[key] = self._plain(loader, value_node, inner)
        return plain


def _convert(value: Any, kind: Any, place: Place, source: str, lines: dict[Place, int]) -> Any:
    """Return `value` as `kind`, descending by hand so that an error's place is known exactly."""
    kind = _given(kind, value)
    if _is_struct(kind):
        return _convert_struct(value, kind, place, source, lines)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict and isinstance(value, dict):
        return {key: _convert(item, arguments[1], (*place, key), source, lines) for key, item in value.items()}
    if origin is list and isinstance(value, list):
        return [_convert(item, arguments[0], (*place, index), source, lines) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise _error(source, lines, place, f"expected {_expected(kind)}, got {value}")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        _complain(value, kind, place, source, lines)


def _given(kind: Any, value: Any) -> Any:
    """Return what a value that may be left out is to be, once it is there."""
    choices = [choice for choice in typing.get_args(kind) if choice is not type(None)]
    optional = isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
    return choices[0] if optional and value is not None and len(choices) == 1 else kind


def _convert_struct(value: Any, kind: Any, place: Place, source: str, lines: dict[Place, int]) -> Any:
    if not isinstance(value, dict):
        if value is None:  # "apiserver:" with nothing below it: all defaults
            value = {}
        else:
            raise _error(source, lines, place, f"expected {_expected(kind)}, got {_shown(value)}")
    fields = {info.encode_name: info for info in msgspec.structs.fields(kind)}
    for key in value:
        if key not in fields:
            raise _error(source, lines, (*place, key), f"unknown key; {suggestion(key, fields)}")
    for name, info in fields.items():
        if info.required and name not in value:
            example = f"; expected {_example(info.type)}" if place else ""
            raise _error(source, lines, place, f"key {name} is missing{example}")
    converted = {
        fields[key].name: _convert(item, fields[key].type, (*place, key), source, lines) for key, item in value.items()
    }
    return kind(**converted)


def _complain(value: Any, kind: Any, place: Place, source: str, lines: dict[Place, int]) -> NoReturn:
    hint = ""
    if typing.get_origin(kind) is typing.Literal and isinstance(value, str):
        close = difflib.get_close_matches(value, typing.get_args(kind), 1)
        hint = f"; did you mean {close[0]}?" if close else ""
    elif kind is str and isinstance(value, bool | int | float):
        hint = f'; write it in quotes: "{_shown(value)}"'
    elif kind in (int, float) and isinstance(value, str) and _is_number(value):
        hint = "; write it without quotes"
    elif typing.get_origin(kind) is list and not isinstance(value, dict | list | None):
        hint = f"; one alone is a list, too: [{value}]"
    raise _error(source, lines, place, f"expected {_expected(kind)}, got {_shown(value)}{hint}")


def suggestion(key: str, known: Iterable[str]) -> str:
    """Return what the user may have meant instead of `key`, or all that could be meant."""
    known = list(known)
    close = difflib.get_close_matches(key, known, 1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"


_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}


def _expected(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " or ".join(str(choice) for choice in arguments)
    if origin is list:
        return f"a list, as {_example(kind)}"
    if origin is dict or _is_struct(kind):
        return f"keys with values, as {_example(kind)}"
    if arguments:
        return " or ".join(_expected(argument) for argument in arguments)
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


_EXAMPLES = {str: "TEXT", int: "NUMBER", float: "NUMBER", bool: "true"}


def _example(kind: Any) -> str:
    """Return how a value may look in YAML, on one line; words in capitals stand for the user's own."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return f"[{_example(arguments[0])}]"
    if origin is dict:
        return f"{{NAME: {_example(arguments[1])}}}"
    if _is_struct(kind):
        fields = msgspec.structs.fields(kind)
        shown = [info for info in fields if info.required] or fields[:1]
        return "{" + ", ".join(f"{info.encode_name}: {_example(info.type)}" for info in shown) + "}"
    return _EXAMPLES.get(kind, str(arguments[0]) if origin is typing.Literal else "VALUE")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _error(source: str, lines: dict[Place, int], place: Place, complaint: str) -> ConfigError:
    known = place
    while known and known not in lines:
        known = known[:-1]
    line = f":{lines[known]}" if known in lines else ""
    where = f" {_path(place)}:" if place else ""
    return ConfigError(f"{source}{line}:{where} {complaint}")


def _path(place: Place) -> str:
    path = ""
    for key in place:
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
    return path

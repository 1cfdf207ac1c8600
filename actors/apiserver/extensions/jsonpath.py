"""The part of JSONPath that custom resources use: `.spec.replicas`, `.metadata.labels['a.b']`, `.spec.hosts[*].name`,
`.status.conditions[?(@.type=="Ready")].status`.

`field_steps` reads the plain kind, a chain of names, for scale, selectable fields and fieldPath. `compile_path` gives a
function for the whole of it, for columns. Source: Kubernetes' documentation of JSONPath support.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

MAX_PATH_CHARS = 1024

_STEP = re.compile(
    r"""\.(?P<name>(?:[^.\[\]\\]|\\.)+)
      | \[\s*'(?P<single>(?:[^'\\]|\\.)*)'\s*\]
      | \[\s*"(?P<double>(?:[^"\\]|\\.)*)"\s*\]
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<slice>-?\d*:-?\d*(?::-?\d*)?)\s*\]
      | \[\s*(?P<all>\*)\s*\]
      | \[\s*\?\(\s*@(?P<path>[^=!<>\s]*)\s*
        (?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<value>"[^"]*"|'[^']*'|[^)\s]+))?\s*\)\s*\]
      | (?P<deep>\.\.)""",
    re.VERBOSE,
)  # fmt: skip

Step = Callable[[Iterable[Any]], Iterable[Any]]
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class BadPath(ValueError):
    """The text is no path, or uses what is not supported."""


def field_steps(path: str) -> list[str]:
    """Return the names of a path without indexes, filters and wildcards."""
    return [_name(found) for found in _matches(path)]


def compile_path(path: str) -> Callable[[Any], list[Any]]:
    """Return a function that gives all values at a path of a value. Raises BadPath."""
    steps = [_step(found) for found in _matches(path)]

    def find(value: Any) -> list[Any]:
        found: Iterable[Any] = [value]
        for step in steps:
            found = step(found)
        return list(found)

    return find


def _matches(path: str) -> list[re.Match[str]]:
    if not path.startswith((".", "[")) or len(path) > MAX_PATH_CHARS:
        raise BadPath(f"must begin with a dot and have at most {MAX_PATH_CHARS} characters")
    found, position = [], 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or match.group("deep"):
            raise BadPath(f"unrecognized at {path[position : position + 20]!r}")
        found.append(match)
        position = match.end()
    return found


def _name(found: re.Match[str]) -> str:
    for group in ("name", "single", "double"):
        if found.group(group) is not None:
            name = re.sub(r"\\(.)", r"\1", found.group(group))
            if name != "*":
                return name
    raise BadPath(f"only a chain of names is supported, not {found.group()!r}")


def _step(found: re.Match[str]) -> Step:
    if found.group("all") or found.group("name") == "*":
        return _everything
    if found.group("index") is not None:
        return _at(int(found.group("index")))
    if found.group("slice") is not None:
        parts = [int(part) if part else None for part in found.group("slice").split(":")]
        return lambda values: (part for value in values if type(value) is list for part in value[slice(*parts)])
    if found.group("path") is not None:
        return _filter(found)
    name = _name(found)
    return lambda values: (value[name] for value in values if type(value) is dict and name in value)


def _everything(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if type(value) is list:
            yield from value
        elif type(value) is dict:
            yield from value.values()


def _at(index: int) -> Step:
    def step(values: Iterable[Any]) -> Iterable[Any]:
        return (value[index] for value in values if type(value) is list and -len(value) <= index < len(value))

    return step


def _filter(found: re.Match[str]) -> Step:
    path = found.group("path")
    read = compile_path(path) if path else (lambda value: [value])
    operator = found.group("operator")
    if not operator:
        return lambda values: (part for part in _everything(values) if read(part))
    wanted, compare = _literal(found.group("value")), _COMPARE[operator]

    def passes(part: Any) -> bool:
        try:
            return any(compare(value, wanted) for value in read(part))
        except TypeError:
            return False

    return lambda values: (part for part in _everything(values) if passes(part))


def _literal(text: str) -> Any:
    if text[:1] in "\"'":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise BadPath(f"{text!r} is no literal") from None

"""Label and field selectors, parsed once and matched often.

`parse_label_selector` reads the query syntax (`app=web,tier in (a,b),!old`), `from_label_selector` the object form
(matchLabels and matchExpressions). Both give a `Selector`; an empty one matches everything. Source: the labels page of
the Kubernetes documentation.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.api import names

LONGEST = 65_536  # characters of a selector in a query; more is refused

_TOKENS = re.compile(r"\s*(!=|==|=|>|<|!|\(|\)|,|[^\s,()=!<>]+)")


class SelectorError(ValueError):
    """The text or the object is no selector."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one key. `operator` is in | notin | exists | !exists | gt | lt."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!exists":
                return value is None
        return _compare(value, self.operator, next(iter(self.values)))


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements must hold."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        if self.nothing:
            return False
        labels = labels or {}
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def is_empty(self) -> bool:
        """True when everything matches."""
        return not self.requirements and not self.nothing


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!exists", "Gt": "gt", "Lt": "lt"}


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Return whether a LabelSelector object matches labels; a missing selector matches nothing."""
    return from_label_selector(selector).matches(labels)


def from_label_selector(selector: Mapping[str, Any] | None) -> Selector:
    """Return a LabelSelector object's meaning: a missing one matches nothing, an empty one everything."""
    if selector is None:
        return NOTHING
    return from_match(selector.get("matchLabels"), selector.get("matchExpressions"))


def from_labels(labels: Mapping[str, str] | None) -> Selector:
    """Return the meaning of a plain map, as a Service's: all pairs, or nothing where it is empty."""
    return from_match(labels, None) if labels else NOTHING


def from_match(labels: Mapping[str, str] | None, expressions: Any) -> Selector:
    """Return the selector of label pairs and of expressions (key, operator, values)."""
    found = [Requirement(key, "in", frozenset((value,))) for key, value in sorted((labels or {}).items())]
    for expression in expressions or ():
        operator = _OPERATORS.get(expression.get("operator"))
        if operator is None:
            raise SelectorError(f"{expression.get('operator')!r} is not a valid label selector operator")
        values = frozenset(expression.get("values") or ())
        if operator in ("in", "notin", "gt", "lt") and not values:
            raise SelectorError(f"operator {expression['operator']} of key {expression.get('key')!r} needs values")
        found.append(Requirement(expression["key"], operator, values))
    return Selector(tuple(found))


def parse_label_selector(text: str) -> Selector:
    """Return the selector that a query's `labelSelector` says; SelectorError when it says none."""
    if not text.strip():
        return EVERYTHING
    return Selector(tuple(_LabelParser(text).requirements()))


class _LabelParser:
    """Recursive descent over the tokens of one selector."""

    def __init__(self, text: str):
        if len(text) > LONGEST:
            raise SelectorError(f"selector has more than {LONGEST} characters")
        self._text = text
        self._tokens = _TOKENS.findall(text)
        if "".join(self._tokens) != re.sub(r"\s+", "", text):
            raise self._error("unexpected characters")
        self._at = 0

    def requirements(self) -> list[Requirement]:
        found = [self._requirement()]
        while self._peek() == ",":
            self._next()
            found.append(self._requirement())
        if self._peek():
            raise self._error(f"found {self._peek()!r}, expected ',' or the end")
        return found

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._next()
            return Requirement(self._key(), "!exists")
        key = self._key()
        operator = self._peek()
        if operator in ("", ","):
            return Requirement(key, "exists")
        self._next()
        if operator in ("=", "=="):
            return Requirement(key, "in", frozenset((self._value(),)))
        if operator == "!=":
            return Requirement(key, "notin", frozenset((self._value(),)))
        if operator in (">", "<"):
            return Requirement(key, "gt" if operator == ">" else "lt", frozenset((self._number(),)))
        if operator in ("in", "notin"):
            return Requirement(key, operator, self._values())
        raise self._error(f"found {operator!r}, expected one of =, ==, !=, in, notin, <, >")

    def _key(self) -> str:
        key = self._next()
        self._refuse(key, names.qualified_name(key))
        return key

    def _value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        value = self._next()
        self._refuse(value, names.label_value(value))
        return value

    def _number(self) -> str:
        value = self._next()
        if not re.fullmatch(r"-?\d{1,19}", value):
            raise self._error(f"{value!r} is not a whole number")
        return value

    def _values(self) -> frozenset[str]:
        if self._next() != "(":
            raise self._error("expected '('")
        values = []
        while True:
            values.append("" if self._peek() in (",", ")") else self._value())
            token = self._next()
            if token == ")":
                return frozenset(values)
            if token != ",":
                raise self._error("expected ',' or ')'")

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _refuse(self, word: str, wrong: Sequence[str]) -> None:
        if wrong:
            raise self._error(f"{word[:256]!r}: {'; '.join(wrong)}")

    def _error(self, why: str) -> SelectorError:
        return SelectorError(f"unable to parse requirement: {why} in {self._text[:256]!r}")


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    field: str
    equal: bool
    value: str


def parse_field_selector(text: str) -> tuple[FieldRequirement, ...]:
    r"""Return what a query's `fieldSelector` says: `a=b,c!=d`, with \\, \, and \= for themselves."""
    found = []
    for term in re.split(r"(?<!\\),", text):
        if not term:
            continue
        match = re.match(r"^((?:[^=!\\]|\\.)+)(==|!=|=)((?:[^=\\]|\\.)*)$", term)
        if match is None:
            raise SelectorError(f"invalid field selector {term[:256]!r}: expected FIELD=VALUE or FIELD!=VALUE")
        field, operator, value = match.groups()
        found.append(FieldRequirement(field.strip(), operator != "!=", re.sub(r"\\(.)", r"\1", value)))
    return tuple(found)


def fields_match(requirements: tuple[FieldRequirement, ...], read: Callable[[str], str]) -> bool:
    """Return whether an object whose fields `read` gives meets all requirements."""
    return all((read(requirement.field) == requirement.value) == requirement.equal for requirement in requirements)


def _compare(value: str | None, operator: str, bound: str) -> bool:
    try:
        number, limit = int(value or ""), int(bound)
    except ValueError:
        return False
    return number > limit if operator == "gt" else number < limit

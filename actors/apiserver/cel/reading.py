"""Names, and what is read of them: fields, indices, `has`.

A name costs 1, and so does each field or index; a name that is a branch of `?:`, or the subject of `has`, is free.

Neighbours: `interpreter` makes steps of these; `frames`.
"""

from dataclasses import replace
from typing import Any

from actors.apiserver.cel import operators
from actors.apiserver.cel.errors import EvaluationError, no_such_overload
from actors.apiserver.cel.frames import Attribute, Frame, Qualifier, Run, Step
from actors.apiserver.cel.values import MISSING, NONE, Lookup, Optional, Uint


class Later:
    """The value of a `cel.bind`, computed when it is first read."""

    __slots__ = ("_made", "_run")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._made: Any = MISSING

    def value(self, frame: Frame) -> Any:
        if self._made is MISSING:
            self._made = self._run(frame)
        return self._made


def reader(name: str, is_plain: bool) -> Run:
    """What reads a name. `is_plain`: it is neither what a loop has come to nor bound later."""
    if is_plain:
        return lambda frame: frame.variables[name]

    def read(frame: Frame) -> Any:
        value = frame.variables[name]
        if value.__class__ is EvaluationError:  # what a loop has come to so far
            raise value
        if value.__class__ is Later:
            return value.value(frame)
        return value

    return read


def qualified(operand: Step, qualifier: Qualifier) -> Step:
    attribute = operand.attribute
    if attribute is None:
        attribute = Attribute(operand.run, "", False, False, ())
    return of_attribute(replace(attribute, qualifiers=(*attribute.qualifiers, qualifier)))


def of_attribute(attribute: Attribute) -> Step:
    own = 0 if attribute.is_choice else 1
    bare = _bare_of(attribute)
    if not attribute.is_choice and all(one.compute is None and not one.is_optional for one in attribute.qualifiers):
        return Step(_chain(attribute, 1), bare, attribute=attribute)

    def run(frame: Frame) -> Any:
        frame.cost += own
        return bare(frame)

    return Step(run, bare, attribute=attribute)


def _bare_of(attribute: Attribute) -> Run:
    if all(one.compute is None and not one.is_optional for one in attribute.qualifiers):
        return _chain(attribute, 0)
    root, qualifiers = attribute.root, attribute.qualifiers

    def run(frame: Frame) -> Any:
        value = root(frame)
        for one in qualifiers:
            key = one.key if one.compute is None else one.compute(frame)
            if one.is_optional:
                value = _optional_member(value, key)
                frame.cost += value.value is not MISSING
            else:
                frame.cost += 1
                value = _member(value, key)
        return value

    return run


def _chain(attribute: Attribute, own: int) -> Run:
    """What reads a name and constant keys, nearly every step of usual expressions."""
    root, keys = attribute.root, tuple(one.key for one in attribute.qualifiers)
    cost = own + len(keys)
    if not keys:
        if not own:
            return root

        name = attribute.name
        if attribute.is_plain:

            def plain_name(frame: Frame) -> Any:
                frame.cost += 1
                return frame.variables[name]

            return plain_name

        def name_alone(frame: Frame) -> Any:
            frame.cost += 1
            return root(frame)

        return name_alone

    def run(frame: Frame) -> Any:
        frame.cost += cost
        value = root(frame)
        for key in keys:
            if value.__class__ is dict and key.__class__ is str:
                try:
                    value = value[key]
                except KeyError:
                    raise EvaluationError(f"no such key: {key}") from None
            else:
                value = _member(value, key)
        return value

    return run


def _member(value: Any, key: Any) -> Any:
    """Return what a value has by a key. Raises EvaluationError."""
    if type(value) is Optional:
        return NONE if value.value is MISSING else _optional_member(value.value, key)
    found = _found(value, key)
    if found is not MISSING:
        return found
    if isinstance(value, list):
        raise EvaluationError(f"index out of bounds: {key}")
    raise EvaluationError(f"no such key: {key}")


def _optional_member(value: Any, key: Any) -> Optional:
    if type(value) is Optional:
        if value.value is MISSING:
            return NONE
        value = value.value
    found = _found(value, key)
    return NONE if found is MISSING else Optional(found)


def _found(value: Any, key: Any) -> Any:
    if type(value) is dict:
        return value.get(key, MISSING) if operators.in_(key, value) else MISSING
    if isinstance(value, list):
        if type(key) is float and key.is_integer():
            key = int(key)
        if type(key) not in (int, Uint):
            raise no_such_overload("_[_]", value, key)
        return value[key] if 0 <= key < len(value) else MISSING
    if isinstance(value, Lookup) and type(key) is str:
        return value.member(key)
    raise no_such_overload("_[_]", value, key)


def presence(operand: Step, name: str) -> Step:
    """`has(a.b)`."""
    subject = operand.bare or operand.run

    def run(frame: Frame) -> bool:
        frame.cost += 1
        value = subject(frame)
        if value.__class__ is dict:
            return name in value
        if type(value) is Optional:
            return value.value is not MISSING and _found(value.value, name) is not MISSING
        if isinstance(value, Lookup):
            return value.has(name)
        raise no_such_overload("has", value)

    return Step(run)

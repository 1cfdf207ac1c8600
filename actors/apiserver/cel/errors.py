"""What can go wrong with an expression, in words for whoever wrote it."""

import re

_KEY_NOT_FOUND = re.compile(r'NOT_FOUND: Key not found in map : "?(.*?)"?$')
_STATUS = re.compile(r"^[A-Z_]+: ")
_STATUS_AT_THE_END = re.compile(r" \[[A-Z_]+\]$")
_NOT_IN_STRUCT = re.compile(r" not found in struct '[^']*'")
_UNDECLARED = re.compile(r"undeclared reference to '(\w+)\.[\w.]+'")  # with what was to be read of it
_DECLARED = re.compile(r"declared\.Object\d+")


class CelError(ValueError):
    """Something is wrong with an expression, or with what it was applied to."""


class CompileError(CelError):
    """The text is no expression, or its types do not fit."""


class EvaluationError(CelError):
    """The expression has no value for what it was applied to: no such key, a division by zero."""


class Stopped(CelError):
    """The expression was not evaluated to its end, and nothing that shares its budget will be."""


class CostExceeded(Stopped):
    """The expression did more than a single one may."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


class OutOfBudget(Stopped):
    """The expressions of one object, policy or webhook did more than they may together."""


class OutOfTime(OutOfBudget):
    """Evaluating took longer than anything that costs what it takes."""


def compile_error(error: Exception) -> CompileError:
    """Return the error for what the compiler said."""
    text = _STATUS_AT_THE_END.sub("", _STATUS.sub("", str(error), count=1)).strip()
    text = _without_consequences(_UNDECLARED.sub(r"undeclared reference to '\1'", text))
    return CompileError(_DECLARED.sub("object", _NOT_IN_STRUCT.sub("", text)))


def _without_consequences(text: str) -> str:
    """Leave out what is only said because something else is wrong: that it has no type."""
    first, *others = text.split("\nERROR: ")
    return "\nERROR: ".join([first, *(one for one in others if "'*error*'" not in one)])


def evaluation_error(text: str) -> EvaluationError:
    """Return the error for what the library's evaluator said."""
    text = _STATUS_AT_THE_END.sub("", text)
    if missing := _KEY_NOT_FOUND.search(text):
        return EvaluationError(f"no such key: {missing.group(1)}")
    if "No matching overloads found" in text:
        return EvaluationError("no such overload: " + text.partition(" : ")[2])
    return EvaluationError(_STATUS.sub("", text, count=1))


def no_such_overload(function: str, *arguments: object) -> EvaluationError:
    """Return the error for a call with values that the function is not for."""
    return EvaluationError(f"no such overload: {function}({', '.join(type(one).__name__ for one in arguments)})")

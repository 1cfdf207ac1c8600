"""What can go wrong with an expression, in words for whoever wrote it."""

import re

_KEY_NOT_FOUND = re.compile(r'NOT_FOUND: Key not found in map : "?(.*?)"?$')
_STATUS = re.compile(r"^[A-Z_]+: ")
_STATUS_AT_THE_END = re.compile(r" \[[A-Z_]+\]$")
_NOT_IN_STRUCT = re.compile(r" not found in struct '[^']*'")
_UNDECLARED = re.compile(r"undeclared reference to '(\w+)\.[\w.]+'")  # with what was to be read of it
_DECLARED = re.compile(r"declared\.Object\d+")
_OVER_BUDGET = "Iteration budget exceeded"


class CelError(ValueError):
    """Something is wrong with an expression, or with what it was applied to."""


class CompileError(CelError):
    """The text is no expression, or its types do not fit."""


class EvaluationError(CelError):
    """The expression has no value for what it was applied to: no such key, a division by zero."""


class BudgetExceeded(EvaluationError):
    """The expression was stopped: it did too much."""


def compile_error(error: Exception) -> CompileError:
    """Return the error for what the compiler said."""
    text = _STATUS_AT_THE_END.sub("", _STATUS.sub("", str(error), count=1)).strip()
    text = _UNDECLARED.sub(r"undeclared reference to '\1'", text)
    return CompileError(_DECLARED.sub("object", _NOT_IN_STRUCT.sub("", text)))


def evaluation_error(text: str) -> EvaluationError:
    """Return the error for what the evaluator said."""
    if _OVER_BUDGET in text:
        return BudgetExceeded("operation cancelled: actual cost limit exceeded")
    text = _STATUS_AT_THE_END.sub("", text)
    if missing := _KEY_NOT_FOUND.search(text):
        return EvaluationError(f"no such key: {missing.group(1)}")
    if "No matching overloads found" in text:
        return EvaluationError("no such overload: " + text.partition(" : ")[2])
    return EvaluationError(_STATUS.sub("", text, count=1))

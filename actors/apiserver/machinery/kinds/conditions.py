"""Conditions of the common form (metav1.Condition), which a status update is held to.

Neighbours: the kinds whose status has such conditions.
"""

import re
from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field

MAX_REASON_CHARS = 1024
MAX_MESSAGE_CHARS = 32_768
_STATES = ("False", "True", "Unknown")
_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_is_reason = re.compile(_REASON).fullmatch


def condition_causes(conditions: list[dict[str, Any]] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    first: dict[str, int] = {}
    for i, condition in enumerate(conditions or ()):
        at, kind = f"{path}[{i}]", condition.get("type", "")
        if kind in first:
            causes.append(field.duplicate(f"{at}.type", kind))
        first.setdefault(kind, i)
        causes += _causes(condition, at)
    return causes


def _causes(condition: dict[str, Any], at: str) -> list[Cause]:
    kind, reason, message = (condition.get(name, "") for name in ("type", "reason", "message"))
    causes = [] if kind else [field.required(f"{at}.type", "must be set")]
    causes += field.messages(f"{at}.type", kind, names.qualified_name(kind))
    causes += field.one_of(f"{at}.status", condition.get("status", ""), _STATES)
    causes += field.non_negative(f"{at}.observedGeneration", condition.get("observedGeneration"))
    if not condition.get("lastTransitionTime"):
        causes.append(field.required(f"{at}.lastTransitionTime", "must be set"))
    if not reason:
        causes.append(field.required(f"{at}.reason", "must be set"))
    elif len(reason) > MAX_REASON_CHARS:
        causes.append(field.too_long(f"{at}.reason", MAX_REASON_CHARS))
    elif not _is_reason(reason):
        detail = (
            "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
            "characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  "
            f"or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '{_REASON}')"
        )
        causes.append(field.invalid(f"{at}.reason", reason, detail))
    if len(message) > MAX_MESSAGE_CHARS:
        causes.append(field.too_long(f"{at}.message", MAX_MESSAGE_CHARS))
    return causes

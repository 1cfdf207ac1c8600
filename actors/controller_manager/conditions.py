"""Status conditions, changed in place in a status that the caller owns.

`lastTransitionTime` moves only when the status value changes. A condition that says the same already is left alone, so
that a converged object gets no write.
"""

from typing import Any

from actors.api import meta


def set_condition(status: dict[str, Any], type_: str, value: str, reason: str, message: str, now: float) -> None:
    """Set a condition of a status."""
    conditions = status.get("conditions")
    status["conditions"] = meta.set_condition(conditions, type_, value, reason, message, meta.rfc3339(now))


def remove_condition(status: dict[str, Any], type_: str) -> None:
    conditions = status.get("conditions")
    if not conditions:
        return
    kept = [entry for entry in conditions if entry.get("type") != type_]
    if kept:
        status["conditions"] = kept
    else:
        del status["conditions"]

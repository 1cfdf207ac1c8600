"""Requests and limits: names, amounts, and that no request exceeds its limit."""

from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field, names, quantities

STANDARD = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES = "hugepages-"


def requirements_causes(resources: dict[str, Any] | None, path: str) -> list[Cause]:
    """Return what is wrong with a container's resources."""
    if not resources:
        return []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    causes = _list_causes(limits, f"{path}.limits") + _list_causes(requests, f"{path}.requests")
    for name, request in requests.items():
        limit = limits.get(name)
        if limit is None:
            if not _overcommits(name):
                causes.append(field.required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
        elif _overcommits(name) and quantities.amount(request) > quantities.amount(limit):
            detail = f"must be less than or equal to {name} limit of {limit}"
            causes.append(field.invalid(f"{path}.requests", request, detail))
        elif not _overcommits(name) and quantities.amount(request) != quantities.amount(limit):
            detail = f"must be equal to {name} limit of {limit}"
            causes.append(field.invalid(f"{path}.requests", request, detail))
    return causes


def _list_causes(amounts: dict[str, str], path: str) -> list[Cause]:
    causes = []
    for name, amount in amounts.items():
        at = f"{path}[{name}]"
        causes += _name_causes(name, at)
        causes += amount_causes(amount, at)
        if "/" in name and quantities.amount(amount) % 1:
            causes.append(field.invalid(at, amount, "must be an integer"))
    return causes


def _name_causes(name: str, path: str) -> list[Cause]:
    causes = field.messages(path, name, names.qualified_name(name))
    if not causes and "/" not in name and name not in STANDARD and not name.startswith(_HUGE_PAGES):
        causes.append(field.invalid(path, name, "must be a standard resource type or fully qualified"))
        causes.append(field.invalid(path, name, "must be a standard resource for containers"))
    return causes


def amount_causes(amount: str, path: str) -> list[Cause]:
    """Return a cause for a negative amount."""
    if quantities.amount(amount) < 0:
        return [field.invalid(path, amount, "must be greater than or equal to 0")]
    return []


def _overcommits(name: str) -> bool:
    """Only cpu, memory and the like may be requested below the limit; extended resources and huge pages may not."""
    return ("/" not in name or "kubernetes.io/" in name) and not name.startswith(_HUGE_PAGES)

"""Requests and limits: names, amounts, and that no request exceeds its limit."""

from collections.abc import Iterable
from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field, quantities

STANDARD = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES = "hugepages-"


def requirements_causes(resources: dict[str, Any] | None, path: str, claims: Iterable[str] = ()) -> list[Cause]:
    """Return what is wrong with a container's resources. `claims` are the names of its pod's resource claims."""
    if not resources:
        return []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    causes = _list_causes(limits, f"{path}.limits") + _list_causes(requests, f"{path}.requests")
    named = {*limits, *requests}
    if any(name.startswith(_HUGE_PAGES) for name in named) and not named & {"cpu", "memory"}:
        causes.append(field.forbidden(path, "HugePages require cpu or memory"))
    causes += _claim_causes(resources.get("claims"), f"{path}.claims", sorted(claims))
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


def _claim_causes(used: list[dict] | None, path: str, known: list[str]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, claim in enumerate(used or ()):
        at, name = f"{path}[{i}]", claim.get("name", "")
        if not name:
            causes.append(field.required(at))
            continue
        if name in seen:
            causes.append(field.duplicate(at, name))
        seen.add(name)
        if name not in known:
            there = f": {', '.join(known)}" if known else " which is empty"
            found = field.not_found(at, name)
            detail = f"{found.message}: must be one of the names in pod.spec.resourceClaims{there}"
            causes.append(Cause(found.reason, detail, at))
    return causes


def _list_causes(amounts: dict[str, str], path: str) -> list[Cause]:
    causes = []
    for name, amount in amounts.items():
        at = f"{path}[{name}]"
        causes += _name_causes(name, at)
        causes += amount_causes(amount, at)
        if "/" in name and not quantities.is_whole(amount):
            causes.append(field.invalid(at, amount, "must be an integer"))
        if name.startswith(_HUGE_PAGES) and not _is_divisible(name, amount):
            causes.append(field.invalid(at, amount, f"{amount} is not positive integer multiple of {name}"))
    return causes


def _is_divisible(name: str, amount: str) -> bool:
    """Is it a number of whole pages, at least one?"""
    try:
        page = quantities.amount(name.removeprefix(_HUGE_PAGES))
    except ValueError:
        return False
    return quantities.is_multiple(amount, page)


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

"""What becomes of a quota's status: `hard` is the spec's, `used` is what was counted. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from actors.api.quota.amounts import Amounts, amounts, written
from actors.api.quota.usage import group_resource_of, total
from actors.controller_manager.actions import Action, Update

Object = dict[str, Any]


def counted_resources(quota: Object) -> set[str]:
    """Return what must be listed to count a quota, as plural[.group]."""
    return {group_resource_of(name) for name in (quota.get("spec") or {}).get("hard") or {}} - {""}


def reconcile(quota: Object, content: Mapping[str, Sequence[Object]], now: float) -> list[Action]:
    """Return the update that makes the status true. `content`: all objects of each counted resource that is served.

    A name that nothing is counted by has no usage, as in Kubernetes.
    """
    used: Amounts = {}
    for resource, objs in content.items():
        used |= total(quota, resource, objs, now)
    hard = (quota.get("spec") or {}).get("hard") or {}
    status = quota.get("status") or {}
    if _same(status.get("hard"), hard) and _same(status.get("used"), written(used)):
        return []
    wanted = {"hard": hard, "used": written(used)}
    return [Update("resourcequotas", {**quota, "status": wanted}, subresource="status")]


def _same(one: Mapping[str, str] | None, other: Mapping[str, str]) -> bool:
    left, right = amounts(one), amounts(other)
    return left.keys() == right.keys() and all(left[name].value == right[name].value for name in left)

"""What a write would add to the ResourceQuotas of its namespace, and whether they have room. Pure.

Source: Kubernetes' ResourceQuota plugin. Neighbours: `quota` reads the quotas and charges them; `actors.api.quota`
knows what objects use.
"""

from collections.abc import Mapping
from typing import Any

from actors.api.quota.amounts import Amounts, added, amounts, masked, shown, written
from actors.api.quota.usage import UNCOUNTED, matching, speaks_of, undeclared, usage
from actors.apiserver.admission.attributes import CREATE, UPDATE

Object = dict[str, Any]

_ALSO_UPDATED = frozenset({"services", "persistentvolumeclaims"})  # kinds whose use of a quota an update may change


class Exceeded(Exception):
    """A quota has no room, or demands what the object does not declare; the text says which, as Kubernetes does."""


def concerns(group_resource: str, subresource: str, operation: str) -> bool:
    """Can this write change what is used?"""
    if group_resource in UNCOUNTED:
        return False
    if operation == CREATE:
        return not subresource
    if operation != UPDATE:
        return False
    if group_resource == "pods":
        return subresource == "resize"
    return not subresource and group_resource in _ALSO_UPDATED


def needed_names(quota: Object, group_resource: str, obj: Object) -> list[str]:
    """Return the names of a quota that this object is charged for; [] when the quota does not speak of it."""
    names = matching(group_resource, (quota.get("spec") or {}).get("hard") or {})
    return names if speaks_of(quota, group_resource, obj, names) else []


def charge(
    quota: Object, names: list[str], group_resource: str, obj: Object, old: Object | None, now: float
) -> dict[str, str] | None:
    """Return what will be used once the write is done; None when it changes nothing. Raises Exceeded.

    `quota.status.used` has all `names`: whoever calls has counted what was missing.
    """
    name = quota["metadata"]["name"]
    if group_resource == "pods":
        missing = undeclared(obj, names)
        if missing:
            raise Exceeded(f"failed quota: {name}: must specify {missing}")
    more = masked(usage(group_resource, obj, now), names)
    negative = sorted(which for which, one in more.items() if one.value < 0)
    if negative:
        raise Exceeded(f"quota usage is negative for resource(s): {','.join(negative)}")
    if old is not None and speaks_of(quota, group_resource, old, names):
        more = _increase(more, usage(group_resource, old, now))
    more = {which: one for which, one in more.items() if one.value}
    if not more:
        return None
    hard, used = amounts(quota["spec"]["hard"]), amounts(quota["status"]["used"])
    after = added(used, more)
    exceeded = [which for which in more if after[which].value > hard[which].value]
    if exceeded:
        wanted, had, limit = (shown(masked(listed, exceeded)) for listed in (more, used, hard))
        raise Exceeded(f"exceeded quota: {name}, requested: {wanted}, used: {had}, limited: {limit}")
    return written(after)


def _increase(new: Amounts, old: Mapping[str, Any]) -> Amounts:
    """What is more than before; less frees nothing here, for only the controller, which counts, gives back."""
    grown = {name: one - old[name] if name in old else one for name, one in new.items()}
    return {name: one for name, one in grown.items() if one.value > 0}

"""LimitRanger: a namespace's LimitRanges give Pods defaults, and bound Pods and claims.

Neighbours: `limits` has the rules; `chain` calls `default` before validation and `check` after it.
"""

from typing import Any

from actors.apiserver.admission import limits
from actors.apiserver.admission.attributes import CREATE, Admission

PREFIX = b"/registry/limitranges/"

Object = dict[str, Any]


def default(asked: Admission, pod: Object) -> None:
    for limit_range in _of_namespace(asked):
        limits.fill_in(pod, limit_range)


def check(asked: Admission, obj: Object) -> None:
    """Refuse what breaks a bound. A Pod is looked at when it is made, for later its resources do not change."""
    ranges = _of_namespace(asked)
    if not ranges:
        return
    is_pod = asked.resource.plural == "pods"
    if is_pod and asked.operation != CREATE:
        return
    for limit_range in ranges:
        found = limits.pod_violations(obj, limit_range) if is_pod else limits.claim_violations(obj, limit_range)
        if found:
            raise asked.forbidden(limits.together(found))


def _of_namespace(asked: Admission) -> list[Object]:
    cache = asked.parts.cache.at(PREFIX)
    if not cache.entries:
        return []
    return [entry.decode() for entry in cache.within(PREFIX + asked.namespace.encode() + b"/")]

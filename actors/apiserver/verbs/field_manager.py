"""Who a write is tracked as: the client's `fieldManager`, or the start of its user agent.

Neighbours: `machinery.apply.managers` keeps the rules; every verb that tracks asks.
"""

import functools

from actors.api import errors
from actors.api.meta import rfc3339
from actors.apiserver.call import ApiCall
from actors.apiserver.machinery.apply.managers import Writer, manager_causes, manager_name
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server

_META_GROUP = "meta.k8s.io"


def writer_of(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Writer:
    """Return the writer of a request. Raises ApiError Invalid for a fieldManager that cannot be one."""
    manager = info.query.get("fieldManager", "")
    if manager and (causes := manager_causes(manager, "fieldManager")):
        raise errors.invalid(f"{info.verb.capitalize()}Options", "", causes, group=_META_GROUP)
    now = _text_of(int(server.clock.wall()))
    return Writer(manager_name(manager, call.user_agent), resource.api_version, info.subresource, now)


@functools.lru_cache(maxsize=2)
def _text_of(second: int) -> str:
    """Every write needs the time, and thousands of writes have the same."""
    return rfc3339(second)


def check_apply_options(info: RequestInfo, is_apply: bool) -> None:
    """Raise ApiError Invalid for an apply by nobody, and for `force` without an apply."""
    cause = None
    if is_apply and not info.query.get("fieldManager"):
        cause = errors.Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
    elif not is_apply and "force" in info.query:
        cause = errors.Cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force")
    if cause is not None:
        raise errors.invalid("PatchOptions", "", [cause], group=_META_GROUP)

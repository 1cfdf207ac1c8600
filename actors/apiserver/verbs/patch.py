"""PATCH of an object, its status or another part of it: by its media type a patch, or an apply.

Neighbours: `update.patch` makes an object of a patch, `apply` of an applied configuration.
"""

from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.apply.request import is_apply
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.verbs import update
from actors.apiserver.verbs.apply import apply
from actors.apiserver.verbs.field_manager import check_apply_options


async def patch(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    if is_apply(call.content_type):
        return await apply(server, call, info, resource)
    check_apply_options(info, is_apply=False)
    return await update.patch(server, call, info, resource)

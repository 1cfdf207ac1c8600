"""The scale subresource: replicas read and written through an autoscaling/v1 Scale.

Neighbours: `machinery.scale` converts; `update.Updating` writes.
"""

import copy
from typing import Any

import orjson

from actors.api import errors
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.decode import decode_as
from actors.apiserver.machinery.patch import apply_patch_as
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.scale import apply_scale, to_scale
from actors.apiserver.reads import settle
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.verbs.update import Updating
from actors.apiserver.verbs.write_options import field_validation

GROUP, VERSION, KIND = "autoscaling", "v1", "Scale"


async def get_scale(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    await settle(server, info.query.get("resourceVersion", ""))
    entry = server.cache.of(resource).entries.get(resource.key(info.namespace, info.name))
    if entry is None:
        raise errors.not_found(resource.group_resource, info.name)
    return _answer(resource, entry)


async def update_scale(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    scale, warnings = decode_as(GROUP, VERSION, KIND, call.body, call.content_type, field_validation(info))

    def make(current: dict[str, Any]) -> dict[str, Any]:
        return apply_scale(resource, copy.deepcopy(current), scale)

    return _answer(resource, await Updating(server, call, info, resource).run(make), warnings)


async def patch_scale(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    warnings: list[str] = []

    def make(current: dict[str, Any]) -> dict[str, Any]:
        seen = to_scale(resource, current)
        scale, warnings[:] = apply_patch_as(
            f"{GROUP}/{VERSION}", KIND, seen, call.body, call.content_type, field_validation(info)
        )
        return apply_scale(resource, copy.deepcopy(current), scale)

    return _answer(resource, await Updating(server, call, info, resource).run(make), warnings)


def _answer(resource: Resource, entry: Entry, warnings: list[str] | None = None) -> Answer:
    return Answer(200, orjson.dumps(to_scale(resource, entry.decode())), warnings=warnings)

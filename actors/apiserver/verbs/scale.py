"""The scale subresource: replicas read and written through an autoscaling/v1 Scale.

Neighbours: `machinery.scale` converts; `update.Updating` writes.
"""

import copy
from typing import Any

import orjson

from actors.api import errors
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.apply.request import absent, applied, configuration, is_apply
from actors.apiserver.machinery.columns.cells import AGE, NAME, number
from actors.apiserver.machinery.decode import decode_as
from actors.apiserver.machinery.patch import apply_patch_as
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.scale import apply_scale, to_scale
from actors.apiserver.negotiation import negotiate
from actors.apiserver.reads import settle
from actors.apiserver.representation import Representation
from actors.apiserver.request_info import RequestInfo, is_true
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.verbs.field_manager import check_apply_options, writer_of
from actors.apiserver.verbs.update import Updating
from actors.apiserver.verbs.write_options import field_validation

GROUP, VERSION, KIND = "autoscaling", "v1", "Scale"
SCALES = Resource(  # how a Scale is shown by itself
    group=GROUP, version=VERSION, kind=KIND, plural="scales", singular="scale", namespaced=True,
    columns=(NAME, number("Desired", "spec.replicas"), number("Available", "status.replicas"), AGE),
)  # fmt: skip


async def get_scale(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    await settle(server, info.query.get("resourceVersion", ""), resource)
    entry = server.cache.of(resource).entries.get(resource.key(info.namespace, info.name))
    if entry is None:
        raise errors.not_found(resource.group_resource, info.name)
    return _answer(server, call, info, resource, entry)


async def update_scale(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    scale, warnings = decode_as(GROUP, VERSION, KIND, call.body, call.content_type, field_validation(info))

    def make(current: dict[str, Any]) -> dict[str, Any]:
        return apply_scale(resource, copy.deepcopy(current), scale)

    entry = await Updating(server, call, info, resource).run(make)
    return _answer(server, call, info, resource, entry, warnings)


async def patch_scale(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    check_apply_options(info, is_apply(call.content_type))
    if is_apply(call.content_type):
        return await _apply_scale(server, call, info, resource)
    warnings: list[str] = []

    def make(current: dict[str, Any]) -> dict[str, Any]:
        seen = to_scale(resource, current)
        scale, warnings[:] = apply_patch_as(
            f"{GROUP}/{VERSION}", KIND, seen, call.body, call.content_type, field_validation(info)
        )
        return apply_scale(resource, copy.deepcopy(current), scale)

    entry = await Updating(server, call, info, resource).run(make)
    return _answer(server, call, info, resource, entry, warnings)


async def _apply_scale(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    """Apply to the object what an applied Scale says of its replicas."""
    scale, warnings = configuration(f"{GROUP}/{VERSION}", KIND, call.body, field_validation(info))
    config: dict[str, Any] = {**absent(resource), "metadata": {"name": info.name}}
    if "replicas" in (scale.get("spec") or {}):
        config = apply_scale(resource, {**config, "spec": {}}, scale)
    force = is_true(info.query.get("force"))

    def make(current: dict[str, Any]) -> dict[str, Any]:
        return applied(current, config, writer_of(server, call, info, resource), force)

    entry = await Updating(server, call, info, resource, is_tracked=True).run(make)
    return _answer(server, call, info, resource, entry, warnings)


def _answer(
    server: Server,
    call: ApiCall,
    info: RequestInfo,
    resource: Resource,
    entry: Entry,
    warnings: list[str] | None = None,
) -> Answer:
    """Answer with a Scale in the form that the client accepts."""
    shown = Representation(SCALES, negotiate(call.accept), info.query, server.clock)
    scale = orjson.dumps(to_scale(resource, entry.decode()))
    return Answer(200, shown.one(scale), shown.content_type, warnings=warnings)

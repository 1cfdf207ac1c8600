"""Server-side apply: a PATCH that says what its manager wants the object to be, and creates what is not there.

An apply to an object is one guaranteed update, like any other patch; an apply to nothing is a creation, and its author
must be allowed to create. Whichever comes first when two apply at once, the other one sees it.

Neighbours: `update` and `create` do the writing; `machinery.apply` the merging.
"""

from typing import Any

from actors.api import errors
from actors.apiserver.auth.rules import Attributes
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.apply.request import absent, applied, configuration, for_path
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.request_info import RequestInfo, is_true
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.verbs import create, update
from actors.apiserver.verbs.field_manager import check_apply_options, writer_of
from actors.apiserver.verbs.write_options import field_validation, is_dry_run, written


async def apply(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    check_apply_options(info, is_apply=True)
    config, warnings = configuration(resource.api_version, resource.kind, call.body, field_validation(info))
    update.check_name(resource, info, config)
    config = for_path(resource, config, info.subresource)
    for _ in range(update.ATTEMPTS):
        try:
            entry, said = await _to_object(server, call, info, resource, config)
            return written(server, call, info, resource, entry, 200, warnings + said)
        except errors.ApiError as error:
            if error.reason != "NotFound" or info.subresource:
                raise
        try:
            entry, said = await _to_nothing(server, call, info, resource, config)
            return written(server, call, info, resource, entry, 201, warnings + said)
        except errors.ApiError as error:
            if error.reason != "AlreadyExists":
                raise
    raise errors.conflict(resource.group_resource, info.name, "the object is being created and deleted all the time")


async def _to_object(
    server: Server, call: ApiCall, info: RequestInfo, resource: Resource, config: dict[str, Any]
) -> tuple[Entry, list[str]]:
    """Return the object, and what admission warns of."""
    force = is_true(info.query.get("force"))

    def make(current: dict[str, Any]) -> dict[str, Any]:
        return applied(current, config, writer_of(server, call, info, resource), force)

    updating = update.Updating(server, call, info, resource, is_tracked=True)
    return await updating.run(make), updating.warnings


async def _to_nothing(
    server: Server, call: ApiCall, info: RequestInfo, resource: Resource, config: dict[str, Any]
) -> tuple[Entry, list[str]]:
    asked = Attributes("create", info.group, info.resource, "", info.namespace, info.name)
    await server.authorizer.check_by_all(call.identity, asked)
    if "create" not in resource.verbs:
        raise errors.not_found(resource.group_resource, info.name)
    metadata = config["metadata"]
    if metadata.get("uid"):
        why = f"uid mismatch: the provided object specified uid {metadata['uid']}, and no existing object was found"
        raise errors.conflict(resource.group_resource, info.name, why)
    if metadata.get("resourceVersion"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    obj = applied(absent(resource), config, writer_of(server, call, info, resource), False)
    said: list[str] = []
    entry = await create.create_object(server, call, info, resource, obj, is_dry_run(info), said, is_tracked=True)
    return entry, said

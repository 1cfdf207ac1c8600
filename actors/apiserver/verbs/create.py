"""create: a new object out of a body, checked, filled in, admitted and stored.

Order: decode; namespace; name; what the server owns; defaults; admission that changes; validation; admission that only
checks; addresses; one txn, with what is charged to quotas.

Neighbours: `machinery` for all that is pure, `admission`, `allocate`, `storage.store`.
"""

from collections.abc import Awaitable
from typing import Any

from actors.api import errors
from actors.apiserver.admission import namespace as namespaces
from actors.apiserver.admission import quota
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.admission.chain import admit_create, check, has_no_step
from actors.apiserver.allocate.claims import Allocation, allocation_for
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.apply.tracking import track_create
from actors.apiserver.machinery.decode import decode
from actors.apiserver.machinery.owners import without_duplicates
from actors.apiserver.machinery.prepare import generate_name, prepare_for_create
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.stored import encode_stored
from actors.apiserver.machinery.uids import new_uid
from actors.apiserver.machinery.validation import validate
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.storage.charge import Charge
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.store import ClaimTaken
from actors.apiserver.verbs.field_manager import writer_of
from actors.apiserver.verbs.write_options import create_options, field_validation, is_dry_run, written

GENERATED_NAME_ATTEMPTS = 8  # Kubernetes' number; a name that is taken this often means a full namespace
CLAIM_ATTEMPTS = 64  # addresses tried for one Service before giving up


async def create(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    if info.name or (resource.namespaced and not info.namespace):
        raise errors.method_not_allowed()
    dry_run = is_dry_run(info)
    obj, warnings = decode(resource, call.body, call.content_type, field_validation(info))
    metadata = obj.setdefault("metadata", {})
    check_namespace(resource, info, metadata)
    if metadata.get("resourceVersion"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    entry = await create_object(server, call, info, resource, obj, dry_run, warnings)
    return written(server, call, info, resource, entry, 201, warnings)


def check_namespace(resource: Resource, info: RequestInfo, metadata: dict[str, Any]) -> None:
    """Give an object the namespace of its path; BadRequest when it names another."""
    given = metadata.get("namespace", "")
    if not resource.namespaced:
        return
    if given and given != info.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = info.namespace


async def create_object(
    server: Server,
    call: ApiCall,
    info: RequestInfo,
    resource: Resource,
    obj: dict[str, Any],
    dry_run: bool,
    warnings: list[str],
    *,
    is_tracked: bool = False,
) -> Entry:
    """Store a decoded object; where its name is to be generated, try again with another one when it is taken.

    `is_tracked`: the object has its managed fields already. What its writer is warned of is added to `warnings`.
    """
    metadata = obj["metadata"]
    warnings += without_duplicates(metadata)
    if resource.namespaced and not namespaces.is_open(server, info.namespace):
        await namespaces.admit_create(server, resource, info.namespace, metadata.get("name", ""))
    asked = Admission(
        server, call.identity, resource, info.namespace, "", dry_run=dry_run, options=create_options(info),
        warnings=warnings, annotations=call.annotations,
    )  # fmt: skip
    prefix = metadata.get("generateName", "")
    generated = bool(prefix) and not metadata.get("name")
    attempts = GENERATED_NAME_ATTEMPTS if generated else 1
    for attempt in range(attempts):
        if generated:
            metadata["name"] = generate_name(prefix, server.random)
        asked.name = metadata.get("name", "")
        try:
            if attempt == 0:
                _prepare(server, asked, call, info, obj, is_tracked)
                if has_no_step(server.hooks, asked):
                    resource.strategy.settle(obj)
                    validate(resource, obj)
                    warnings += resource.strategy.warnings(obj)
                else:
                    await _admit(server, asked, obj)
            return await _store(server, asked, obj)
        except errors.ApiError as error:
            if error.reason != "AlreadyExists" or attempt + 1 == attempts:
                raise
    raise AssertionError("the last attempt returns or raises")


def _prepare(
    server: Server, asked: Admission, call: ApiCall, info: RequestInfo, obj: dict[str, Any], is_tracked: bool
) -> None:
    resource = asked.resource
    writer = writer_of(server, call, info, resource)

    def track() -> None:
        if not is_tracked:
            track_create(obj, writer, has_status="status" in resource.subresources)

    prepare_for_create(resource, obj, new_uid(), writer.now, track)


async def _admit(server: Server, asked: Admission, obj: dict[str, Any]) -> None:
    await admit_create(server.hooks, asked, obj)
    asked.resource.strategy.settle(obj)
    validate(asked.resource, obj)
    asked.warnings += asked.resource.strategy.warnings(obj)
    await check(server.hooks, asked, obj, None)


def _store(server: Server, asked: Admission, obj: dict[str, Any]) -> Awaitable[Entry]:
    """Return the work of storing an object: of most, that is one txn and nothing besides."""
    resource = asked.resource
    allocation = allocation_for(server, resource)
    if allocation or resource.conversion or asked.dry_run or server.quotas.concerns(asked):
        return _store_with(server, allocation, asked, obj)
    return server.store.create(resource, asked.namespace, obj["metadata"]["name"], obj)


async def _store_with(server: Server, allocation: Allocation | None, asked: Admission, obj: dict[str, Any]) -> Entry:
    """Store an object that needs addresses, is converted, is charged to a quota, or is only rehearsed."""
    resource, namespace = asked.resource, asked.namespace
    name = obj["metadata"]["name"]
    for _ in range(CLAIM_ATTEMPTS if allocation else 1):
        claims = await allocation.fill_in(obj, None) if allocation else ()
        stored = obj if resource.conversion is None else resource.conversion.to_stored(obj)
        if asked.dry_run:
            return await _rehearsed(server, asked, obj, stored)

        def write(charges: list[Charge], stored=stored, claims=claims) -> Awaitable[Entry]:
            return server.store.create(resource, namespace, name, stored, claims, charges)

        try:
            if server.quotas.concerns(asked):
                return await quota.charged(server.quotas, asked, obj, None, write)
            return await write([])
        except ClaimTaken as taken:
            assert allocation is not None, "only an allocation claims"
            allocation.refuse(taken.keys)
    raise errors.internal(f"no free address was found for {resource.group_resource} {name}")


async def _rehearsed(server: Server, asked: Admission, obj: dict[str, Any], stored: dict[str, Any]) -> Entry:
    """What a dry run answers: the object as it would be, without a resourceVersion of its own."""
    resource, name = asked.resource, obj["metadata"]["name"]
    key = resource.key(asked.namespace, name)
    if key in server.cache.of(resource).entries:
        raise errors.already_exists(resource.group_resource, name)
    if server.quotas.concerns(asked):
        await quota.charges_for(server.quotas, asked, obj, None)
    return Entry(key, encode_stored(stored), 0)

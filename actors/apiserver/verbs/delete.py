"""delete and deletecollection.

A deletion is a guaranteed update like any other: `deletion.decide` says what becomes of the newest object, and one txn
does it, releasing what the object had claimed.

Neighbours: `deletion` decides; `storage.store` writes; `eviction` deletes through `remove`.
"""

import asyncio
from typing import Any

from actors.api import errors
from actors.apiserver.admission.attributes import DELETE, Admission
from actors.apiserver.admission.chain import admit_delete
from actors.apiserver.allocate.claims import claims_of
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.integers import whole
from actors.apiserver.machinery import field
from actors.apiserver.machinery.decode import decode_options
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.negotiation import PLAIN
from actors.apiserver.representation import Representation
from actors.apiserver.request_info import RequestInfo, is_true
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.selection import parse
from actors.apiserver.storage.store import Write
from actors.apiserver.verbs.deletion import DeleteOptions, check_preconditions, decide
from actors.apiserver.verbs.list import find_page
from actors.apiserver.verbs.write_options import DRY_RUN_ALL, invalid_options, success, written

# Kinds whose deletion is answered with the object; that of others with a Status, as Kubernetes does.
RETURNED = frozenset({"pods", "services", "serviceaccounts", "podtemplates", "resourcequotas", "persistentvolumes",
                      "persistentvolumeclaims"})  # fmt: skip
PROPAGATIONS = ("Background", "Foreground", "Orphan")
COLLECTION_WORKERS = 16  # deletions of a collection at a time


async def delete(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    options = read_options(call, info)
    asked = deletion_of(server, call, resource, info.namespace, info.name, options)
    entry, stays = await remove(server, asked, options)
    if stays and resource.group_resource == "namespaces":
        await server.cache.wait_for(entry.revision)  # so that no creation that follows the answer slips in
    if stays or resource.group_resource in RETURNED:
        return written(server, call, info, resource, entry, 200, asked.warnings)
    details = {"name": info.name, "kind": resource.plural, "uid": entry.decode()["metadata"].get("uid", "")}
    if resource.group:
        details["group"] = resource.group
    return success(details=details, warnings=asked.warnings)


async def delete_collection(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    options = read_options(call, info)
    selection = parse(resource, info.query, server.cache.of(resource).fields)
    page = await find_page(server, info, resource, selection)
    left = iter(page.entries)
    prefix = len(resource.storage_prefix)

    async def work() -> None:
        for entry in left:
            namespace, _, name = entry.key[prefix:].decode().rpartition("/")
            try:
                await remove(server, deletion_of(server, call, resource, namespace, name, options), options)
            except errors.ApiError as error:
                if error.reason != "NotFound":  # gone already: somebody else was faster
                    raise

    await asyncio.gather(*(work() for _ in range(min(COLLECTION_WORKERS, len(page.entries)))))
    shown = Representation(resource, PLAIN, info.query, server.clock)
    return Answer(200, shown.many([e.body for e in page.entries], {"resourceVersion": str(page.revision)}))


def deletion_of(
    server: Server, call: ApiCall, resource: Resource, namespace: str, name: str, options: DeleteOptions
) -> Admission:
    return Admission(
        server, call.identity, resource, namespace, name, operation=DELETE, dry_run=options.dry_run,
        options=options.to_dict(), annotations=call.annotations,
    )  # fmt: skip


async def remove(server: Server, asked: Admission, options: DeleteOptions) -> tuple[Entry, bool]:
    """Delete an object; return it as it is left (or was last), and whether it is still there. Raises ApiError."""
    resource = asked.resource

    async def change(obj: dict[str, Any], entry: Entry) -> Write:
        check_preconditions(resource, obj, options)
        asked.warnings.clear()
        asked.annotations.clear()
        await admit_delete(server.hooks, asked, await _as_asked(resource, obj, entry))
        claims = claims_of(resource, obj)
        left = decide(resource, obj, options, server.clock.wall())
        return Write(left, releases=claims if left is None else ())

    return await server.store.update(resource, asked.namespace, asked.name, change, dry_run=options.dry_run)


async def _as_asked(resource: Resource, obj: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """Return a stored object as the version that is asked for shows it."""
    if resource.custom is not None:
        return (await resource.custom.view(entry)).decode()
    return obj if resource.conversion is None else resource.conversion.from_stored(obj)


def read_options(call: ApiCall, info: RequestInfo) -> DeleteOptions:
    """Read DeleteOptions of the body, or of the query when there is no body."""
    body = decode_options(call.body, call.content_type)
    if body:
        preconditions = body.get("preconditions") or {}
        propagation = body.get("propagationPolicy", "")
        orphan = body.get("orphanDependents")
        grace = body.get("gracePeriodSeconds")
        dry_run = body.get("dryRun") or []
        dry_run = dry_run[0] if dry_run else info.query.get("dryRun", "")
    else:
        preconditions, propagation = {}, info.query.get("propagationPolicy", "")
        orphan = is_true(info.query["orphanDependents"]) if "orphanDependents" in info.query else None
        grace = whole("gracePeriodSeconds", info.query.get("gracePeriodSeconds", ""))
        dry_run = info.query.get("dryRun", "")
    if dry_run not in ("", DRY_RUN_ALL):
        raise invalid_options(info, field.not_supported("dryRun", [dry_run], [DRY_RUN_ALL]))
    if orphan is not None and propagation:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        raise invalid_options(info, field.invalid("propagationPolicy", propagation, detail))
    if propagation not in ("", *PROPAGATIONS):
        raise invalid_options(info, field.not_supported("propagationPolicy", propagation, PROPAGATIONS))
    if orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    return DeleteOptions(
        grace, propagation, preconditions.get("uid", ""), preconditions.get("resourceVersion", ""), bool(dry_run)
    )

"""update and patch: an object, or its status, made into what the client says, if it still is what the client thinks.

Both are one guaranteed update: the new object is made from the body or by applying the patch to the newest one, then
checked the same way. An update that takes the last finalizer of an object that is being deleted removes it.

Neighbours: `storage.store` runs the update; `deletion` says when an object may go; `scale` reuses `changed`.
"""

from typing import Any

from actors.api import errors
from actors.apiserver.admission import quota
from actors.apiserver.admission.attributes import UPDATE, Admission
from actors.apiserver.admission.chain import admit_update, check
from actors.apiserver.allocate.claims import Allocation, allocation_for, claims_of
from actors.apiserver.auth.rules import Attributes
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.apply.tracking import same_but_times, track_update
from actors.apiserver.machinery.decode import decode
from actors.apiserver.machinery.owners import without_duplicates
from actors.apiserver.machinery.patch import apply_patch
from actors.apiserver.machinery.prepare import carry_over, prepare_for_status_update, prepare_for_update
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.validation import validate, validate_metadata, validate_status
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.storage.charge import Charge, ChargeMoved, Claim
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.store import ClaimTaken, Write
from actors.apiserver.verbs.create import CLAIM_ATTEMPTS, check_namespace, create_object
from actors.apiserver.verbs.deletion import may_go
from actors.apiserver.verbs.field_manager import writer_of
from actors.apiserver.verbs.write_options import field_validation, is_dry_run, patch_options, update_options, written

ATTEMPTS = 8  # at finding the object there or not; only where it is created and deleted all the time are they used up
STATUS = "status"
PARTS = frozenset({"approval", "ephemeralcontainers", "resize"})  # subresources of the kind that change a part of it


async def update(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    """PUT of an object or of its status."""
    first, warnings = decode(resource, call.body, call.content_type, field_validation(info))
    check_name(resource, info, first)
    waiting: list[dict[str, Any]] = [first]

    def make(current: dict[str, Any]) -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        again, _ = decode(resource, call.body, call.content_type, field_validation(info))
        check_name(resource, info, again)
        return again

    for _ in range(ATTEMPTS):
        updating = Updating(server, call, info, resource)
        try:
            entry = await updating.run(make)
            return written(server, call, info, resource, entry, 200, warnings + updating.warnings)
        except errors.ApiError as error:
            if error.reason != "NotFound" or info.subresource or not resource.strategy.allow_create_on_update:
                raise
        try:
            return await _create(server, call, info, resource)
        except errors.ApiError as error:
            if error.reason != "AlreadyExists":
                raise
    raise errors.conflict(resource.group_resource, info.name, "the object is being created and deleted all the time")


async def _create(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    """Make the object of a PUT that is not there, for kinds that allow that, if its writer may create."""
    asked = Attributes("create", info.group, info.resource, "", info.namespace, info.name)
    await server.authorizer.check_by_all(call.identity, asked)
    obj, warnings = decode(resource, call.body, call.content_type, field_validation(info))
    check_name(resource, info, obj)
    if obj["metadata"].get("resourceVersion") or obj["metadata"].get("uid"):
        raise errors.not_found(resource.group_resource, info.name)  # it was there once
    entry = await create_object(server, call, info, resource, obj, is_dry_run(info), warnings)
    return written(server, call, info, resource, entry, 201, warnings)


async def patch(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    """PATCH of an object or of its status."""
    warnings: list[str] = []

    def make(current: dict[str, Any]) -> dict[str, Any]:
        patched, said = apply_patch(resource, current, call.body, call.content_type, field_validation(info))
        warnings[:] = said
        check_name(resource, info, patched)
        return patched

    updating = Updating(server, call, info, resource)
    entry = await updating.run(make)
    return written(server, call, info, resource, entry, 200, warnings + updating.warnings)


def check_name(resource: Resource, info: RequestInfo, obj: dict[str, Any]) -> None:
    """Refuse a body that is about another object than the path."""
    metadata = obj.setdefault("metadata", {})
    name = metadata.setdefault("name", info.name)
    if name != info.name:
        raise errors.bad_request(f"the name of the object ({name}) does not match the name on the URL ({info.name})")
    check_namespace(resource, info, metadata)


class Updating:
    """One guaranteed update of an object. `is_tracked`: what is made has its managed fields already, as an apply's."""

    def __init__(
        self, server: Server, call: ApiCall, info: RequestInfo, resource: Resource, *, is_tracked: bool = False
    ) -> None:
        self._server = server
        self._info = info
        self._resource = resource
        self._dry_run = is_dry_run(info)
        self._writer = None if is_tracked else writer_of(server, call, info, resource)
        self._allocation: Allocation | None = None if info.subresource else allocation_for(server, resource)
        self._asked = Admission(
            server, call.identity, resource, info.namespace, info.name, info.subresource, UPDATE, self._dry_run,
            patch_options(info) if call.method == "PATCH" else update_options(info), annotations=call.annotations,
        )  # fmt: skip
        self._charges: list[Charge] = []

    @property
    def warnings(self) -> list[str]:
        """What the writer is warned of."""
        return self._asked.warnings

    async def run(self, make: Any) -> Entry:
        """Update with what `make(current)` returns: an object that shares nothing with `current`."""
        quotas = self._server.quotas
        if not quotas.concerns(self._asked):
            return await self._run(make)
        async with quotas.lock(self._info.namespace):
            return await self._run(make)

    async def _run(self, make: Any) -> Entry:
        server, info, resource = self._server, self._info, self._resource

        async def change(current: dict[str, Any], entry: Entry) -> Write:
            return await self._changed(make, current, entry)

        for _ in range(CLAIM_ATTEMPTS):
            try:
                entry, _ = await server.store.update(resource, info.namespace, info.name, change, dry_run=self._dry_run)
            except ClaimTaken as taken:
                assert self._allocation is not None, "only an allocation claims"
                self._allocation.refuse(taken.keys)
            except ChargeMoved as moved:
                server.quotas.learn(moved.entries)
            else:
                if self._charges and not self._dry_run:
                    quota.settle(server.quotas, self._charges, entry.revision)
                return entry
        raise errors.internal(f"no free address was found for {resource.group_resource} {info.name}")

    async def _changed(self, make: Any, current: dict[str, Any], entry: Entry) -> Write:
        resource = self._resource
        conversion = resource.conversion
        old = current if conversion is None else conversion.from_stored(current)
        obj = make(old)
        check_preconditions(resource, obj, entry, old)
        asked = self._asked
        asked.warnings[:] = without_duplicates(obj["metadata"])
        asked.annotations.clear()
        self._charges = []
        if self._info.subresource == STATUS:
            prepare_for_status_update(resource, obj, old)
            self._track(obj, old)
            await admit_update(self._server.hooks, asked, obj, old)
            validate_status(resource, obj, old)
        elif self._info.subresource in PARTS:
            await self._change_part(obj, old)
        else:
            prepare_for_update(resource, obj, old)
            self._track(obj, old)
            await admit_update(self._server.hooks, asked, obj, old)
            validate(resource, obj, old)
            asked.warnings += resource.strategy.update_warnings(obj, old)
        await check(self._server.hooks, asked, obj, old)
        obj["metadata"]["resourceVersion"] = ""
        if may_go(resource, obj):
            return Write(None, releases=claims_of(resource, old), last=self._as_stored(obj))
        claims: list[Claim] = []
        releases: list[bytes] = []
        if self._allocation is not None:
            claims = await self._allocation.fill_in(obj, old)
            releases = self._allocation.released(obj, old)
        if same_but_times(obj, old):
            return Write(current)
        if self._server.quotas.concerns(asked):
            self._charges = await quota.charges_for(self._server.quotas, asked, obj, old)
        return Write(self._as_stored(obj), claims, releases, self._charges)

    def _as_stored(self, obj: dict[str, Any]) -> dict[str, Any]:
        """The object in the version in which it would be stored."""
        conversion = self._resource.conversion
        return obj if conversion is None else conversion.to_stored(obj)

    def _track(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        if self._writer is not None:
            track_update(obj, old, self._writer)

    async def _change_part(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        """What a subresource of the object's own kind may change is for the strategy to say."""
        resource, part = self._resource, self._info.subresource
        carry_over(obj, old)
        resource.strategy.default(obj)
        resource.strategy.prepare_for_subresource_update(part, obj, old)
        self._track(obj, old)
        await admit_update(self._server.hooks, self._asked, obj, old)
        validate_metadata(resource, obj, old)
        causes = resource.strategy.validate(obj) + resource.strategy.validate_subresource_update(part, obj, old)
        if causes:
            raise errors.invalid(resource.kind, self._info.name, list(dict.fromkeys(causes)), group=resource.group)


def check_preconditions(resource: Resource, obj: dict[str, Any], entry: Entry, old: dict[str, Any]) -> None:
    """Refuse an update of an object that is not the one, or not as old as, the writer thinks."""
    metadata = obj["metadata"]
    uid = metadata.get("uid")
    if uid and uid != old["metadata"].get("uid"):
        raise errors.conflict(
            resource.group_resource,
            metadata["name"],
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata'].get('uid', '')}",
        )
    version = metadata.get("resourceVersion")
    if version and version != str(entry.revision):
        raise errors.conflict(resource.group_resource, metadata["name"])
    if not version and not resource.strategy.allow_unconditional_update:
        cause = errors.Cause(
            "FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion"
        )
        raise errors.invalid(resource.kind, metadata["name"], [cause], group=resource.group)

"""Writes: create, guaranteed update and removal, each one txn that compares what it was decided on.

An update is decided on the cached object first, for it is nearly always the newest. When it was not, the txn's failure
branch brings the newest and the decision is made again on that. An error that the caller would get is never based on a
stale object: it is raised only once the object is known to be the newest.

A write may claim keys besides its object's own (a Service its address): claims are put in the same txn and compared to
be free, so that an address has exactly one owner without a repair loop; a claim that is taken raises `ClaimTaken`. In
the same way a write may charge others' objects (a quota its usage): `ChargeMoved` when one of them has changed.

A write whose answer was lost may be repeated by the bus under its message id. Should the state actor have forgotten the
id meanwhile (it was restarted), the compare fails on our own write. A creation then tells by the value that is there,
for no two creations share a uid. An update is decided anew: that somebody has written the very same does not make it
ours, for two who both count from 1 to 2 must not both succeed.

A write of what the API server itself looks at for other requests (roles, webhooks, quotas, namespaces) is answered when
it is in the cache, or soon after where the cache is cut off: whoever has been told that a webhook is gone does not meet
it again.

Neighbours: `client` carries txns; `verbs` decide what to write; `machinery` encodes.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from actors.api import errors
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.stored import encode_stored
from actors.apiserver.storage.charge import Charge, ChargeMoved, Claim
from actors.apiserver.storage.client import StateClient
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.lifetimes import Lifetimes
from actors.apiserver.storage.watch_cache import WatchCache
from actors.state.messages import (
    LEASE_NOT_FOUND,
    Compare,
    DeleteRange,
    KeyValue,
    Operation,
    Put,
    Range,
    RangeResult,
    Txn,
    TxnReply,
    TxnResult,
)
from bus import RemoteError

MAX_ATTEMPTS = 64  # of one guaranteed update; so many lost races mean that the object is written without pause
SEEN_S = 1.0  # that an answer waits for the cache at most; it may have lost the state for a moment

# Of one namespace, what decides about others; and of none, what does not, and is written often.
_DECIDING = frozenset({"limitranges", "resourcequotas", "rolebindings", "roles", "serviceaccounts"})
_BUSY = frozenset({"certificatesigningrequests", "csinodes", "nodes", "persistentvolumes", "volumeattachments"})


class ClaimTaken(Exception):
    """A key that a write wanted to claim has an owner."""

    def __init__(self, keys: list[bytes]):
        super().__init__(b", ".join(keys).decode())
        self.keys = keys


@dataclass(slots=True)
class Write:
    """What an update decided. `obj` None removes the object; keys in `claims` are taken, those in `releases` freed.

    `last` is what the writer is shown of an object that goes: what it made of it, which is never stored.
    """

    obj: dict[str, Any] | None
    claims: Iterable[Claim] = ()
    releases: Iterable[bytes] = ()
    charges: Sequence[Charge] = ()
    last: dict[str, Any] | None = None


Change = Callable[[dict[str, Any], Entry], Awaitable[Write]]


class Store:
    def __init__(self, state: StateClient, cache: WatchCache, lifetimes: Lifetimes) -> None:
        self._state = state
        self._cache = cache
        self._lifetimes = lifetimes

    def create(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: dict[str, Any],
        claims: Iterable[Claim] = (),
        charges: Sequence[Charge] = (),
    ) -> Awaitable[Entry]:
        """Store a new object. Raises ApiError AlreadyExists, ClaimTaken, ChargeMoved, BusError."""
        return self._put_new(resource, namespace, name, obj, list(claims), charges)

    async def _put_new(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: dict[str, Any],
        claims: list[Claim],
        charges: Sequence[Charge],
    ) -> Entry:
        key = resource.key(namespace, name)
        value = encode_stored(obj)
        limited = self._lifetimes.are_limited(resource.storage_prefix)
        put = Put(key, value, await self._lease(resource) if limited else 0)
        txn = Txn([Compare(key, "mod", "=", 0)], [put], [Range(key)])
        if claims or charges:
            txn.compare.extend(_compares(claims, charges))
            txn.success.extend(_puts(claims, charges))
            txn.failure.extend(_ranges(claims, charges))
        reply = await (self._txn(resource, txn, put.lease) if limited else self._state.txn(txn))
        if reply.result.succeeded:
            if _decides(resource):
                await self._seen(reply.revision)
            return self._written(key, value, reply.revision)
        existing = _found(reply.result)
        if existing is None:
            raise _refusal(reply.result, claims, charges)
        if existing.value == value:
            return _entry(existing)
        raise errors.already_exists(resource.group_resource, name)

    async def read(self, key: bytes) -> Entry | None:
        """Return the newest version of an object, past the cache."""
        reply = await self._state.range(Range(key))
        return _entry(reply.result.kvs[0]) if reply.result.kvs else None

    async def update(
        self, resource: Resource, namespace: str, name: str, change: Change, *, dry_run: bool = False
    ) -> tuple[Entry, bool]:
        """Store what `change` makes of the newest object; return it and whether it is still there.

        `change(obj, entry)` may be called several times; it owns `obj`. What it raises is the answer. An object that is
        removed is returned as the write's `last` or else as it was, and an update that changes nothing writes nothing.
        """
        key = resource.key(namespace, name)
        entry = self._cache.at(resource.storage_prefix).entries.get(key)
        newest = entry is None
        if entry is None:
            entry = await self.read(key)
        for _ in range(MAX_ATTEMPTS):
            if entry is None:
                raise errors.not_found(resource.group_resource, name)
            try:
                write = await change(entry.decode(), entry)
            except errors.ApiError:
                if newest:
                    raise
                fresh, newest = await self.read(key), True
                if fresh is not None and fresh.revision == entry.revision:
                    raise
                entry = fresh
                continue
            value = encode_stored(write.obj) if write.obj is not None else None
            result = _outcome(entry, value, write)
            if dry_run or (value is not None and result.body == entry.body):
                if newest:
                    return result, value is not None
                entry, newest = await self.read(key), True
                continue
            done, entry = await self._swap(resource, entry, value, write)
            if done is not None:
                return done, value is not None
            newest = True
        raise errors.conflict(resource.group_resource, name, "the object is being changed too often; try again")

    def _written(self, key: bytes, value: bytes, revision: int) -> Entry:
        entry = Entry.of_stored(key, value, revision)
        self._cache.expect(entry)
        return entry

    async def _seen(self, revision: int) -> None:
        """Return once the cache has a revision. It is written: a cache that does not get it cannot make it fail."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEEN_S):
                await self._cache.wait_for(revision)

    async def _lease(self, resource: Resource) -> int:
        """The lease that ends objects of this resource; 0 where they live for ever."""
        prefix = resource.storage_prefix
        return await self._lifetimes.lease(prefix) if self._lifetimes.are_limited(prefix) else 0

    async def _txn(self, resource: Resource, txn: Txn, lease: int) -> TxnReply:
        try:
            return await self._state.txn(txn)
        except RemoteError as error:
            if not lease or error.kind != LEASE_NOT_FOUND:
                raise
            self._lifetimes.forget(resource.storage_prefix)
            raise errors.unavailable(f"{resource.plural} get a new lease; try again", retry_after_s=1) from error

    async def _swap(
        self, resource: Resource, old: Entry, value: bytes | None, wanted: Write
    ) -> tuple[Entry | None, Entry | None]:
        """Put a value over an entry, or remove it; return (the result, None), or (None, the newest) if it had changed.

        Raises ClaimTaken, ChargeMoved, BusError.
        """
        key, claims, charges = old.key, list(wanted.claims), wanted.charges
        lease = await self._lease(resource) if value is not None else 0
        write: list[Operation] = [DeleteRange(key) if value is None else Put(key, value, lease)]
        write += _puts(claims, charges)
        write += [DeleteRange(release) for release in wanted.releases]
        txn = Txn(
            [Compare(key, "mod", "=", old.revision), *_compares(claims, charges)],
            write,
            [Range(key), *_ranges(claims, charges)],
        )
        reply = await self._txn(resource, txn, lease)
        if reply.result.succeeded:
            if _decides(resource):
                await self._seen(reply.revision)
            return (_outcome(old, None, wanted) if value is None else self._written(key, value, reply.revision)), None
        existing = _found(reply.result)
        if existing is None:
            return None, None
        if existing.mod_revision == old.revision:
            raise _refusal(reply.result, claims, charges)
        return None, _entry(existing)


def _decides(resource: Resource) -> bool:
    """Whether the API server looks at such objects when it handles other requests."""
    return resource.plural in _DECIDING if resource.namespaced else resource.plural not in _BUSY


def _outcome(old: Entry, value: bytes | None, wanted: Write) -> Entry:
    """The object as its writer is shown it, at the revision before the write."""
    if value is None and wanted.last is not None:
        value = encode_stored(wanted.last)
    return old if value is None else Entry.of_stored(old.key, value, old.revision)


def _puts(claims: list[Claim], charges: Sequence[Charge]) -> list[Operation]:
    return [*(Put(claim.key, claim.value) for claim in claims), *(Put(charge.key, charge.value) for charge in charges)]


def _compares(claims: list[Claim], charges: Sequence[Charge]) -> list[Compare]:
    free = [Compare(claim.key, "mod", "=", 0) for claim in claims]
    return free + [Compare(charge.key, "mod", "=", charge.revision) for charge in charges]


def _ranges(claims: list[Claim], charges: Sequence[Charge]) -> list[Operation]:
    """What the failure branch reads besides the object, so that it says which compare failed."""
    return [*(Range(claim.key) for claim in claims), *(Range(charge.key) for charge in charges)]


def _found(result: TxnResult) -> KeyValue | None:
    """The object that the failure branch of a txn read."""
    response = result.responses[0]
    assert isinstance(response, RangeResult), "the failure branch is ranges"
    return response.kvs[0] if response.kvs else None


def _refusal(result: TxnResult, claims: list[Claim], charges: Sequence[Charge]) -> ClaimTaken | ChargeMoved:
    """Why a txn failed whose object is as it was thought to be."""
    found: list[KeyValue | None] = []
    for response in result.responses[1:]:
        assert isinstance(response, RangeResult), "the failure branch is ranges"
        found.append(response.kvs[0] if response.kvs else None)
    taken = [claim.key for claim, kv in zip(claims, found, strict=False) if kv is not None]
    if taken or not charges:
        return ClaimTaken(taken)
    newest = found[len(claims) :]
    return ChargeMoved([_entry(kv) for kv in newest if kv is not None], gone=None in newest)


def _entry(kv: KeyValue) -> Entry:
    return Entry.of_stored(kv.key, kv.value, kv.mod_revision)

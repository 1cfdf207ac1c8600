"""list: many objects, in the order of their keys, whole or in pages.

The first page comes from the cache. A continue token names the revision of the first page and the key to go on from;
later pages are of that same revision: from the cache while nothing of the resource has changed since, else from the
state actor, which keeps old revisions until they are compacted. A compacted one is refused with 410.

Neighbours: `reads`, `storage.selection`, `representation`.
"""

import base64
import binascii
from dataclasses import dataclass
from itertools import islice

import orjson

from actors.api import errors
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.integers import MAX_INT64, whole
from actors.apiserver.machinery.field import forbidden, not_supported
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.negotiation import METADATA, negotiate
from actors.apiserver.reads import parse_version, reach, settle
from actors.apiserver.representation import Representation
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.resource_cache import ResourceCache
from actors.apiserver.storage.selection import Selection, parse
from actors.apiserver.verbs.write_options import invalid_options
from actors.state.messages import COMPACTED, FUTURE_REVISION, Range
from bus import RemoteError

EXACT = "Exact"
MATCH = "resourceVersionMatch"
ANY_REVISION = -1  # of a token: go on with what is there now
NOT_OLDER_THAN = "NotOlderThan"
TOKEN_VERSION = "kubus/v1"  # of the continue tokens; another one is refused with 410, as Kubernetes does
MAX_LIMIT = 2**31  # objects of a page, whatever more is asked for: no list comes near
SNAPSHOT_PAGE = 500  # keys in one question to the state actor, when a page needs several because of a selector


@dataclass(slots=True)
class Page:
    """A page found. `following` is the key that the next page begins with, empty at the end."""

    entries: list[Entry]
    revision: int
    following: bytes = b""
    remaining: int | None = None


async def list_(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    wanted = negotiate(call.accept)
    if wanted.form == METADATA:
        raise errors.not_acceptable("a list is not a PartialObjectMetadata")
    cache = server.cache.of(resource)
    selection = parse(resource, info.query, cache.fields)
    page = await find_page(server, info, resource, selection)
    shown = Representation(resource, wanted, info.query, server.clock)
    metadata: dict = {"resourceVersion": str(page.revision)}
    if page.following:
        metadata["continue"] = _encode_token(page.revision, page.following)
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
    return shown.listed([entry.body for entry in page.entries], metadata)


def prefix_of(resource: Resource, namespace: str) -> bytes:
    """The prefix of the keys that a request is about."""
    return resource.key(namespace, "") if namespace and resource.namespaced else resource.storage_prefix


async def find_page(server: Server, info: RequestInfo, resource: Resource, selection: Selection) -> Page:
    """Find what a list's query asks for."""
    query = info.query
    limit = min(max(whole("limit", query.get("limit", "")) or 0, 0), MAX_LIMIT)
    whole("timeoutSeconds", query.get("timeoutSeconds", ""))  # what is no number is refused; a list has its own time
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    token = query.get("continue", "")
    _check(info, version, match, token)
    prefix = prefix_of(resource, info.namespace)
    if token:
        revision, start = _decode_token(token, prefix)
        if revision == ANY_REVISION:
            await settle(server, "", resource)
            return _from_cache(
                server, server.cache.of(resource), prefix, selection, limit, server.cache.revision, start
            )
        return await _at(server, resource, prefix, selection, limit, revision, start)
    if match == EXACT:
        return await _at(server, resource, prefix, selection, limit, parse_version(version), prefix)
    await settle(server, version, resource)
    cache = server.cache.of(resource)
    return _from_cache(server, cache, prefix, selection, limit, server.cache.revision, prefix)


async def _at(
    server: Server, resource: Resource, prefix: bytes, selection: Selection, limit: int, revision: int, start: bytes
) -> Page:
    """A page as of a revision."""
    await reach(server, revision, resource)
    cache = server.cache.of(resource)
    if cache.changed_revision <= revision:
        return _from_cache(server, cache, prefix, selection, limit, revision, start)
    try:
        return await _from_state(server, cache, prefix, selection, limit, revision, start)
    except RemoteError as error:
        if error.kind in (COMPACTED, FUTURE_REVISION):
            raise _expired(prefix, start) from error
        raise


def _expired(prefix: bytes, start: bytes) -> errors.ApiError:
    """What a reader of an old revision is told: where it was in the middle of a list, how to go on all the same."""
    if start == prefix:
        return errors.gone("The resourceVersion for the provided list is too old.")
    gone = errors.gone(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    gone.metadata = {"continue": _encode_token(ANY_REVISION, start)}
    return gone


def _from_cache(
    server: Server, cache: ResourceCache, prefix: bytes, selection: Selection, limit: int, revision: int, start: bytes
) -> Page:
    found = cache.within(prefix, start if start != prefix else b"")
    if not selection.is_everything:
        found = (entry for entry in found if selection.matches(entry))
    if not limit:
        return Page(list(found), revision)
    entries = list(islice(found, limit + 1))
    if len(entries) <= limit:
        return Page(entries, revision)
    following = entries.pop().key
    remaining = cache.count(prefix, following) if selection.is_everything else None
    return Page(entries, revision, following, remaining)


async def _from_state(
    server: Server, cache: ResourceCache, prefix: bytes, selection: Selection, limit: int, revision: int, start: bytes
) -> Page:
    """Read old revisions from the state actor, in as many steps as a selector needs to fill the page."""
    entries: list[Entry] = []
    while True:
        step = limit - len(entries) + 1 if limit and selection.is_everything else SNAPSHOT_PAGE
        reply = await server.state.range(Range(start, prefix[:-1] + b"0", limit=step, revision=revision))
        for kv in reply.result.kvs:
            entry = await cache.shown(Entry.of_stored(kv.key, kv.value, kv.mod_revision))
            if not selection.matches(entry):
                continue
            if limit and len(entries) == limit:
                remaining = reply.result.count - limit if selection.is_everything else None
                return Page(entries, revision, kv.key, remaining)
            entries.append(entry)
        if not reply.result.more:
            return Page(entries, revision)
        start = reply.result.kvs[-1].key + b"\0"


def _check(info: RequestInfo, version: str, match: str, token: str) -> None:
    """Refuse combinations that mean nothing, as Kubernetes does."""
    causes = []
    if match and not version:
        causes.append(forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
    if match and token:
        causes.append(forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"))
    if match not in ("", EXACT, NOT_OLDER_THAN):
        causes.append(not_supported(MATCH, match, ("", EXACT, NOT_OLDER_THAN)))
    if match == EXACT and version == "0":
        causes.append(forbidden(MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if info.verb == "list" and "sendInitialEvents" in info.query:
        causes.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if causes:
        raise invalid_options(info, *causes)
    if token and version not in ("", "0"):
        raise errors.bad_request("specifying resource version is not allowed when using continue")


def _encode_token(revision: int, key: bytes) -> str:
    token = orjson.dumps({"v": TOKEN_VERSION, "rv": revision, "start": key.decode()})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _decode_token(token: str, prefix: bytes) -> tuple[int, bytes]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, revision, start = found["v"], found["rv"], found["start"].encode()
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        raise errors.bad_request("continue key is not valid: it could not be decoded") from None
    if version != TOKEN_VERSION:
        raise errors.gone("continue key is of another version; start a new list")
    if (
        type(revision) is not int
        or not (revision == ANY_REVISION or 0 < revision <= MAX_INT64)
        or not start.startswith(prefix)
    ):
        raise errors.bad_request("continue key is not valid: it belongs to another list")
    return revision, start

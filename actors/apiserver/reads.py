"""How new a read must be: what `resourceVersion` of a get or a list asks for.

"" is linearizable: everything acknowledged before the request. "0" is whatever is in the cache. A number is that
revision or a later one.

Neighbours: `verbs.get`, `verbs.list` and `verbs.watch` settle before they read the cache.
"""

import asyncio

from actors.api import errors
from actors.apiserver.integers import int64_of
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.server import Server

FUTURE_WAIT_S = 3.0  # for a revision that the cache has not reached; Kubernetes' time, after which clients try again


async def settle(server: Server, version: str, resource: Resource | None = None) -> None:
    """Return once the cache is as new as `version` asks. Raises ApiError, BusError."""
    if version and version != "0":
        await reach(server, parse_version(version), resource)
        return
    if not version:
        await server.barrier.fresh()
    if resource is not None and resource.custom is not None:
        await resource.custom.cache.settled()


async def reach(server: Server, revision: int, resource: Resource | None = None) -> None:
    """Wait, for a little, until the cache has reached a revision."""
    await _reach(server, revision)
    if resource is not None and resource.custom is not None:
        await resource.custom.cache.settled()


async def _reach(server: Server, revision: int) -> None:
    cache = server.cache
    if cache.revision >= revision:
        return
    try:
        async with asyncio.timeout(FUTURE_WAIT_S):
            await cache.wait_for(revision)
    except TimeoutError:
        raise _too_large(revision, cache.revision) from None


def parse_version(text: str) -> int:
    revision = int64_of(text)
    if revision is None or revision < 0 or not text.isdigit():
        raise errors.bad_request(f'resourceVersion: Invalid value: "{text[:64]}": must be an unsigned integer')
    return revision


def _too_large(wanted: int, current: int) -> errors.ApiError:
    error = errors.timeout(f"Too large resource version: {wanted}, current: {current}")
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    error.details = {"causes": [cause], "retryAfterSeconds": 1}
    return error

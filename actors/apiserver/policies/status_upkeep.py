"""Looks at every generation of a validating policy once, and says in its status what its expressions' types say of it.

Every API server does this; who is late finds it done. The language is loaded when there is a policy to look at.

Neighbours: `type_checking` looks; the actor runs `PolicyStatusUpkeep.run`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from actors.apiserver.machinery.resource import Resource
from actors.apiserver.storage.watch_cache import WatchCache

PREFIX = b"/registry/admissionregistration.k8s.io/validatingadmissionpolicies/"
PATH = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
GLANCE_S = 0.5  # between looks whether anything has changed
AGAIN_S = 5.0  # before a status that could not be written is tried again

Object = dict[str, Any]
Send = Callable[[str, str, Object], Coroutine[Any, Any, int]]  # (method, path, body) -> status code


def wanted_status(policy: Object, resources: Iterable[Resource]) -> Object | None:
    """Return a policy with the status that it should have; None when this generation was looked at."""
    generation, status = policy["metadata"].get("generation", 0), policy.get("status") or {}
    if status.get("observedGeneration") == generation:
        return None
    from actors.apiserver.policies.type_checking import warnings_of  # loads CEL

    warnings = warnings_of(policy, resources)
    told = {"expressionWarnings": warnings} if warnings else {}
    return {**policy, "status": {**status, "observedGeneration": generation, "typeChecking": told}}


class PolicyStatusUpkeep:
    def __init__(self, cache: WatchCache, registry: Iterable[Resource], send: Send) -> None:
        self._policies = cache.at(PREFIX)
        self._registry = registry
        self._send = send

    async def run(self) -> None:
        """Look whenever a policy has changed; for ever."""
        seen = -1
        while True:
            revision = self._policies.changed_revision
            if revision != seen:
                seen = revision
                if not await self.put_right():
                    seen = -1
                    await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(GLANCE_S)

    async def put_right(self) -> bool:
        """Write the statuses that are not as they should be; return whether all could be written."""
        done = True
        for entry in list(self._policies.entries.values()):
            wanted = wanted_status(entry.decode(), self._registry)
            if wanted is not None:
                status = await self._send("PUT", f"{PATH}/{wanted['metadata']['name']}/status", wanted)
                done = done and status in (200, 404, 409)
                await asyncio.sleep(0)  # a look takes up to some tenths of a second
        return done

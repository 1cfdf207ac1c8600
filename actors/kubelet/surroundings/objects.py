"""ConfigMaps and Secrets that pods of this node use: each watched by itself, for as long as a pod uses it.

A kubelet may read only what its pods name, so there is no list of all of them: one small watch an object, shared by the
pods that name it.

Neighbours: `environment` and `volumes.content` look up; `worker` acquires and releases; changes poke the pods' workers.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from actors.api.client import ApiClient
from runtime.clock import Clock
from runtime.informer import Informer

Reference = tuple[str, str, str]  # (kind, namespace, name)


class _Watched:
    __slots__ = ("informer", "task", "users")

    def __init__(self, informer: Informer, task: "asyncio.Task[None]"):
        self.informer, self.task = informer, task
        self.users: set[str] = set()


class Objects:
    def __init__(
        self,
        api: ApiClient,
        spawn: Callable[[Any, str], "asyncio.Task[None]"],
        on_change: Callable[[str], None],
        log: Any,
        clock: Clock,
    ):
        """`on_change(pod uid)` is called for every user of an object that changed."""
        self._api, self._spawn, self._on_change, self._log, self._clock = api, spawn, on_change, log, clock
        self._watched: dict[Reference, _Watched] = {}

    async def acquire(self, uid: str, references: Iterable[Reference]) -> None:
        """Watch what a pod names, and return when each was read once. Watches what it no longer names no more."""
        wanted = set(references)
        for reference in wanted:
            self._watch(reference).users.add(uid)
        self._release(uid, keep=wanted)
        await asyncio.gather(*(self._watched[item].informer.synced() for item in wanted))

    def release(self, uid: str) -> None:
        self._release(uid, keep=set())

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        watched = self._watched.get((kind, namespace, name))
        return watched.informer.get(f"{namespace}/{name}") if watched else None

    def __len__(self) -> int:
        return len(self._watched)

    def _watch(self, reference: Reference) -> _Watched:
        watched = self._watched.get(reference)
        if watched is None:
            kind, namespace, name = reference
            source = self._api.source(kind, namespace, field_selector=f"metadata.name={name}")
            informer = Informer(source, name=f"{kind}/{namespace}/{name}", log=self._log, clock=self._clock)
            watched = _Watched(informer, self._spawn(informer.run(), informer.name))
            informer.on_change(lambda key, old, new: self._tell(watched))
            self._watched[reference] = watched
        return watched

    def _tell(self, watched: _Watched) -> None:
        for uid in list(watched.users):
            self._on_change(uid)

    def _release(self, uid: str, keep: set[Reference]) -> None:
        for reference, watched in list(self._watched.items()):
            if reference in keep or uid not in watched.users:
                continue
            watched.users.discard(uid)
            if not watched.users:
                watched.task.cancel()
                del self._watched[reference]

"""The informers of one term of leadership, shared by all controllers: one list and one watch a collection.

They live as long as the term. A controller manager that does not lead caches nothing and costs nothing.

Neighbours: `runtime.informer` keeps each cache; `controller` asks for them before `run`; the garbage collector adds
more while running.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from actors.controller_manager.metadata_source import MetadataSource
from runtime.clock import Clock
from runtime.informer import Informer, Source

Object = dict[str, Any]


class Sources(Protocol):
    """The part of `actors.api.client.ApiClient` that caches need."""

    def source(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        unhurried: bool = False,
    ) -> Source: ...


class Caches:
    def __init__(self, api: Sources, log: Any, clock: Clock):
        self._api = api
        self._log = log
        self._clock = clock
        self._informers: dict[tuple[str, str, bool], Informer] = {}
        self._tasks: dict[tuple[str, str, bool], asyncio.Task[None]] = {}
        self._indexed: set[tuple[int, str]] = set()
        self._group: asyncio.TaskGroup | None = None

    def informer(self, resource: str, *, field_selector: str = "", metadata_only: bool = False) -> Informer:
        """Return the shared cache of a resource, in all namespaces.

        `metadata_only` keeps no more of an object than its kind and metadata, unless somebody caches all of it anyway.
        """
        whole = (resource, field_selector, False)
        if metadata_only and whole in self._informers:
            return self._informers[whole]
        name = (resource, field_selector, metadata_only)
        informer = self._informers.get(name)
        if informer is None:
            source = self._api.source(resource, field_selector=field_selector, unhurried=metadata_only)
            if metadata_only:
                source = MetadataSource(source)
            informer = Informer(source, name=resource, log=self._log, clock=self._clock)
            self._informers[name] = informer
            self._start(name)
        return informer

    def index(self, informer: Informer, name: str, values: Callable[[Object], Iterable[str]]) -> None:
        """Add an index to a shared cache, once, however many controllers want it."""
        if (id(informer), name) not in self._indexed:
            self._indexed.add((id(informer), name))
            informer.add_index(name, values)

    def drop(self, resource: str) -> None:
        """Stop the metadata cache of a resource that is no longer served."""
        name = (resource, "", True)
        self._informers.pop(name, None)
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    async def run(self) -> None:
        """Keep all caches true until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name in list(self._informers):
                self._start(name)
            await asyncio.get_running_loop().create_future()

    def _start(self, name: tuple[str, str, bool]) -> None:
        if self._group is not None:
            self._tasks[name] = self._group.create_task(self._informers[name].run(), name=f"informer {name[0]}")

    def inspect(self) -> dict[str, int]:
        return {name[0] + (f" {name[1]}" if name[1] else ""): len(found) for name, found in self._informers.items()}

"""The endpoints of default/kubernetes: those API servers that take connections, as each of them sees the others.

Every API server looks by itself and writes what it finds, if that differs from what is stored; one that is cut off with
a minority can't write. Where they disagree for a while, as with a broken link between two, the last one to look is
believed.

Neighbours: `kubernetes_service` has the objects; `actor` runs this where there are several API servers on addresses
that pods can reach.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actors.api.addresses import Address, apiserver_address, nodes_of_role
from actors.api.config import ClusterConfig
from actors.apiserver.bootstrap.kubernetes_service import endpoints, is_reachable
from actors.apiserver.machinery.resource import Registry
from actors.apiserver.storage.watch_cache import WatchCache

PERIOD_S = 5.0  # between two looks: a dead one is out after that and the time of a connect
CONNECT_S = 1.0  # for an API server to take a connection

Write = Callable[[str, str, dict[str, Any]], Awaitable[int]]

_PATHS = {
    "Endpoints": "/api/v1/namespaces/default/endpoints",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
}
_FIELDS = {"Endpoints": ("subsets",), "EndpointSlice": ("endpoints", "ports")}  # what is kept up to date


def others_of(config: ClusterConfig, own: Address) -> list[Address]:
    """Return the other API servers that pods may reach, at this one's port: a Service has one for all."""
    found = [apiserver_address(config, node) for node in nodes_of_role(config, "apiserver")]
    return [each for each in found if each != own and each.port == own.port and is_reachable(each.host)]


def changed(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Return a stored object with the wanted endpoints; None when it has them."""
    fields = _FIELDS[wanted["kind"]]
    if all(present.get(field) == wanted[field] for field in fields):
        return None
    return {**present, **{field: wanted[field] for field in fields}}


class EndpointsUpkeep:
    def __init__(
        self, own: Address, others: Sequence[Address], registry: Registry, cache: WatchCache, write: Write
    ) -> None:
        self._own = own
        self._others = others
        self._registry = registry
        self._cache = cache
        self._write = write

    async def run(self) -> None:
        """Keep to those that live, for ever."""
        while True:
            await self._keep(await self._living())
            await asyncio.sleep(PERIOD_S)

    async def _living(self) -> list[str]:
        answers = await asyncio.gather(*(_takes_connections(each) for each in self._others))
        living = [each.host for each, lives in zip(self._others, answers, strict=True) if lives]
        return sorted([self._own.host, *living])

    async def _keep(self, hosts: list[str]) -> None:
        for wanted in endpoints(hosts, self._own.port):
            kind, metadata = wanted["kind"], wanted["metadata"]
            resource = self._registry.by_kind(wanted["apiVersion"], kind)
            assert resource is not None, f"{kind} is built in"
            key = resource.key(metadata["namespace"], metadata["name"])
            entry = self._cache.of(resource).entries.get(key)
            if entry is None:
                await self._write("POST", _PATHS[kind], wanted)
            elif (update := changed(entry.decode(), wanted)) is not None:
                await self._write("PUT", f"{_PATHS[kind]}/{metadata['name']}", update)


async def _takes_connections(address: Address) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True

"""Puts the parts together: what an API server needs so that custom resources are served.

Neighbours: `actor` calls it, and so do tests with a server of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from actors.apiserver.extensions import authentication_info
from actors.apiserver.extensions.aggregator import Aggregator
from actors.apiserver.extensions.availability import Availability
from actors.apiserver.extensions.controller import DefinitionController
from actors.apiserver.extensions.remote import FrontProxy
from actors.apiserver.extensions.served import Served
from actors.apiserver.extensions.webhook import ConversionWebhooks
from actors.apiserver.server import Server

Write = Callable[[str, str, dict[str, Any]], Awaitable[tuple[int, str]]]


class Extensions:
    """`run` for ever beside the server; `close` at the end. `pki` has what we prove who we are with to others."""

    def __init__(self, server: Server, pki: Path | None = None) -> None:
        assert isinstance(server.registry, Served), "custom resources are served from a registry of this server's own"
        self._webhooks = ConversionWebhooks(server)
        server.registry.converter_of = self._webhooks.converter_of
        self.controller = DefinitionController(server, server.registry)
        proxy = FrontProxy(pki) if pki is not None and FrontProxy(pki).certificate.exists() else None
        self.aggregator = Aggregator(server.registry, server.cache, proxy)
        server.aggregator = self.aggregator
        self.availability = Availability(server, server.registry, self.aggregator)
        self._own = [] if proxy is None or pki is None else authentication_info.objects(pki / "ca.crt", proxy)

    async def ensure(self, write: Write) -> None:
        """Make, or put right, what the API servers behind us have to know of us. `write` is as `send_as_self`."""
        for path, obj in self._own:
            status, _ = await write("POST", path, obj)
            if status == 409:
                await write("PUT", f"{path}/{obj['metadata']['name']}", obj)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.controller.run())
            tasks.create_task(self.availability.run())

    async def close(self) -> None:
        await self._webhooks.close()

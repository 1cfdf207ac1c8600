"""Puts the parts together: what an API server needs so that custom resources are served.

Neighbours: `actor` calls it, and so do tests with a server of their own.
"""

from actors.apiserver.extensions.controller import DefinitionController
from actors.apiserver.extensions.served import Served
from actors.apiserver.extensions.webhook import ConversionWebhooks
from actors.apiserver.server import Server


class Extensions:
    """`run` for ever beside the server; `close` at the end."""

    def __init__(self, server: Server) -> None:
        assert isinstance(server.registry, Served), "custom resources are served from a registry of this server's own"
        self._webhooks = ConversionWebhooks(server)
        server.registry.converter_of = self._webhooks.converter_of
        self._controller = DefinitionController(server, server.registry)

    async def run(self) -> None:
        await self._controller.run()

    async def close(self) -> None:
        await self._webhooks.close()

"""Asks children whether they serve: actors on their control socket, foreign programs by connecting to theirs.

Each life of an actor gets a client of its own, made only once its socket is there. A client that had tried too early,
or had lost the life before, would pause between its attempts to connect, and every start would take that much longer.
"""

import asyncio
import os

from bus.address import Directory
from bus.client import Client
from bus.errors import BusError
from runtime.messages import Health, HealthRequest
from runtime.supervisor import messages
from runtime.supervisor.child import SERVING_WORD
from runtime.supervisor.spec import PROBE_TIMEOUT_S, ChildSpec, CommandLaunch, socket_path


class Prober:
    """Health of children by name."""

    def __init__(self, directory: Directory):
        self._directory = directory
        self._clients: dict[str, Client] = {}

    async def probe(self, spec: ChildSpec) -> Health:
        """Return what the child says of itself; an empty state, with the reason, when it says nothing."""
        if isinstance(spec.launch, CommandLaunch):
            return await self._command(spec.launch)
        endpoint = self._directory.control(spec.name)
        client = self._clients.get(spec.name)
        if client is None:
            if endpoint.startswith("ipc://") and not os.path.exists(socket_path(endpoint)):
                return Health("", "no control socket yet")
            client = self._clients[spec.name] = Client(messages.NAME)
        try:
            health = await client.request(endpoint, HealthRequest(), timeout_s=PROBE_TIMEOUT_S)
        except BusError as error:
            return Health("", error.message)
        assert isinstance(health, Health)
        return health

    def forget(self, spec: ChildSpec) -> None:
        """This life of the child is over: leave nothing that could be taken for its next one."""
        client = self._clients.pop(spec.name, None)
        if client is not None:
            client.close()
        if isinstance(spec.launch, CommandLaunch):
            return
        endpoint = self._directory.control(spec.name)
        if endpoint.startswith("ipc://"):
            socket_path(endpoint).unlink(missing_ok=True)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    async def _command(self, launch: CommandLaunch) -> Health:
        if not launch.socket:
            return Health(SERVING_WORD)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                _, writer = await asyncio.open_unix_connection(socket_path(launch.socket))
        except (OSError, TimeoutError) as error:
            return Health("", f"{launch.socket}: {error}")
        writer.close()
        return Health(SERVING_WORD)

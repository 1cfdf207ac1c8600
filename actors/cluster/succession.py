"""When a leader dies, its supervisor gives its Lease up, and another master leads at once instead of after the Lease.

Only the supervisor that has seen the process end may do so. Of a master that is cut off, or whose supervisor died
along, nobody knows whether it still leads: its Leases have to run out.

Neighbours: `supervise` tells of deaths; `actors.api.election` has the rules.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from actors.api.addresses import nodes_of_role
from actors.api.client import ApiClient
from actors.api.config import ClusterConfig
from actors.api.election import release_of
from actors.api.errors import ApiError
from bus.errors import BusError

LEASES = {"scheduler": "kube-scheduler", "controller-manager": "kube-controller-manager"}  # by role
WITHIN_S = 5.0  # later than that its own restart, or the Lease's end, has come first
PAUSE_S = 0.2  # between attempts, while the API is away, too


class Succession:
    """`pid_of` says which process an actor of this machine has; 0: none."""

    def __init__(self, config: ClusterConfig, api: ApiClient, pid_of: Callable[[str], int], say: Callable[[str], None]):
        self._leases = {role: lease for role, lease in LEASES.items() if len(nodes_of_role(config, role)) > 1}
        self._api = api
        self._pid_of = pid_of
        self._say = say
        self._tasks: set[asyncio.Task[Any]] = set()

    def died(self, name: str) -> None:
        """An actor of this machine has ended."""
        lease = self._leases.get(name.partition("@")[0])
        if lease is not None:
            task = asyncio.get_running_loop().create_task(self._give_up(lease, name), name=f"lead of {name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _give_up(self, lease: str, name: str) -> None:
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while asyncio.get_running_loop().time() < deadline and not self._pid_of(name):
            try:
                if await release_of(self._api, lease, name, lambda: not self._pid_of(name)):
                    self._say(f"{name} is dead; its lead was given up")
                return
            except (ApiError, BusError):
                await asyncio.sleep(PAUSE_S)

"""Before a new group begins: its founders make sure that all of them mean the same one.

A state actor with an empty directory may be one of those that found a cluster. It may also have come into the config
when the cluster had long been founded without it, and then, together with another late one, it would be a majority of a
second group. So a founder neither votes nor campaigns until every other founder has told it that it is of the same
group. An answer from another group ends the process, with what to do: this member has to join.

All founders must be there for the first start; after it, a majority is enough.

Neighbours: `actor` waits for this before it lets Raft run; `group` is what is kept on disk.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from actors.state import errors
from actors.state.messages import WRONG_CLUSTER
from actors.state.peer_messages import FoundingRequest
from actors.state.storage import Storage
from bus.client import Client
from bus.errors import BusError, RemoteError
from bus.record import Empty
from bus.server import Context, Server
from runtime.actor import CannotServe

ASK_S = 1.0  # for one founder to answer
PAUSE_S = 0.05  # between two questions to one that does not; doubles
MAX_PAUSE_S = 1.0


class Founding:
    """One member's part in it."""

    def __init__(
        self, name: str, storage: Storage, client: Client, endpoint_of: Callable[[str], str], *, term: int, log: Any
    ):
        self._name = name
        self._storage = storage
        self._client = client
        self._endpoint_of = endpoint_of
        self._has_data = term > 0
        self._log = log

    @property
    def is_due(self) -> bool:
        """Whether this member has yet to begin."""
        return not self._has_data and self._storage.group.begun is False

    def register(self, server: Server) -> None:
        server.register(FoundingRequest, self.answer)

    def answer(self, request: FoundingRequest, context: Context) -> Empty:
        group = self._storage.group
        if request.cluster_id != group.cluster_id:
            raise errors.wrong_cluster(request.cluster_id, group.cluster_id)
        return Empty()

    async def done(self) -> None:
        """Return when this member may begin; CannotServe when it must not."""
        others = [name for name in self._storage.group.founders if name != self._name]
        try:
            async with asyncio.TaskGroup() as asking:
                for name in others:
                    asking.create_task(self._meet(name))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # one reason not to begin is enough
        self._storage.begin()
        self._log.info("the group is founded", members=list(self._storage.group.founders))

    async def _meet(self, other: str) -> None:
        pause_s = PAUSE_S
        while True:
            try:
                request = FoundingRequest(self._storage.group.cluster_id)
                await self._client.request(self._endpoint_of(other), request, timeout_s=ASK_S)
            except RemoteError as error:
                if error.kind != WRONG_CLUSTER:
                    raise
                raise CannotServe(_founded_without(self._name, other)) from error
            except BusError as error:
                self._log.info("waiting for a founder", founder=other, error=error.message)
            else:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)


def _founded_without(name: str, other: str) -> str:
    return (
        f"{other} is of a group that was not founded with {name}; so this one would begin a second cluster. To add it "
        "to the cluster that is there: kubus up --join"
    )

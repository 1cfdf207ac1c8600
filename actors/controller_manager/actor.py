"""The controller manager: leads or waits, and while it leads, runs every control loop.

Sends: the Kubernetes API over the bus, to any API server. Receives: nothing but its control socket.
Crashes: at any line; all it knows it reads again, and what it had begun the next reconcile completes. Losing the Lease
ends the term: its loops are cancelled, its caches dropped, and `fence` holds back what was about to be written.
"""

import asyncio
import random
from typing import Any

from actors.api.client import ApiClient
from actors.api.config import of_settings
from actors.api.election import LeaderElector
from actors.api.events import EventRecorder, Outbox
from actors.controller_manager.caches import Caches
from actors.controller_manager.controller import Surroundings
from actors.controller_manager.measures import Measures
from actors.controller_manager.term import Term
from runtime.actor import Actor, Setup

LEASE = "kube-controller-manager"


class ControllerManagerActor(Actor):
    def __init__(self, setup: Setup):
        super().__init__(setup)
        self._config = of_settings(setup.settings)
        self._api = ApiClient.of_node(self.client, setup.directory, setup.node)
        self._measures = Measures(self.metrics)
        self._outbox = Outbox(self._api, self.clock)
        self._recorders: dict[str, EventRecorder] = {}
        self._term: Term | None = None
        self._election: asyncio.Task[Any] | None = None
        controllers = self._config.controllers
        self._elector = LeaderElector(
            self._api,
            LEASE,
            self.name,
            self.clock,
            self.log,
            lease_duration_s=controllers.lease_duration_s,
            renew_deadline_s=controllers.renew_deadline_s,
            retry_period_s=controllers.retry_period_s,
        )

    async def start(self) -> None:
        self._election = self.spawn(self._elector.run(self._lead), "election")

    async def stop(self) -> None:
        """End the term, then give the lead up: another may have it at once."""
        if self._election is not None:
            self._election.cancel()
            await asyncio.wait((self._election,))
        await self._elector.release()

    def inspect(self) -> dict[str, Any]:
        term = self._term.inspect() if self._term is not None else {}
        return {"leader": self._elector.is_leader, **term}

    async def _lead(self) -> None:
        self._term = Term(self._surroundings())
        try:
            await self._term.run()
        finally:
            self._term = None

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            api=self._api,
            caches=Caches(self._api, self.log, self.clock),
            clock=self.clock,
            log=self.log,
            fence=self._elector.fence,
            recorder_of=self._recorder_of,
            config=self._config,
            data_dir=self.setup.data_dir,
            measures=self._measures,
            rng=random.SystemRandom(),
        )

    def _recorder_of(self, component: str) -> EventRecorder:
        if component not in self._recorders:
            self._recorders[component] = EventRecorder(self._outbox, component, "", self.clock)
        return self._recorders[component]

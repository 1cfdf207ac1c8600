"""How the other components of the control plane are, as `kubectl get componentstatuses` shows it: each is asked.

The scheduler and the controller manager of this node are asked on their control sockets. Where this node has none, or
it does not answer, another one that leads is as good: its Lease says whether it lives. Of the state, every member is
asked; of an etcd cluster, whether it answers.

Neighbours: `verbs.component_statuses` shows it; `kubelets` is the same for nodes.
"""

import asyncio
from collections.abc import Awaitable

from actors.api.meta import parse_time
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.storage.client import StateClient
from actors.apiserver.storage.watch_cache import WatchCache
from actors.state.messages import StatusRequest
from bus import BusError, Client, Directory
from bus.address import node_of
from runtime.clock import Clock
from runtime.messages import HealthRequest

TIMEOUT_S = 2.0  # each is asked at the same time; whoever needs longer is not well
SERVING = "serving"
OK = ""
_LEASES = {"controller-manager": "kube-controller-manager", "scheduler": "kube-scheduler"}

Check = tuple[str, str]  # (name, what is wrong; empty when it is well)


class BusComponents:
    def __init__(
        self, client: Client, directory: Directory, name: str, state: StateClient, cache: WatchCache, clock: Clock
    ) -> None:
        self._client = client
        self._directory = directory
        self._node = node_of(name)
        self._state = state
        self._cache = cache
        self._clock = clock

    async def checks(self) -> list[Check]:
        """Return each component's name and what is wrong with it, in the order of names."""
        members = self._directory.of_role("state")
        asked: list[Awaitable[Check]] = [self._candidate(role) for role in _LEASES]
        asked += [self._member(f"etcd-{number}", name) for number, name in enumerate(members)]
        if not members:
            asked.append(self._etcd())
        return sorted(await asyncio.gather(*asked))

    async def _candidate(self, role: str) -> Check:
        own = f"{role}@{self._node}"
        if own not in self._directory.names:
            return role, self._lease_wrong(_LEASES[role])
        try:
            endpoint = self._directory.control(own)
            health = await self._client.request(endpoint, HealthRequest(), timeout_s=TIMEOUT_S)
        except BusError as error:
            return role, self._lease_wrong(_LEASES[role], own) and f"{own}: {error}"
        return role, OK if health.state == SERVING else f"{own} is {health.state} {health.detail}".rstrip()

    def _lease_wrong(self, name: str, apart_from: str = "") -> str:
        leases = REGISTRY.lookup("coordination.k8s.io", "v1", "leases")
        assert leases is not None, "Leases are built in"
        entry = self._cache.of(leases).entries.get(leases.key("kube-system", name))
        spec = (entry.decode().get("spec") or {}) if entry is not None else {}
        if spec.get("holderIdentity", "") in ("", apart_from) or not spec.get("renewTime"):
            return f"nobody else holds the lease kube-system/{name}"
        age_s = self._clock.wall() - parse_time(spec["renewTime"])
        if age_s > spec.get("leaseDurationSeconds", 0):
            return f"the lease kube-system/{name} of {spec['holderIdentity']} ran out {age_s:.0f} s after its renewal"
        return OK

    async def _member(self, shown: str, name: str) -> Check:
        try:
            status = await self._client.request(self._directory.work(name), StatusRequest(), timeout_s=TIMEOUT_S)
        except BusError as error:
            return shown, f"{name}: {error}"
        if not status.leader:
            return shown, f"{name} knows no leader"
        return shown, f"{name}: alarms: {', '.join(status.alarms)}" if status.alarms else OK

    async def _etcd(self) -> Check:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._state.revision()
        except (BusError, TimeoutError) as error:
            return "etcd-0", str(error) or "no answer in time"
        return "etcd-0", OK

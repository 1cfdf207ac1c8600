"""The proxy: makes Services work on a node, as nftables rules.

Watches Services and EndpointSlices, renders each Service that changed, and writes the difference in one transaction.
At its start, and after a transaction that failed, it writes the whole table anew in one transaction; connections
outlive that. Rules stay when the proxy stops.

Sends to: the API server (lists and watches). Receives: nothing but control. Without nft or the right to use it the
proxy keeps running and trying, and `inspect` says what is wrong; on simulated nodes it keeps the rules to itself.
"""

import asyncio
from typing import Any

from prometheus_client import Counter, Histogram

from actors.api.client import ApiClient
from actors.api.config import node_of_settings, of_settings
from actors.api.network import bridge_name
from actors.proxy import kernel
from actors.proxy.conntrack import Flows, forget, stale, udp_flows
from actors.proxy.endpoints import SERVICE_NAME
from actors.proxy.model import Ruleset
from actors.proxy.purge import table_name
from actors.proxy.render import Locality, render_service
from actors.proxy.transaction import FAMILY, full, partial
from runtime.actor import Actor, Setup
from runtime.command import CommandFailed, run
from runtime.informer import Informer

OTHERS = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless"  # served by others, or by nobody
MIN_SYNC_PERIOD_S = 0.1  # between two transactions, so that a rollout is a few and not one for each pod
FIRST_RETRY_S = 1.0  # after a failed transaction; doubles
LONGEST_RETRY_S = 30.0
CHECK_PERIOD_S = 60.0  # how soon a table that somebody flushed is noticed
ROUTE_PERIOD_S = 2.0  # the bridge comes with the node's first pod, and may go and come again
MAX_WAITING_DELETIONS = 1000  # of UDP flows; when more wait, the newest are dropped and their flows time out

Object = dict[str, Any]


class ProxyActor(Actor):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        config = of_settings(setup.settings)
        self.api = ApiClient.of_node(self.client, setup.directory, setup.node)
        self.network = config.network
        self.simulated = node_of_settings(setup.settings).runtime == "simulated"
        self.table = table_name(setup.data_dir)
        self.bridge = bridge_name(setup.data_dir, config, setup.node)
        self.ruleset = Ruleset()
        self._locality = Locality(setup.node, config.network.pod_cidr)
        self._services = Informer(self.api.source("services", label_selector=OTHERS), name="services", log=self.log)
        source = self.api.source("endpointslices.discovery.k8s.io", label_selector=OTHERS)
        self._slices = Informer(source, name="endpointslices", log=self.log)
        self._slices.add_index("service", lambda endpoint_slice: [_service_of(endpoint_slice)])
        self._services.on_change(lambda key, old, new: self._mark(key))
        self._slices.on_change(self._on_slice)
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._whole = True  # the next transaction writes everything
        self._error = ""
        self._problems: list[str] = []
        self._routed = False
        self._flows: dict[str, Flows] = {}
        self._stale: list[tuple[str, ...]] = []  # deletions of UDP flows that wait for the rules to be written
        self._deletions: asyncio.Queue[tuple[str, ...]] = asyncio.Queue(MAX_WAITING_DELETIONS)
        self._syncs = Counter("kubeproxy_sync_proxy_rules", "Transactions.", ["result"], registry=self.metrics)
        self._sync_s = Histogram(
            "kubeproxy_sync_proxy_rules_duration_seconds", "Time to render and write.", registry=self.metrics
        )

    async def start(self) -> None:
        for informer in (self._services, self._slices):
            self.spawn(informer.run(), f"informer {informer.name}")
        if not self.simulated:
            self._problems = await kernel.prepare()
            for problem in self._problems:
                self.log.warning("degraded", problem=problem)
            self.spawn(self._keep_route(), "route")
            self.spawn(self._check_table(), "check")
            self.spawn(self._forget_flows(), "conntrack")
        self.spawn(self._sync_forever(), "sync")

    def inspect(self) -> dict[str, Any]:
        return {
            "mode": "simulated" if self.simulated else "nftables",
            "table": self.table,
            "bridge": self.bridge,
            "services": len(self._services),
            "endpoint_slices": len(self._slices),
            "items": len(self.ruleset),
            "synced": not self._whole and not self._dirty,
            "error": self._error,
            "problems": self._problems,
            "routed": self._routed,
        }

    def _on_slice(self, key: str, old: Object | None, new: Object | None) -> None:
        for found in (old, new):
            if found is not None and (service := _service_of(found)):
                self._mark(service)

    def _mark(self, service: str) -> None:
        self._dirty.add(service)
        self._wake.set()

    async def _sync_forever(self) -> None:
        await self._services.synced()
        await self._slices.synced()
        retry_s = FIRST_RETRY_S
        while True:
            self._wake.clear()
            if await self._sync():
                retry_s = FIRST_RETRY_S
                await asyncio.sleep(MIN_SYNC_PERIOD_S)
                await self._wake.wait()
            else:
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)

    async def _sync(self) -> bool:
        """Render what is dirty and write it; say whether the kernel has all of it now."""
        with self._sync_s.time():
            dirty, self._dirty = self._dirty, set()
            for service in dirty:
                self._render(service)
            if self._whole:
                self.ruleset.forget_written()
            difference = self.ruleset.difference()
            if not difference and not self._whole:
                return True
            try:
                await self._write(difference)
            except CommandFailed as error:
                self._failed(str(error))
                return False
        if self._error:
            self.log.info("rules are written again")
        self._error, self._whole = "", False
        self.ruleset.written(difference)
        self._forget_stale()
        self._syncs.labels("success").inc()
        return True

    async def _write(self, difference: Any) -> None:
        if self.simulated:
            return
        if self._whole:
            network = self.network
            text = full(self.table, network.pod_cidr, network.service_cidr, difference.added)
        else:
            text = partial(self.table, difference)
        await run("nft", "-f", "-", text=text)

    def _failed(self, why: str) -> None:
        self._syncs.labels("failure").inc()
        self._whole = True
        if why != self._error:
            self.log.error("rules could not be written", error=why)
        self._error = why

    def _render(self, key: str) -> None:
        service, slices = self._services.get(key), self._slices.by_index("service", key)
        self.ruleset.put(key, render_service(service, slices, self._locality))
        if self.simulated:
            return
        before, after = self._flows.pop(key, {}), udp_flows(service, slices, self._locality.node)
        if after:
            self._flows[key] = after
        self._stale += stale(before, after)

    def _forget_stale(self) -> None:
        for deletion in self._stale:
            if self._deletions.full():
                self.log.warning("too many UDP flows to forget; the rest will time out")
                break
            self._deletions.put_nowait(deletion)
        self._stale.clear()

    async def _forget_flows(self) -> None:
        """Delete stale UDP flows. They come here once the rules that would make them again are gone."""
        while True:
            deletion = await self._deletions.get()
            try:
                await forget(deletion)
            except CommandFailed as error:
                self.log.info("UDP flows are left to their timeout", error=str(error))

    async def _check_table(self) -> None:
        while True:
            await asyncio.sleep(CHECK_PERIOD_S)
            if self._whole:
                continue
            try:
                await run("nft", "list", "chain", FAMILY, self.table, "services")
            except CommandFailed as error:
                self.log.warning("the table is gone; writing it anew", error=str(error))
                self._whole = True
                self._wake.set()

    async def _keep_route(self) -> None:
        said = ""
        while True:
            try:
                self._routed = await kernel.ensure_route(self.network.service_cidr, self.bridge)
                said = ""
            except CommandFailed as error:
                self._routed = False
                if str(error) != said:
                    said = str(error)
                    self.log.warning("no route to services", error=said)
            await asyncio.sleep(ROUTE_PERIOD_S)


def _service_of(endpoint_slice: Object) -> str:
    metadata = endpoint_slice["metadata"]
    name = (metadata.get("labels") or {}).get(SERVICE_NAME)
    return f"{metadata['namespace']}/{name}" if name else ""

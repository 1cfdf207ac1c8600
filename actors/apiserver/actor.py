"""The API server: the only one who reads and writes the state, and the door to it for everybody else.

Does      answers Kubernetes' REST API over HTTPS and over the bus
Serves    api.request, api.stream (messages.py), HTTPS on the cluster config's address
Asks      the state actors, or a real etcd in their place:
          state.range, state.txns, state.txn, state.revision, state.watch; kubelet.logs
Publishes apiserver.requests: now and then one of the requests that were answered, for whoever wants to look on

It keeps nothing of its own: any number of them may run, and each may die at any time. Without the state actor it cannot
answer anything that must be new; it says so (503, 504) and goes on trying. It ends itself when the port is taken, when
its certificates are missing, and when its watch cache is no longer to be trusted.
"""

import asyncio
import gc
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import ProcessCollector

from actors.api.addresses import Address, apiserver_bind, processes_of
from actors.api.config import ApiServerConfig, AuditConfig, of_settings
from actors.apiserver.allocate.ranges import node_ports
from actors.apiserver.audit.auditor import AuditCollector, Auditor
from actors.apiserver.audit.file import LineWriter, RotatingFile
from actors.apiserver.audit.policy import of_config as policy_of_config
from actors.apiserver.auth.authorization_config import of_config as authorization_of
from actors.apiserver.auth.authorizer import Authorizer, attributes
from actors.apiserver.auth.bus_identity import BusIdentities
from actors.apiserver.auth.jwt_issuers import Issuer
from actors.apiserver.auth.jwt_issuers import of_config as authentication_of
from actors.apiserver.auth.oidc import OidcTokens, https_fetch
from actors.apiserver.auth.tokens import ServiceAccountTokens, StaticTokens
from actors.apiserver.auth.webhook_authorizer import WebhookAuthorizer, https_post
from actors.apiserver.bootstrap.address_upkeep import AddressUpkeep
from actors.apiserver.bootstrap.endpoints_upkeep import EndpointsUpkeep, others_of
from actors.apiserver.bootstrap.ensure import ensure_all, send_as_self
from actors.apiserver.bootstrap.kubernetes_service import is_reachable
from actors.apiserver.bootstrap.port_upkeep import PortUpkeep
from actors.apiserver.bus_front import BusFront
from actors.apiserver.component_metrics import Aggregated, BuildInfo
from actors.apiserver.components import BusComponents
from actors.apiserver.extensions.served import Served
from actors.apiserver.extensions.setup import Extensions
from actors.apiserver.extensions.store import VersionedStore
from actors.apiserver.fairness.gate import FairnessCollector
from actors.apiserver.fairness.upkeep import Upkeep
from actors.apiserver.handler import Handler
from actors.apiserver.http_front import HttpFront
from actors.apiserver.https_server import HttpsServer, PortTaken, listen, tls_context
from actors.apiserver.kubelets import BusKubelets
from actors.apiserver.machinery import schema
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.messages import STATE_ANSWERS, ApiRequest, ApiStreamRequest
from actors.apiserver.metrics import RequestMetrics, ServerGauges
from actors.apiserver.policies.status_upkeep import PolicyStatusUpkeep
from actors.apiserver.server import Server
from actors.apiserver.storage.backend import open_backend
from actors.apiserver.storage.barrier import Barrier
from actors.apiserver.storage.feed import Feed
from actors.apiserver.storage.lifetimes import Lifetimes
from actors.apiserver.storage.reach import Reach
from actors.apiserver.storage.watch_cache import WatchCache
from actors.apiserver.verbs.watch import BOOKMARK_PERIOD_S
from bus import BusError
from runtime.actor import Actor

EVENTS = b"/registry/events/"  # of both groups that show them
BOOKMARK_TICK_S = 5.0  # how exactly the bookmark period is kept


class ApiServerActor(Actor):
    async def start(self) -> None:
        config = of_settings(self.setup.settings)
        self._config = config.apiserver
        pki = Path(self.setup.data_dir) / "pki"
        schema.use_cache(Path(self.setup.data_dir) / "cache")
        self._first, *others = processes_of(config, "apiserver", self.setup.node)
        self._is_shared = bool(others)
        listener = self._listen(*apiserver_bind(config, self.setup.node))
        self._backend = open_backend(self, config)
        state = self._backend.state
        self.cache = WatchCache(REGISTRY)
        self._feed = Feed(state, self.cache, self.log)
        self._reach = Reach(state)
        lifetimes = Lifetimes(state, self.clock, {EVENTS: config.apiserver.event_ttl_s})
        access = authentication_of(config.apiserver, Path(self.setup.data_dir))
        self._server = Server(
            config=config,
            registry=Served(REGISTRY, self.cache),
            clock=self.clock,
            state=state,
            cache=self.cache,
            barrier=Barrier(state, self.cache),
            store=VersionedStore(state, self.cache, lifetimes),
            authorizer=Authorizer(self.cache, self._authorizers(config.apiserver)),
            tokens=ServiceAccountTokens(
                (pki / "sa.key").read_bytes(),
                (pki / "sa.pub").read_bytes(),
                config.network.domain,
                self.cache,
                self.clock,
            ),
            static_tokens=StaticTokens(pki / "tokens.csv"),
            issuers=tuple(map(self._tokens_of, access.issuers)),
            anonymous_paths=access.anonymous_paths,
            kubelets=BusKubelets(self.client, self.setup.directory, config),
            components=BusComponents(self.client, self.setup.directory, self.name, state, self.cache, self.clock),
            log=self.log,
            metrics=self.metrics,
        )
        self._extensions = Extensions(self._server, pki)
        self._handler = Handler(self._server, RequestMetrics(self.metrics), self._checks, self._tell)
        self._audit = self._begin_audit(config.apiserver.audit)
        front = HttpFront(self._handler, self._server.authorizer, self._server.bearer, self.log)
        context = tls_context(pki / "apiserver.crt", pki / "apiserver.key", pki / "ca.crt")
        self._https = HttpsServer(front, listener, context)
        self._register_metrics()
        self.spawn(self._feed.run(), "watch cache feed")
        if self._backend.upkeep is not None:
            self.spawn(self._backend.upkeep, "compaction")
        for issuer in self._server.issuers:
            self.spawn(issuer.run(), "keys of a tokens' issuer")
        await self.cache.wait_loaded()
        await self._catch_up()
        await ensure_all(self._server, self._handler, self._https.address)
        await self._extensions.ensure(partial(send_as_self, self._handler))
        _spare_the_collector()
        await self._open(config)

    async def _open(self, config: Any) -> None:
        """Let callers in, and say where."""
        identities = BusIdentities(config)
        bus_front = BusFront(self._handler, identities)
        self.server.register(ApiRequest, bus_front.request)
        self.server.register(ApiStreamRequest, bus_front.stream)
        self._https.start()
        host, port = self._https.address
        self._write_endpoint(str(Address(host, port)))
        self.spawn(self._https.sweep(), "connection sweep")
        self.spawn(self._handler.deadlines.sweep(), "deadlines of requests")
        self.spawn(self._send_bookmarks(), "bookmarks")
        self.spawn(self._extensions.run(), "custom resources")
        self.spawn(Upkeep(self.cache, self.clock, self._write_own).run(), "flow control objects")
        self.spawn(AddressUpkeep(self.cache, self.clock, self._write_own).run(), "addresses of Services")
        span = node_ports(config.network.node_ports)
        ports = PortUpkeep(self._server.state, self.cache, self.clock, span, self._write_own, self.log)
        self.spawn(ports.run(), "ports of Services")
        self.spawn(PolicyStatusUpkeep(self.cache, self._server.registry, self._write_own).run(), "types of policies")
        own = Address(host, port)
        if is_reachable(host) and (others := others_of(config, own)):
            upkeep = EndpointsUpkeep(own, others, self._server.registry, self.cache, self._write_own)
            self.spawn(upkeep.run(), "endpoints of the API servers")
        self.log.info("listening", address=host, port=port)

    async def stop(self) -> None:
        if not hasattr(self, "_handler"):
            return
        self._handler.stopping = True
        await asyncio.sleep(self._config.shutdown_delay_s)
        self.cache.close_watches()
        await self._https.stop()
        await self._handler.drained()
        await self._server.hooks.close()
        if self._audit is not None:
            self._audit.flush()
        await self._extensions.close()
        if self._backend.close is not None:
            await self._backend.close()

    def _begin_audit(self, config: AuditConfig | None) -> LineWriter | None:
        """Have requests told of. Raises BadPolicy."""
        if config is None:
            return None
        data_dir = Path(self.setup.data_dir)
        file = RotatingFile(
            self._audit_file(data_dir / (config.log_file or "logs/audit.log")),
            self.clock,
            max_bytes=config.max_size_mb << 20,
            max_backups=config.max_backups,
            max_age_days=config.max_age_days,
        )
        writer = LineWriter(file, self.log)
        authorizer = self._server.authorizer
        self._handler.auditor = Auditor(
            policy_of_config(config, data_dir),
            writer,
            self.clock,
            lambda call, info: authorizer.decide(call.identity, attributes(info)),
        )
        self.spawn(writer.run(), "audit log")
        return writer

    def _audit_file(self, file: Path) -> Path:
        """Return the file of this process: a second one writes audit.2.log."""
        number = self.name.removeprefix(self._first)
        return file.with_name(f"{file.stem}{number}{file.suffix}")

    def _api_services(self) -> Mapping[str, Mapping[str, Any]]:
        aggregator = self._server.aggregator
        return {} if aggregator is None else aggregator.api_services()

    def _register_metrics(self) -> None:
        for collector in (
            ServerGauges(self.cache, self._handler.in_flight, lambda: self._https.connections),
            FairnessCollector(self._handler.gate),
            BuildInfo(),
            Aggregated(self._api_services),
            *([AuditCollector(self._audit)] if self._audit is not None else []),
        ):
            self.metrics.register(collector)
        ProcessCollector(registry=self.metrics)

    def _authorizers(self, config: ApiServerConfig) -> list[str | WebhookAuthorizer]:
        """Return who is asked whether somebody may. Raises BadConfiguration."""
        return [
            step if isinstance(step, str) else WebhookAuthorizer(step, https_post(step.endpoint), self.clock, self.log)
            for step in authorization_of(config, Path(self.setup.data_dir))
        ]

    def _tokens_of(self, issuer: Issuer) -> OidcTokens:
        return OidcTokens(issuer, https_fetch(issuer.authority_file, issuer.authority), self.clock, self.log)

    async def _write_own(self, method: str, path: str, body: dict[str, Any]) -> int:
        """Write an object as the API server itself; what goes wrong is told, and tried again by who asked."""
        status, answer = await send_as_self(self._handler, method, path, body)
        if status >= 300 and status != 409:
            self.log.warning("could not write", method=method, path=path, answer=answer[:500])
        return status

    def inspect(self) -> dict[str, Any]:
        if not hasattr(self, "_https"):
            return {}
        in_flight = self._handler.in_flight
        host, port = self._https.address
        return {
            "address": f"{host}:{port}",
            "revision": self.cache.revision,
            "objects": sum(len(one.entries) for one in self.cache),
            "watches": sum(one.watcher_count for one in self.cache),
            "connections": self._https.connections,
            "in_flight": {"reads": in_flight.reads, "writes": in_flight.writes, "streams": in_flight.streams},
            "rejected": in_flight.rejected,
            "priority_levels": self._handler.gate.dump(),
        }

    def _checks(self) -> dict[str, str]:
        """What readiness depends on; an empty text is well."""
        return {
            "ping": "",
            "etcd": "" if self._feed.connected else "the watch of the state is down",
            STATE_ANSWERS: self._reach.wrong(),
            "informer-sync": "" if self.cache.loaded else "not loaded",
            "shutdown": "the API server is stopping" if self._handler.stopping else "",
        }

    def _tell(self, sample: dict[str, Any]) -> None:
        self.publisher.publish("apiserver.requests", sample)

    def _listen(self, address: str, port: int) -> socket.socket:
        """Listen. Where any port will do, that is the one of the last life, which clients know, unless it is taken.

        Of several processes the first one chooses the port.
        """
        endpoint = self.dir.with_name(self._first) / "endpoint"
        if not port and self.name != self._first:
            return listen(address, int(endpoint.read_text().rpartition(":")[2]), is_shared=True)
        if not port and endpoint.exists():
            last = int(endpoint.read_text().rpartition(":")[2])
            try:
                return listen(address, last, is_shared=self._is_shared)
            except PortTaken as error:
                self.log.warning("choosing another port than before", error=str(error))
        return listen(address, port, is_shared=self._is_shared)

    async def _catch_up(self) -> None:
        """Wait until the cache has the newest state, however often the state actor has to be asked for it."""
        while True:
            try:
                await self._server.barrier.fresh()
            except BusError as error:
                self.log.warning("waiting for the state", error=str(error))
            else:
                return

    def _write_endpoint(self, text: str) -> None:
        beside = self.dir / "endpoint.new"
        beside.write_text(text + "\n")
        beside.replace(self.dir / "endpoint")

    async def _send_bookmarks(self) -> None:
        while True:
            await asyncio.sleep(BOOKMARK_TICK_S)
            if self._feed.connected:
                self.cache.send_bookmarks(self.clock.monotonic(), BOOKMARK_PERIOD_S)


def _spare_the_collector() -> None:
    """Let the garbage collector look at less: what is there now stays."""
    gc.freeze()

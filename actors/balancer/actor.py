"""The balancer: one door for clients on this machine, in front of all API servers.

Does      takes connections, and passes each on to an API server that is well (`backends` decides, `relay` carries)
Asks      api.request GET /readyz of every API server, all the time
Serves    TCP on `balancer` of the cluster's config; nothing over the bus

TLS passes through: certificates are checked end to end, and the balancer holds no key. When an API server dies, only
the connections through it are lost. The balancer keeps nothing; it ends itself when its port is taken.
"""

import asyncio
import socket
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge

from actors.api.addresses import Address, apiserver_address, balancer_bind, nodes_of_role, parse_address
from actors.api.config import of_settings
from actors.apiserver.messages import STATE_ANSWERS, ApiRequest
from actors.balancer.backends import Backend, Backends, Health
from actors.balancer.relay import Side
from bus import BusError, DeadlineExceeded
from runtime.actor import Actor, CannotServe, Setup

BACKLOG = 4096  # connections that wait to be accepted
MAX_CONNECTIONS = 16_384  # at once; one more is closed again
PROBE_PERIOD_S = 0.1  # between questions to one API server; it answers from memory
PROBE_TIMEOUT_S = 1.0  # questions overlap: what counts is how long ago the last answer came
_STATE_IS_SILENT = f"[-]{STATE_ANSWERS} failed".encode()
CONNECT_S = 0.25  # for one API server to take a connection, then the next one is tried


class BalancerActor(Actor):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._config = of_settings(setup.settings)
        self._nodes = {f"apiserver@{node}": node for node in nodes_of_role(self._config, "apiserver")}
        self.backends = Backends(self._nodes, self.clock.monotonic())
        self._relays: dict[Side, str] = {}  # the clients' ends, and where each one went
        self._opening: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._address: Address | None = None
        self._make_metrics()

    async def start(self) -> None:
        wanted = balancer_bind(self._config, self.setup.node)
        listener = self._listen(wanted)
        self._address = Address(*listener.getsockname()[:2])
        for name in self._nodes:
            self.spawn(self._watch(name), f"health of {name}")
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=listener, backlog=BACKLOG)
        self._write_endpoint(self._address)
        self.log.info("listening", address=str(self._address), servers=list(self._nodes))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for client in list(self._relays):
            client.close()

    def inspect(self) -> dict[str, Any]:
        return {
            "address": str(self._address or ""),
            "servers": {each.name: each.health.name.lower() for each in self.backends},
            "connections": {each.name: each.connections for each in self.backends},
        }

    # Health

    async def _watch(self, name: str) -> None:
        """Ask one API server for ever. Questions overlap, so that one that hangs does not hide the next answer."""
        while True:
            self.spawn(self._probe(name), f"probe of {name}")
            await asyncio.sleep(PROBE_PERIOD_S)
            now = self.clock.monotonic()
            if self.backends.silent(name, now):
                self._cut(name, "it is silent")
            elif self.backends.forsaken(name, now):
                self._cut(name, "its state does not answer")

    async def _probe(self, name: str) -> None:
        endpoint = self.setup.directory.work(name)
        try:
            reply = await self.client.request(endpoint, ApiRequest("GET", "/readyz"), timeout_s=PROBE_TIMEOUT_S)
        except DeadlineExceeded:
            return  # its silence is noticed
        except BusError as error:
            self.log.debug("no answer", server=name, error=str(error))
            return
        before = self.backends[name].health
        is_lost = _STATE_IS_SILENT in reply.body
        self.backends.answered(name, is_ready=reply.status == 200, is_lost=is_lost, now=self.clock.monotonic())
        if self.backends[name].health is not before:
            self.log.info("health", server=name, health=self.backends[name].health.name)

    def _cut(self, name: str, reason: str) -> None:
        """Let clients of a server that is of no use to them try again elsewhere."""
        clients = [client for client, where in self._relays.items() if where == name]
        self.log.warning("connections are cut", server=name, reason=reason, connections=len(clients))
        self._cuts.inc(len(clients))
        for client in clients:
            client.abort()

    # Connections

    def _accept(self) -> Side:
        client = Side(lambda: self._closed(client))
        task = asyncio.get_running_loop().create_task(self._open(client), name="a connection")
        self._opening.add(task)
        task.add_done_callback(self._opened)
        return client

    def _opened(self, task: "asyncio.Task[None]") -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    async def _open(self, client: Side) -> None:
        """Find a server for a client: the first in order that takes a connection."""
        if len(self._relays) + len(self._opening) > MAX_CONNECTIONS:
            client.abort()
            return
        for name in self.backends.in_order():
            server = await self._connect(name)
            if server is None:
                continue
            if client.transport is None:
                server.close()
                return
            self._relays[client] = name
            self.backends[name].connections += 1
            client.join(server)
            return
        self.log.warning("no API server takes a connection")
        client.abort()

    async def _connect(self, name: str) -> Side | None:
        address = self._address_of(name)
        if address is None:
            return None
        try:
            async with asyncio.timeout(CONNECT_S):
                _, server = await asyncio.get_running_loop().create_connection(
                    lambda: Side(lambda: None), address.host, address.port
                )
        except (OSError, TimeoutError) as error:
            self.log.info("not connected", server=name, error=str(error))
            self.backends.refused(name, self.clock.monotonic())
            return None
        return server

    def _closed(self, client: Side) -> None:
        name = self._relays.pop(client, None)
        if name is not None:
            self.backends[name].connections -= 1

    def _address_of(self, name: str) -> Address | None:
        """Where an API server listens; None of one on any port before it has said which."""
        address = apiserver_address(self._config, self._nodes[name])
        if address.port:
            return address
        file = Path(self.setup.data_dir) / "actors" / name / "endpoint"
        return parse_address(file.read_text()) if file.exists() else None

    # Its own place

    def _listen(self, wanted: Address) -> socket.socket:
        """Listen. Where any port will do, that is the one of the last life, which clients know, unless it is taken."""
        endpoint = self.dir / "endpoint"
        if not wanted.port and endpoint.exists():
            try:
                return _bind(wanted._replace(port=parse_address(endpoint.read_text()).port))
            except CannotServe as error:
                self.log.warning("choosing another port than before", error=str(error))
        return _bind(wanted)

    def _write_endpoint(self, address: Address) -> None:
        beside = self.dir / "endpoint.new"
        beside.write_text(f"{address}\n")
        beside.replace(self.dir / "endpoint")

    def _make_metrics(self) -> None:
        health = Gauge("balancer_server_up", "Whether it is ready.", ["server"], registry=self.metrics)
        connections = Gauge("balancer_connections", "Open now.", ["server"], registry=self.metrics)
        self._cuts = Counter(
            "balancer_cut_connections", "Cut, as their server was silent, or its state.", registry=self.metrics
        )
        for each in self.backends:
            health.labels(each.name).set_function(partial(_is_up, each))
            connections.labels(each.name).set_function(partial(_connections_of, each))


def _is_up(backend: Backend) -> float:
    return float(backend.health is Health.UP)


def _connections_of(backend: Backend) -> float:
    return backend.connections


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        place = f"{address.host} port {address.port}"
        raise CannotServe(f"the balancer cannot listen on {place}: {error.strerror}") from error
    return listener

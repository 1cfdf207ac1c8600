"""An API server's core in one process: real handler and cache, the state actor's own machine in memory, no sockets."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import CollectorRegistry

from actors.api.config import ClusterConfig, NetworkConfig, NodeConfig
from actors.apiserver.auth.authorizer import Authorizer
from actors.apiserver.auth.tokens import ServiceAccountTokens
from actors.apiserver.bootstrap.ensure import ensure_all
from actors.apiserver.call import AUTHENTICATED, MASTERS, Answer, ApiCall, Identity, StreamAnswer
from actors.apiserver.extensions.served import Served
from actors.apiserver.extensions.setup import Extensions
from actors.apiserver.extensions.store import VersionedStore
from actors.apiserver.handler import Handler
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.metrics import RequestMetrics
from actors.apiserver.server import Server
from actors.apiserver.storage.barrier import Barrier
from actors.apiserver.storage.feed import Feed
from actors.apiserver.storage.lifetimes import Lifetimes
from actors.apiserver.storage.watch_cache import WatchCache
from actors.kubelet.messages import LogsRequest
from actors.state import txn
from actors.state.commands import CompactCommand, GrantCommand, RevokeCommand, TxnCommand
from actors.state.machine import Machine
from actors.state.messages import Range, RangeReply, RevisionReply, Txn, TxnReply, WatchBatch, WatchRequest
from actors.state.watch import WatchHub
from bus import DeadlineExceeded, StreamLost, Unavailable
from runtime.clock import ManualClock

ADMIN = Identity("admin", (MASTERS, AUTHENTICATED))


class MemoryState:
    """The state actor's machine behind the interface of its client. Failures are armed by tests."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.hub = WatchHub(self.machine.store)
        self.granted: dict[int, int] = {}  # seconds by lease
        self.down = False
        self.lose_answers = 0  # of txns that are done all the same
        self.repeat_txns = False  # as the bus does after a lost answer, to a state actor that forgot the id
        self.asked_revision = 0
        self.watches: list[asyncio.Event] = []
        self.hold: asyncio.Event | None = None  # while set to an unset event, watches deliver nothing

    def _check(self) -> None:
        if self.down:
            raise Unavailable("the state is down")

    async def range(self, range_: Range) -> RangeReply:
        self._check()
        txn.check_range(range_)
        return RangeReply(self.machine.store.revision, self.machine.store.range(range_))

    async def revision(self) -> RevisionReply:
        self._check()
        self.asked_revision += 1
        await asyncio.sleep(0)
        return RevisionReply(self.machine.store.revision, self.machine.store.compact_revision)

    async def lease_grant(self, ttl_s: int) -> int:
        self._check()
        lease = self.machine.applied + 1
        self.machine.apply(lease, GrantCommand(lease, ttl_s))
        self.granted[lease] = ttl_s
        return lease

    def revoke(self, lease: int) -> None:
        """What happens when its time is over."""
        outcome = self.machine.apply(self.machine.applied + 1, RevokeCommand(lease))
        self.hub.publish(outcome.revision, outcome.changes)

    async def txn(self, wanted: Txn) -> TxnReply:
        self._check()
        txn.check(wanted)
        reply = self._apply(wanted)
        if self.repeat_txns:
            reply = self._apply(wanted)
        if self.lose_answers:
            self.lose_answers -= 1
            raise DeadlineExceeded("no answer")
        return reply

    def _apply(self, wanted: Txn) -> TxnReply:
        outcome = self.machine.apply(self.machine.applied + 1, TxnCommand(wanted))
        if isinstance(outcome.result, Exception):
            raise outcome.result
        if outcome.changes:
            self.hub.publish(outcome.revision, outcome.changes)
        return TxnReply(outcome.revision, outcome.result)

    def compact(self) -> None:
        self.machine.apply(self.machine.applied + 1, CompactCommand(self.machine.store.revision))
        while self.machine.store.history.prune(1000):
            pass

    def break_watches(self) -> None:
        for broken in self.watches:
            broken.set()
        self.watches.clear()

    @asynccontextmanager
    async def watch(self, request: WatchRequest) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        self._check()
        watcher = self.hub.watch(request.key, request.range_end, request.start_revision, request.prev_kv)
        broken = asyncio.Event()
        self.watches.append(broken)
        try:
            yield self._batches(watcher, broken)
        finally:
            self.hub.cancel(watcher)

    async def _batches(self, watcher: Any, broken: asyncio.Event) -> AsyncIterator[WatchBatch]:
        awake = asyncio.Event()
        watcher.wake = awake.set
        yield WatchBatch(self.machine.store.revision, [])
        while True:
            if broken.is_set():
                raise StreamLost("the watch broke")
            if self.hold is not None:
                await self.hold.wait()
            batch = watcher.take()
            if batch is not None:
                yield batch
                continue
            awake.clear()
            waits = [asyncio.ensure_future(awake.wait()), asyncio.ensure_future(broken.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()


class FakeKubelets:
    def __init__(self) -> None:
        self.asked: list[tuple[str, LogsRequest]] = []
        self.chunks: list[bytes] = [b"hello\n"]
        self.error: Exception | None = None

    async def logs(self, node: str, request: LogsRequest):
        self.asked.append((node, request))
        if self.error is not None:
            raise self.error
        for chunk in self.chunks:
            yield chunk


class FakeComponents:
    def __init__(self) -> None:
        self.found = [("controller-manager", ""), ("etcd-0", ""), ("scheduler", "")]

    async def checks(self) -> list[tuple[str, str]]:
        return self.found


class Api:
    """Calls by verb; an answer is (status, decoded body)."""

    def __init__(self, state: MemoryState, config: ClusterConfig) -> None:
        self.state = state
        self.clock = ManualClock()
        self.cache = WatchCache(REGISTRY)
        self.log = structlog.get_logger()
        self.feed = Feed(state, self.cache, self.log)
        self.kubelets = FakeKubelets()
        self.components = FakeComponents()
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.server = Server(
            config=config,
            registry=Served(REGISTRY, self.cache, self.clock),
            clock=self.clock,
            state=state,
            cache=self.cache,
            barrier=Barrier(state, self.cache),
            store=VersionedStore(state, self.cache, Lifetimes(state, self.clock, {b"/registry/events/": 3600})),
            authorizer=Authorizer(self.cache),
            tokens=ServiceAccountTokens(private, public, "cluster.local", self.cache, self.clock),
            kubelets=self.kubelets,
            components=self.components,
            log=self.log,
            metrics=CollectorRegistry(),
        )
        self.handler = Handler(self.server, RequestMetrics(self.server.metrics), lambda: {"ping": ""})
        self.extensions = Extensions(self.server)
        self.identity = ADMIN

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        answer = await self.raw(method, path, body, **options)
        assert isinstance(answer, Answer), "a stream; use `watch`"
        return answer.status, orjson.loads(answer.body) if answer.body[:1] in (b"{", b"[") else answer.body

    async def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        identity: Identity | None = None,
    ) -> Answer | StreamAnswer:
        path, _, query = path.partition("?")
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        call = ApiCall(
            identity or self.identity, method, path, query, content_type=content_type, accept=accept, body=data
        )
        return await self.handler.handle(call)

    get = functools.partialmethod(call, "GET")
    post = functools.partialmethod(call, "POST")
    put = functools.partialmethod(call, "PUT")
    delete = functools.partialmethod(call, "DELETE")

    async def patch(self, path: str, body: Any, kind: str = "merge", **options: Any) -> tuple[int, Any]:
        media = {"merge": "merge-patch", "json": "json-patch", "strategic": "strategic-merge-patch"}[kind]
        return await self.call("PATCH", path, body, content_type=f"application/{media}+json", **options)

    async def must(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, answer = await self.call(method, path, body, **options)
        assert status < 300, (status, answer)
        return answer

    async def watch(self, path: str, **options: Any) -> "Watch":
        answer = await self.raw("GET", path, **options)
        assert isinstance(answer, StreamAnswer), answer.body
        return Watch(answer)


class Watch:
    """A watch as its client sees it."""

    def __init__(self, answer: StreamAnswer) -> None:
        self.answer = answer
        self._lines: list[bytes] = []

    async def next(self, timeout_s: float = 2.0) -> tuple[str, dict]:
        while not self._lines:
            async with asyncio.timeout(timeout_s):
                self._lines = (await anext(self.answer.chunks)).splitlines()
        event = orjson.loads(self._lines.pop(0))
        return event["type"], event["object"]

    async def names(self, count: int) -> list[tuple[str, str]]:
        return [(kind, obj["metadata"]["name"]) for kind, obj in [await self.next() for _ in range(count)]]

    async def ended(self) -> bool:
        try:
            async with asyncio.timeout(2.0):
                await anext(self.answer.chunks)
        except StopAsyncIteration:
            return True
        return False

    async def close(self) -> None:
        await self.answer.close()


@asynccontextmanager
async def serving(state: MemoryState | None = None, *, bootstrap: bool = True, **network: Any) -> AsyncIterator[Api]:
    """An API over a state that may be there already."""
    config = ClusterConfig(
        nodes={"m1": NodeConfig(roles=["apiserver"]), "sim": NodeConfig(roles=["kubelet"], count=3)},
        network=NetworkConfig(**network),
    )
    api = Api(state or MemoryState(), config)
    task = asyncio.ensure_future(api.feed.run())
    extensions = asyncio.ensure_future(api.extensions.controller.run())
    try:
        await api.cache.wait_loaded()
        if bootstrap:
            await ensure_all(api.server, api.handler, ("127.0.0.1", 6443))
            await api.server.barrier.fresh()
        yield api
    finally:
        task.cancel()
        extensions.cancel()
        await asyncio.wait([task, extensions])
        await api.extensions.close()


def with_api(**options: Any):
    """Run an async test with an `Api`."""

    def decorate(test):
        def wrapper():
            async def main():
                async with serving(**options) as api:
                    await test(api)

            asyncio.run(main())

        wrapper.__name__ = test.__name__
        wrapper.__doc__ = test.__doc__
        return wrapper

    return decorate


def config_map(name: str, *, labels: dict | None = None, data: dict | None = None, **metadata: Any) -> dict:
    made = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, **metadata}, "data": data or {"k": "v"}}
    if labels:
        made["metadata"]["labels"] = labels
    return made


def pod(name: str, node: str = "", *, labels: dict | None = None, **spec: Any) -> dict:
    made = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "busybox"}], **spec},
    }
    if labels:
        made["metadata"]["labels"] = labels
    if node:
        made["spec"]["nodeName"] = node
    return made


async def with_account(api: Api, namespace: str = "default", name: str = "default") -> None:
    await api.must(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts",
        {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": name}},
    )

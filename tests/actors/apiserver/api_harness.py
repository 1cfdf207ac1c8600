"""An API server's core in one process: real handler and cache, no doors.

What it stores is in memory, unless the fixture `every_state` has put another driver there; tests by `with_api` run once
on each: a state actor over the bus, and a real etcd.
"""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
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
from runtime.clock import ManualClock
from tests.actors.apiserver import states
from tests.actors.apiserver.states import FaultyState

ADMIN = Identity("admin", (MASTERS, AUTHENTICATED))


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

    def __init__(self, state: FaultyState, config: ClusterConfig) -> None:
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
            registry=Served(REGISTRY, self.cache),
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
async def serving(state: FaultyState | None = None, *, bootstrap: bool = True, **network: Any) -> AsyncIterator[Api]:
    """An API over a state that may be there already."""
    if state is None:
        async with states.opened() as state, serving(state, bootstrap=bootstrap, **network) as api:
            yield api
        return
    config = ClusterConfig(
        nodes={"m1": NodeConfig(roles=["apiserver"]), "sim": NodeConfig(roles=["kubelet"], count=3)},
        network=NetworkConfig(**network),
    )
    api = Api(state, config)
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


on_every_state = pytest.mark.usefixtures("every_state")


def with_api(**options: Any):
    """Run an async test with an `Api`, once on each driver of the state."""

    def decorate(test):
        def wrapper():
            async def main():
                async with serving(**options) as api:
                    await test(api)

            asyncio.run(main())

        wrapper.__name__ = test.__name__
        wrapper.__doc__ = test.__doc__
        return on_every_state(wrapper)

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

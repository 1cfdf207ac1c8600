"""Waits until a cluster can be used: its API says ready, and every Node of this machine is there and Ready."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from actors.apiserver.messages import ApiReply, ApiRequest
from bus.client import Client
from bus.errors import BusError

POLL_S = 0.02  # between looks while it is not ready; the API answers them from memory
REQUEST_TIMEOUT_S = 2.0
FORBIDDEN = 403


class _Condition(msgspec.Struct):
    type: str
    status: str


class _NodeStatus(msgspec.Struct):
    conditions: list[_Condition] = []


class _Metadata(msgspec.Struct):
    name: str


class _Node(msgspec.Struct):
    metadata: _Metadata
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


class _NodeList(msgspec.Struct):
    items: list[_Node] | None = None


_decoder = msgspec.json.Decoder(_NodeList)
_node_decoder = msgspec.json.Decoder(_Node)


class NotReady(Exception):
    """The deadline came first; the message says what is missing."""


@dataclass
class Readiness:
    """Waits on behalf of one start. `endpoints` are the API servers' on the bus."""

    client: Client
    endpoints: list[str]
    deadline: float  # monotonic

    async def api(self) -> None:
        """Return when /readyz says ok; NotReady at the deadline."""
        missing = "the API server does not answer"
        while time.monotonic() < self.deadline:
            try:
                reply = await self._get("/readyz")
            except BusError as error:
                missing = error.message
            else:
                if reply.status == 200:
                    return
                missing = f"the API server is not ready: {reply.body[:200].decode(errors='replace')}"
            await asyncio.sleep(POLL_S)
        raise NotReady(missing)

    async def nodes(self, names: Collection[str]) -> None:
        """Return when all these Nodes are Ready; NotReady at the deadline."""
        missing = set(names)
        while missing and time.monotonic() < self.deadline:
            try:
                missing -= await self._ready(missing)
            except BusError:
                await asyncio.sleep(POLL_S)
                continue
            if missing:
                await asyncio.sleep(POLL_S * (1 + len(names) // 200))  # a list of many nodes costs more than of few
        if missing:
            some = ", ".join(sorted(missing)[:5])
            raise NotReady(f"{len(missing)} of {len(names)} nodes are not Ready: {some}")

    async def _ready(self, names: Collection[str]) -> set[str]:
        """Return which of these Nodes are Ready. Who may not list them, as a kubelet, looks at each."""
        reply = await self._get("/api/v1/nodes")
        if reply.status == 200:
            return ready_nodes(reply.body)
        if reply.status != FORBIDDEN:
            return set()
        found = [(name, await self._get(f"/api/v1/nodes/{name}")) for name in names]
        return {name for name, each in found if each.status == 200 and _is_ready(_node_decoder.decode(each.body))}

    async def _get(self, path: str) -> ApiReply:
        request = ApiRequest("GET", path)
        reply: ApiReply = await self.client.request(self.endpoints, request, timeout_s=REQUEST_TIMEOUT_S)
        return reply


def ready_nodes(body: bytes) -> set[str]:
    """Return the names of the Ready nodes in a NodeList's JSON."""
    return {node.metadata.name for node in _decoder.decode(body).items or () if _is_ready(node)}


def _is_ready(node: _Node) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in node.status.conditions)

"""The kubelets as the API server asks them: over the bus, by the node that a pod is bound to.

Neighbours: `verbs.log` and `streams` hand on what goes through here; `actors.kubelet.messages` is the wire.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from actors.api import errors
from actors.api.config import ClusterConfig
from actors.kubelet.messages import BAD_REQUEST, NOT_FOUND, NOT_RUNNING, LogsRequest, NodeStat, StatsReply, StatsRequest
from bus import BusError, Client, Directory, Duplex, Overloaded, RemoteError, Request

STATS_TIMEOUT_S = 3.0  # a kubelet answers from memory; one that does not is left out
OPEN_TIMEOUT_S = 10.0  # until the first bytes of a log, or its end
# Of what a command or a pod has sent and its client has not read: a client may have thousands of connections, and even
# in items of one byte it stays below the bus's queue limit.
STREAM_WINDOW_BYTES = 512 * 1024


class BusKubelets:
    def __init__(self, client: Client, directory: Directory, config: ClusterConfig) -> None:
        self._client = client
        self._directory = directory
        self._actors = _actors(config)

    async def logs(self, node: str, request: LogsRequest) -> AsyncGenerator[bytes, None]:
        """Yield a container's log. Raises ApiError when the kubelet refuses, is unknown, or cannot be reached."""
        endpoint = self._endpoint(node)
        try:
            async with self._client.stream(endpoint, request, timeout_s=OPEN_TIMEOUT_S) as chunks:
                async for chunk in chunks:
                    yield chunk.data
        except RemoteError as error:
            raise _refusal(error, request) from error
        except Overloaded as error:
            raise errors.too_many_requests(f"the kubelet of node {node} is overloaded") from error
        except BusError as error:
            raise errors.unavailable(f"the kubelet of node {node} does not answer: {error}", 1) from error

    @asynccontextmanager
    async def duplex(
        self, node: str, request: Request, window_bytes: int = STREAM_WINDOW_BYTES
    ) -> AsyncGenerator[Duplex, None]:
        """Open a stream that goes both ways. Raises ApiError for a node without kubelet; the stream, BusError."""
        endpoint = self._endpoint(node)
        async with self._client.duplex(
            endpoint, request, timeout_s=OPEN_TIMEOUT_S, window_bytes=window_bytes
        ) as stream:
            yield stream

    async def ask(self, node: str, request: Request) -> Any:
        """Return a kubelet's answer. Raises ApiError for a node without kubelet, BusError."""
        return await self._client.request(self._endpoint(node), request, timeout_s=OPEN_TIMEOUT_S)

    async def stats(self) -> list[NodeStat]:
        """Return what all nodes use, as far as their kubelets answer."""
        endpoints = self._directory.work_of_role("kubelet")
        asked = (self._client.request(item, StatsRequest(), timeout_s=STATS_TIMEOUT_S) for item in endpoints)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, BusError):
                raise answer
        return [stat for answer in answers if isinstance(answer, StatsReply) for stat in answer.nodes]

    def _endpoint(self, node: str) -> str:
        actor = self._actors.get(node, f"kubelet@{node}")
        if actor not in self._directory.names:
            raise errors.not_found("nodes", node)
        return self._directory.work(actor)


def _refusal(error: RemoteError, request: LogsRequest) -> errors.ApiError:
    if error.kind == NOT_FOUND:
        return errors.ApiError(404, "NotFound", error.message, {"name": request.pod, "kind": "pods"})
    if error.kind in (BAD_REQUEST, NOT_RUNNING):
        return errors.bad_request(error.message)
    return errors.internal(error.message)


def _actors(config: ClusterConfig) -> dict[str, str]:
    """Which kubelet plays a simulated node: NAME-0 and on are kubelet@NAME's."""
    return {
        f"{name}-{number}": f"kubelet@{name}"
        for name, node in config.nodes.items()
        if node.count > 1
        for number in range(node.count)
    }

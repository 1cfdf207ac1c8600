"""What a kubelet says about itself: the paths that other kubelets serve over HTTPS, answered on the bus.

`kubectl get --raw /api/v1/nodes/NAME/proxy/PATH` comes here. Each path is a function of the node's name and the query;
`serve` adds one.

Neighbours: the API server's `streams.proxy` asks; `actor` registers it.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import orjson

from actors.kubelet.messages import NOT_FOUND, NodeReply, NodeRequest
from bus import Context, RemoteError, Server

JSON, TEXT = "application/json", "text/plain; charset=utf-8"

Answer = NodeReply | Awaitable[NodeReply]
Path = Callable[[str, str], Answer]  # node, query -> answer


class NodePaths:
    """`pods` gives the pods of a node, as the API shows them."""

    def __init__(self, nodes: Iterable[str], pods: Callable[[str], Iterable[dict[str, Any]]]) -> None:
        self._nodes = frozenset(nodes)
        self._pods = pods
        self._paths: dict[str, Path] = {
            "/healthz": lambda node, query: NodeReply(200, TEXT, b"ok"),
            "/pods": self._pod_list,
        }

    def register(self, server: Server) -> None:
        server.register(NodeRequest, self.answer)

    def serve(self, path: str, answer: Path) -> None:
        """Answer one more path."""
        self._paths[path] = answer

    def answer(self, request: NodeRequest, context: Context) -> Answer:
        if request.node not in self._nodes:
            raise RemoteError(f'node "{request.node}" is not played here', kind=NOT_FOUND)
        found = self._paths.get(request.path.rstrip("/") or "/")
        if request.path.startswith("/checkpoint/"):
            where = request.path.removeprefix("/checkpoint/")
            fault = f"checkpointing of {where} failed (this node's container runtime makes no checkpoints)"
            return NodeReply(501, TEXT, fault.encode())
        if found is None:
            return NodeReply(404, TEXT, b"404 page not found\n")
        return found(request.node, request.query)

    def _pod_list(self, node: str, query: str) -> NodeReply:
        pods = [{"kind": "Pod", "apiVersion": "v1", **pod} for pod in self._pods(node)]
        return NodeReply(
            200, JSON, orjson.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})
        )

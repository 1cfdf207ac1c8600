"""Answers `kubelet.stats`, and the paths of a node that are about usage.

Neighbours: `messages` declares, the API server's `metrics.k8s.io` asks for all nodes.
"""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

import orjson

from actors.kubelet.messages import NOT_FOUND, ContainerStat, NodeReply, NodeStat, PodStat, StatsReply, StatsRequest
from actors.kubelet.stats.exposition import CONTENT_TYPE, cadvisor_metrics, resource_metrics
from actors.kubelet.stats.sampler import Sampler
from actors.kubelet.stats.summary import summary
from actors.kubelet.stats.usage import Sample
from bus import Context, RemoteError, Server

JSON = "application/json"

Path = Callable[[str, str], NodeReply | Awaitable[NodeReply]]


class StatsServing:
    def __init__(self, samplers: Mapping[str, Sampler]):
        """`samplers` by node."""
        self._samplers = samplers

    def register(self, server: Server) -> None:
        server.register(StatsRequest, self.stats)

    def paths(self) -> dict[str, Path]:
        """Return what to answer on a node's own paths."""
        return {
            "/stats/summary": self._summary,
            "/metrics/resource": lambda node, query: self._reply(
                node, CONTENT_TYPE, lambda s: resource_metrics(s).encode()
            ),
            "/metrics/cadvisor": self._cadvisor,
        }

    async def _summary(self, node: str, query: str) -> NodeReply:
        """Tell what disks are used for, too, unless only the rest is wanted."""
        sampler = self._samplers[node]
        is_short = parse_qs(query).get("only_cpu_and_memory") == ["true"]
        sample = sampler.sample() if is_short else await sampler.with_disk()
        return NodeReply(200, JSON, orjson.dumps(summary(node, sample)))

    def _cadvisor(self, node: str, query: str) -> NodeReply:
        sampler = self._samplers[node]
        sample = sampler.sample()
        return NodeReply(200, CONTENT_TYPE, cadvisor_metrics(sample, sampler.work(sample)).encode())

    def stats(self, request: StatsRequest, context: Context) -> StatsReply:
        wanted = [request.node] if request.node else list(self._samplers)
        if request.node and request.node not in self._samplers:
            raise RemoteError(f'node "{request.node}" is not played here', kind=NOT_FOUND)
        return StatsReply([node_stat(name, self._samplers[name].sample()) for name in wanted])

    def _reply(self, node: str, content_type: str, render: Callable[[Sample], bytes]) -> NodeReply:
        return NodeReply(200, content_type, render(self._samplers[node].sample()))


def node_stat(node: str, sample: Sample) -> NodeStat:
    """Return a sample as it goes over the bus: what has no rate yet is left out."""
    found = []
    for pod in sample.pods:
        containers = [
            ContainerStat(item.name, sample.rates[item.id], item.usage.working_set_bytes)
            for item in pod.containers
            if item.id in sample.rates
        ]
        if containers and len(containers) == len(pod.containers):
            found.append(PodStat(pod.namespace, pod.name, containers))
    return NodeStat(
        node, sample.time_s, sample.window_s, sample.rates.get(""), sample.node.usage.working_set_bytes, found
    )

"""A node in Prometheus' text, under Kubernetes' names: /metrics for the kubelet, /metrics/probes for its probes.

Everything is read and put into words when somebody asks: while nobody does, it costs nothing.

Neighbours: `counts`, `prober` and `eviction` count; `stats` has the paths about usage; `actor` registers these.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.kubelet import pod as pods
from actors.kubelet.counts import POD_START_BOUNDS_S, Counts
from actors.kubelet.messages import NodeReply
from actors.kubelet.node_pods import NodePods
from actors.kubelet.observer import Observer
from actors.kubelet.prober import PROBE_LABELS, Probing
from actors.kubelet.runtime import ContainerState

Path = Callable[[str, str], NodeReply]


@dataclass(frozen=True, slots=True, eq=False)
class NodeMetrics(Collector):
    """What runs on one node, what was started there, and what was put out."""

    node: str
    counts: Counts
    observer: Observer
    pods: NodePods
    evictions: Mapping[str, int]  # by signal

    def collect(self) -> Iterator[Metric]:
        name = GaugeMetricFamily("kubelet_node_name", "The node's name. The count is always 1.", labels=["node"])
        name.add_metric([self.node], 1)
        yield name
        yield from self._running()
        yield from self._started()
        yield self._pod_starts()
        # Other kubelets' counter of this name lacks the ending that a counter has to have here.
        evictions = Metric("kubelet_evictions", "Pods evicted, by eviction signal.", "unknown")
        for signal, count in self.evictions.items():
            evictions.add_sample("kubelet_evictions", {"eviction_signal": signal}, count)
        yield evictions

    def _running(self) -> Iterator[Metric]:
        ready = {item.sandbox.pod_uid for item in self.observer.sandboxes() if item.sandbox.ready}
        yield GaugeMetricFamily("kubelet_running_pods", "Pods that have a running sandbox.", len(ready))
        states = Counter(item.container.state for item in self.observer.containers())
        states[ContainerState.RUNNING] += 0  # told even when it is none
        containers = GaugeMetricFamily("kubelet_running_containers", "Containers by state.", labels=["container_state"])
        for state, count in states.items():
            containers.add_metric([state.value], count)
        yield containers
        ephemeral = sum(len(pods.ephemeral_containers(worker.pod)) for worker in self.pods.workers())
        yield GaugeMetricFamily("kubelet_managed_ephemeral_containers", "Ephemeral containers of pods here.", ephemeral)

    def _started(self) -> Iterator[Metric]:
        counts = self.counts
        yield CounterMetricFamily("kubelet_started_pods", "Sandboxes that were asked for.", counts.sandbox_starts)
        yield CounterMetricFamily("kubelet_started_pods_errors", "Sandboxes that failed.", counts.sandbox_faults)
        started = CounterMetricFamily(
            "kubelet_started_containers", "Containers that were asked for.", labels=["container_type"]
        )
        for kind, count in counts.container_starts.items():
            started.add_metric([kind], count)
        yield started
        failed = CounterMetricFamily(
            "kubelet_started_containers_errors", "Containers that failed to start.", labels=["container_type", "code"]
        )
        for labels, count in counts.container_faults.items():
            failed.add_metric(labels, count)
        yield failed

    def _pod_starts(self) -> Metric:
        bounds = (*(str(float(bound)) for bound in POD_START_BOUNDS_S), "+Inf")
        totals = itertools.accumulate(map(float, self.counts.pod_start_buckets))
        return HistogramMetricFamily(
            "kubelet_pod_start_duration_seconds",
            "Time from seeing a pod for the first time to its running.",
            list(zip(bounds, totals, strict=True)),
            self.counts.pod_start_seconds,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ProbeMetrics(Collector):
    """What the probes of the pods that are here have said."""

    prober: Probing

    def collect(self) -> Iterator[Metric]:
        total = CounterMetricFamily("prober_probe", "Probes of a container by result.", labels=PROBE_LABELS)
        for labels, count in self.prober.results():
            total.add_metric(labels, count)
        yield total


class MetricsServing:
    def __init__(self, process: Collector, nodes: Mapping[str, tuple[NodeMetrics, ProbeMetrics]]):
        """`process` is of the process that plays all `nodes`."""
        self._process, self._nodes = process, nodes

    def paths(self) -> dict[str, Path]:
        """Return what to answer on a node's own paths."""
        return {
            "/metrics": lambda node, query: _reply(self._process, self._nodes[node][0]),
            "/metrics/probes": lambda node, query: _reply(self._nodes[node][1]),
        }


def _reply(*collectors: Collector) -> NodeReply:
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return NodeReply(200, CONTENT_TYPE_LATEST, generate_latest(registry))

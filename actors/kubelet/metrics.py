"""A node in Prometheus' text, under Kubernetes' names: /metrics for the kubelet, /metrics/probes for its probes.

What dashboards and alerts made for Kubernetes ask for is there, as far as it is true here: a kubelet that talks to its
API servers over the bus has no certificates that could expire, and no goroutines.

Everything is read and put into words when somebody asks: while nobody does, it costs nothing.

Neighbours: `counts`, `prober` and `eviction` count; `stats` has the paths about usage; `actor` registers these.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.kubelet import pod as pods
from actors.kubelet.counts import POD_START_BOUNDS_S, Counts
from actors.kubelet.messages import NodeReply
from actors.kubelet.node_pods import NodePods
from actors.kubelet.observer import Observer
from actors.kubelet.probes.prober import DURATION_LABELS, PROBE_LABELS, Probing
from actors.kubelet.runtime import ContainerState, RuntimeDriver

Path = Callable[[str, str], NodeReply]


class NodeCollectors(NamedTuple):
    """What tells of one node: on its /metrics, and on /metrics/probes."""

    of_node: Sequence[Collector]
    of_probes: Collector


@dataclass(frozen=True, slots=True, eq=False)
class ApiMetrics(Collector):
    """What API servers have answered to this process."""

    answers: Mapping[tuple[str, int], int]  # by method and code

    def collect(self) -> Iterator[Metric]:
        total = CounterMetricFamily("rest_client_requests", "Requests that were answered.", labels=["method", "code"])
        for (method, code), count in self.answers.items():
            total.add_metric([method, str(code)], count)
        yield total


@dataclass(frozen=True, slots=True, eq=False)
class NodeMetrics(Collector):
    """What runs on one node, what was started there, and what was put out."""

    node: str
    counts: Counts
    observer: Observer
    pods: NodePods
    evictions: Mapping[str, int]  # by signal
    driver: RuntimeDriver

    def collect(self) -> Iterator[Metric]:
        name = GaugeMetricFamily("kubelet_node_name", "The node's name. The count is always 1.", labels=["node"])
        name.add_metric([self.node], 1)
        yield name
        yield from self._running()
        yield from self._started()
        yield self._pod_starts()
        yield from self._work()
        yield from self._runtime()
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

    def _work(self) -> Iterator[Metric]:
        worker = HistogramMetricFamily(
            "kubelet_pod_worker_duration_seconds",
            "Time of a look at a pod, with all that was done then.",
            labels=["operation_type"],
        )
        yield self.counts.pod_syncs.add_to(worker)
        relist, interval = "kubelet_pleg_relist_duration_seconds", "kubelet_pleg_relist_interval_seconds"
        lists = HistogramMetricFamily(relist, "Time that comparing all with the runtime's list took.", labels=())
        yield self.observer.relist_s.add_to(lists)
        between = HistogramMetricFamily(interval, "Time between two such comparisons, below the events.", labels=())
        yield self.observer.relist_interval_s.add_to(between)

    def _runtime(self) -> Iterator[Metric]:
        operations, labels = self.driver.operations, ["operation_type"]
        total = CounterMetricFamily("kubelet_runtime_operations", "Calls of the container runtime.", labels=labels)
        for (name, *_), durations in operations.durations.by_labels.items():
            total.add_metric([name], sum(durations.buckets))
        yield total
        errors = CounterMetricFamily(
            "kubelet_runtime_operations_errors", "Calls of the container runtime that failed.", labels=labels
        )
        for name, count in operations.errors.items():
            errors.add_metric([name], count)
        yield errors
        took = HistogramMetricFamily(
            "kubelet_runtime_operations_duration_seconds", "Time that the container runtime took.", labels=labels
        )
        yield operations.durations.add_to(took)
        cgroups = HistogramMetricFamily(
            "kubelet_cgroup_manager_duration_seconds", "Time of what was done to pods' cgroups.", labels=labels
        )
        yield self.driver.cgroup_durations.add_to(cgroups)


@dataclass(frozen=True, slots=True, eq=False)
class ProbeMetrics(Collector):
    """What the probes of the pods that are here have said."""

    prober: Probing

    def collect(self) -> Iterator[Metric]:
        total = CounterMetricFamily("prober_probe", "Probes of a container by result.", labels=PROBE_LABELS)
        for labels, count in self.prober.results():
            total.add_metric(labels, count)
        yield total
        took = HistogramMetricFamily(
            "prober_probe_duration_seconds", "Time until a probe had its answer.", labels=DURATION_LABELS
        )
        for durations in self.prober.durations():
            durations.add_to(took)
        yield took


class MetricsServing:
    def __init__(self, process: Sequence[Collector], nodes: Mapping[str, NodeCollectors]):
        """`process` is of the process that plays all `nodes`."""
        self._process, self._nodes = process, nodes

    def paths(self) -> dict[str, Path]:
        """Return what to answer on a node's own paths."""
        return {
            "/metrics": lambda node, query: _reply(*self._process, *self._nodes[node].of_node),
            "/metrics/probes": lambda node, query: _reply(self._nodes[node].of_probes),
        }


def _reply(*collectors: Collector) -> NodeReply:
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return NodeReply(200, CONTENT_TYPE_LATEST, generate_latest(registry))

"""A sample as Prometheus text: /metrics/resource (the kubelet's own) and /metrics/cadvisor. Pure.

Names and labels are those that Kubernetes documents and dashboards ask for. Written by hand rather than with a client
library's registry: every line is of this one sample, and what is gone must be gone.
"""

from collections.abc import Iterable, Mapping

from actors.kubelet.stats.usage import NS_PER_S, ContainerUsage, PodUsage, Sample, Work

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Line = tuple[Mapping[str, str], float]


def resource_metrics(sample: Sample) -> str:
    at_ms = int(sample.time_s * 1000)
    node = sample.node.usage
    each = [(pod, container) for pod in sample.pods for container in pod.containers]
    families: list[tuple[str, str, str, list[Line], bool]] = [
        ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time of the container in core-seconds",
         [(_names(p, c), c.usage.cpu_ns / NS_PER_S) for p, c in each], True),
        ("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes",
         [(_names(p, c), c.usage.working_set_bytes) for p, c in each], True),
        ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds",
         [(_names(p, c), c.started_ns / NS_PER_S) for p, c in each], False),
        ("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds",
         [({}, node.cpu_ns / NS_PER_S)], True),
        ("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes",
         [({}, node.working_set_bytes)], True),
        ("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds",
         [(_names(p), p.usage.cpu_ns / NS_PER_S) for p in sample.pods], True),
        ("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes",
         [(_names(p), p.usage.working_set_bytes) for p in sample.pods], True),
        ("resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise",
         [({}, 0)], False),
    ]  # fmt: skip
    return "".join(
        _family(name, kind, text, lines, at_ms if timed else 0) for name, kind, text, lines, timed in families
    )


def cadvisor_metrics(sample: Sample, work: Mapping[str, Work] | None = None) -> str:
    """Render a sample as cAdvisor does. `work` is by container id."""
    at_ms = int(sample.time_s * 1000)
    each = [(_cadvisor(pod, None), pod.usage) for pod in sample.pods]
    each += [(_cadvisor(pod, item), item.usage) for pod in sample.pods for item in pod.containers]
    each.append((_cadvisor(None, None), sample.node.usage))
    families: list[tuple[str, str, str, list[Line]]] = [
        ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.",
         [(labels | {"cpu": "total"}, usage.cpu_ns / NS_PER_S) for labels, usage in each]),
        ("container_memory_usage_bytes", "gauge", "Current memory usage in bytes, including all memory.",
         [(labels, usage.usage_bytes) for labels, usage in each]),
        ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.",
         [(labels, usage.working_set_bytes) for labels, usage in each]),
        ("container_memory_rss", "gauge", "Size of RSS in bytes.",
         [(labels, usage.rss_bytes) for labels, usage in each]),
        ("container_memory_cache", "gauge", "Number of bytes of page cache memory.",
         [(labels, usage.cache_bytes) for labels, usage in each]),
        ("container_memory_swap", "gauge", "Container swap usage in bytes.",
         [(labels, usage.swap_bytes) for labels, usage in each]),
        ("container_memory_failures_total", "counter", "Cumulative count of memory allocation failures.",
         [(labels | {"failure_type": kind, "scope": "container"}, count) for labels, usage in each
          for kind, count in (("pgfault", usage.page_faults), ("pgmajfault", usage.major_page_faults))]),
        ("container_processes", "gauge", "Number of processes running inside the container.",
         [(labels, usage.processes) for labels, usage in each]),
        ("container_last_seen", "gauge", "Last time a container was seen by the exporter",
         [(labels, int(sample.time_s)) for labels, _ in each]),
        ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.",
         [(_cadvisor(pod, item), item.started_ns / NS_PER_S) for pod in sample.pods for item in pod.containers]),
        *_work_families(sample, work or {}),
        *_network_families(sample),
        ("machine_cpu_cores", "gauge", "Number of logical CPU cores.", [({}, sample.node.cpus)]),
        ("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.",
         [({}, sample.node.capacity_bytes)]),
    ]  # fmt: skip
    return "".join(_family(name, kind, text, lines, at_ms) for name, kind, text, lines in families)


def _work_families(sample: Sample, work: Mapping[str, Work]) -> Iterable[tuple[str, str, str, list[Line]]]:
    """What containers were held back, and what they read and wrote; a container without a limit has no periods."""
    each = [(_cadvisor(p, c), work[c.id]) for p in sample.pods for c in p.containers if c.id in work]
    bound = [(labels, item) for labels, item in each if item.periods]
    total = "Cumulative count of"
    for name, text, field in (
        ("periods", "Number of elapsed enforcement period intervals.", "periods"),
        ("throttled_periods", "Number of throttled period intervals.", "throttled_periods"),
    ):
        lines: list[Line] = [(labels, getattr(item, field)) for labels, item in bound]
        yield f"container_cpu_cfs_{name}_total", "counter", text, lines
    yield (
        "container_cpu_cfs_throttled_seconds_total", "counter", "Total time duration the container has been throttled.",
        [(labels, item.throttled_ns / NS_PER_S) for labels, item in bound],
    )  # fmt: skip
    for name, text, field in (
        ("reads_total", "reads completed", "reads"),
        ("writes_total", "writes completed", "writes"),
        ("reads_bytes_total", "bytes read", "read_bytes"),
        ("writes_bytes_total", "bytes written", "written_bytes"),
    ):
        lines = [(labels | {"device": ""}, getattr(item, field)) for labels, item in each]
        yield f"container_fs_{name}", "counter", f"{total} {text}", lines


def _network_families(sample: Sample) -> Iterable[tuple[str, str, str, list[Line]]]:
    """A pod's network belongs to its sandbox, and so has no container's name."""
    each = [(_cadvisor(pod, None) | {"interface": item.name}, item) for pod in sample.pods for item in pod.interfaces]
    each += [(_cadvisor(None, None) | {"interface": item.name}, item) for item in sample.node.interfaces]
    for name, text, field in (
        ("receive_bytes", "bytes received", "rx_bytes"),
        ("receive_packets", "packets received", "rx_packets"),
        ("receive_packets_dropped", "packets dropped while receiving", "rx_dropped"),
        ("receive_errors", "errors encountered while receiving", "rx_errors"),
        ("transmit_bytes", "bytes transmitted", "tx_bytes"),
        ("transmit_packets", "packets transmitted", "tx_packets"),
        ("transmit_packets_dropped", "packets dropped while transmitting", "tx_dropped"),
        ("transmit_errors", "errors encountered while transmitting", "tx_errors"),
    ):
        lines: list[Line] = [(labels, getattr(item, field)) for labels, item in each]
        yield f"container_network_{name}_total", "counter", f"Cumulative count of {text}", lines


def _names(pod: PodUsage, container: ContainerUsage | None = None) -> dict[str, str]:
    own = {"container": container.name} if container is not None else {}
    return own | {"namespace": pod.namespace, "pod": pod.name}


def _cadvisor(pod: PodUsage | None, container: ContainerUsage | None) -> dict[str, str]:
    identity = "/"
    if pod is not None:
        identity = f"/pod{pod.uid}" + (f"/{container.id}" if container is not None else "")
    return {
        "container": container.name if container is not None else "",
        "id": identity,
        "image": container.image if container is not None else "",
        "name": container.id if container is not None else "",
        "namespace": pod.namespace if pod is not None else "",
        "pod": pod.name if pod is not None else "",
    }


def _family(name: str, kind: str, text: str, lines: Iterable[Line], at_ms: int) -> str:
    rendered = [f"# HELP {name} {text}\n# TYPE {name} {kind}\n"]
    for labels, value in lines:
        inner = ",".join(f'{key}="{value.translate(_ESCAPES)}"' for key, value in labels.items())
        time = f" {at_ms}" if at_ms else ""
        rendered.append(f"{name}{{{inner}}} {_value(value)}{time}\n" if inner else f"{name} {_value(value)}{time}\n")
    return "".join(rendered)


def _value(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))

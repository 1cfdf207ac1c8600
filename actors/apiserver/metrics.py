"""What is counted of requests, for /metrics, under Kubernetes' names. Cheap: some additions a request, texts when read.

Names that are not served are counted together, so that strangers make no new series.

Neighbours: `handler` counts; `actor` registers the rest; `fairness.gate` and `audit.auditor` have figures of their own.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.apiserver.component_metrics import DeprecatedRequests
from actors.apiserver.inflight import InFlight
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.storage.watch_cache import ROOT, WatchCache

MAX_SERIES = 5_000  # of requests: all verbs of some hundred resources; more is counted as one
LABELS = ["verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"]
DURATION_BOUNDS_S = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip
SERVICE_LEVEL_BOUNDS_S = DURATION_BOUNDS_S[2:]
SIZE_BOUNDS_BYTES = (1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
COMPONENT = "apiserver"

_VERBS = {
    "get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH",
    "delete": "DELETE", "deletecollection": "DELETECOLLECTION", "head": "GET", "post": "POST", "put": "PUT",
}  # fmt: skip
_CONNECTS = frozenset({"exec", "attach", "portforward", "proxy", "log"})

Key = tuple[str, ...]


class Series:
    """All answers to one kind of request."""

    __slots__ = ("bytes", "codes", "seconds", "size_buckets", "time_buckets")

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.seconds = 0.0
        self.bytes = 0
        self.time_buckets = [0] * (len(DURATION_BOUNDS_S) + 1)
        self.size_buckets = [0] * (len(SIZE_BOUNDS_BYTES) + 1)


class RequestMetrics(Collector):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._series: dict[Key, Series] = {}
        self.terminated: dict[int, int] = {}  # by code: requests that were refused, or given up, to protect the server
        self.unauthenticated = 0
        self.deprecated = DeprecatedRequests()
        registry.register(self)
        registry.register(self.deprecated)

    def count(self, info: RequestInfo | None, code: int, seconds: float, size_bytes: int | None) -> None:
        """Count an answer. That of a stream has no size, and its time says nothing of the server: it isn't counted."""
        key = _key(info, code)
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= MAX_SERIES:
                key = _key(None, code)
            series = self._series.setdefault(key, Series())
        series.codes[code] = series.codes.get(code, 0) + 1
        if size_bytes is None:
            return
        series.seconds += seconds
        series.time_buckets[bisect_left(DURATION_BOUNDS_S, seconds)] += 1
        if size_bytes:
            series.bytes += size_bytes
            series.size_buckets[bisect_left(SIZE_BOUNDS_BYTES, size_bytes)] += 1
        if code in (429, 504):
            self.terminated[code] = self.terminated.get(code, 0) + 1

    def collect(self) -> Iterator[Metric]:
        total = CounterMetricFamily("apiserver_request", "Requests by kind and HTTP code.", labels=[*LABELS, "code"])
        duration = HistogramMetricFamily("apiserver_request_duration_seconds", "Time to the answer.", labels=LABELS)
        sizes = HistogramMetricFamily("apiserver_response_sizes", "Size of answers in bytes.", labels=LABELS)
        for key, series in self._series.items():
            labels = [*key, COMPONENT]
            for code, count in series.codes.items():
                total.add_metric([*labels, str(code)], count)
            if any(series.time_buckets):
                duration.add_metric(labels, _cumulated(DURATION_BOUNDS_S, series.time_buckets), series.seconds)
            if series.bytes:
                sizes.add_metric(labels, _cumulated(SIZE_BOUNDS_BYTES, series.size_buckets), series.bytes)
        yield total
        yield duration
        yield self._service_levels()
        yield sizes
        terminated = CounterMetricFamily(
            "apiserver_request_terminations", "Requests ended to protect the server.", labels=["component", "code"]
        )
        for code, count in self.terminated.items():
            terminated.add_metric([COMPONENT, str(code)], count)
        yield terminated
        attempts = CounterMetricFamily(
            "authentication_attempts", "Requests by outcome of authentication.", labels=["result"]
        )
        attempts.add_metric(["failure"], self.unauthenticated)
        attempts.add_metric(["success"], sum(sum(series.codes.values()) for series in self._series.values()))
        yield attempts

    def _service_levels(self) -> Metric:
        """The same durations under the name, and in the buckets, by which service levels are reckoned."""
        found = HistogramMetricFamily(
            "apiserver_request_sli_duration_seconds", "Time to the answer, as service levels count it.",
            labels=[label for label in LABELS if label != "dry_run"],
        )  # fmt: skip
        skipped = len(DURATION_BOUNDS_S) - len(SERVICE_LEVEL_BOUNDS_S)
        sums: dict[Key, tuple[list[int], float]] = {}
        for (verb, _, *others), series in self._series.items():
            buckets = [sum(series.time_buckets[: skipped + 1]), *series.time_buckets[skipped + 1 :]]
            before, seconds = sums.get((verb, *others), ([0] * len(buckets), 0.0))
            sums[verb, *others] = [a + b for a, b in zip(before, buckets, strict=True)], seconds + series.seconds
        for key, (buckets, seconds) in sums.items():
            if any(buckets):
                found.add_metric([*key, COMPONENT], _cumulated(SERVICE_LEVEL_BOUNDS_S, buckets), seconds)
        return found


def _key(info: RequestInfo | None, code: int) -> Key:
    if info is None or not info.is_resource or code == 404:
        verb = "" if info is None else _VERBS.get(info.verb, "OTHER")
        return (verb, "", "", "", "", "", "")
    if not info.series:
        info.series = _key_of(info)
    return info.series


def _key_of(info: RequestInfo) -> Key:
    verb = "CONNECT" if info.subresource in _CONNECTS else _VERBS.get(info.verb, "OTHER")
    scope = "resource" if info.name or info.verb == "create" else "namespace" if info.namespace else "cluster"
    dry_run = "All" if "dryRun" in info.query else ""
    return (verb, dry_run, info.group, info.version, info.resource, info.subresource, scope)


def _cumulated(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    buckets, total = [], 0
    for bound, count in zip((*(str(float(bound)) for bound in bounds), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets


@dataclass(frozen=True, slots=True)
class ServerGauges(Collector):
    """What the server holds now: objects, watches, requests."""

    cache: WatchCache
    in_flight: InFlight
    connections: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        objects = GaugeMetricFamily("apiserver_storage_objects", "Objects by resource.", labels=["resource"])
        newer = GaugeMetricFamily("apiserver_resource_objects", "Objects by resource.", labels=["group", "resource"])
        watches = GaugeMetricFamily(
            "apiserver_longrunning_requests", "Open watches by resource.", labels=["verb", "resource"]
        )
        for cache in self.cache:
            name = _resource_name(cache.prefix)
            objects.add_metric([name], len(cache.entries))
            plural, _, group = name.partition(".")
            newer.add_metric([group, plural], len(cache.entries))
            if cache.watcher_count:
                watches.add_metric(["WATCH", name], cache.watcher_count)
        yield objects
        yield newer
        yield watches
        requests = GaugeMetricFamily(
            "apiserver_current_inflight_requests", "Requests in the server.", labels=["request_kind"]
        )
        requests.add_metric(["readOnly"], self.in_flight.reads)
        requests.add_metric(["mutating"], self.in_flight.writes)
        requests.add_metric(["stream"], self.in_flight.streams)
        yield requests
        yield GaugeMetricFamily("apiserver_storage_revision", "Revision of the watch cache.", self.cache.revision)
        yield GaugeMetricFamily("apiserver_open_connections", "Connections over HTTPS.", self.connections())


def _resource_name(prefix: bytes) -> str:
    """`deployments.apps` of /registry/apps/deployments/."""
    group, _, plural = prefix[len(ROOT) : -1].decode().rpartition("/")
    return f"{plural}.{group}" if group else plural

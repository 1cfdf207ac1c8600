"""What is counted of requests, for /metrics. Cheap: one labelled counter a request, gauges read when scraped.

Neighbours: `handler` counts; `actor` registers the gauges.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge

from actors.apiserver.request_info import RequestInfo
from actors.apiserver.storage.watch_cache import WatchCache


class RequestMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "apiserver_request_total",
            "Requests by verb, group, resource, subresource and HTTP code.",
            ["verb", "group", "resource", "subresource", "code"],
            registry=registry,
        )
        self._children: dict[tuple, Counter] = {}

    def count(self, info: RequestInfo | None, status: int) -> None:
        """Count an answer. Names that are not served are counted together, so that strangers make no new series."""
        if info is None or not info.is_resource or status == 404:
            key = ("" if info is None else info.verb if len(info.verb) < 20 else "other", "", "", "", status)
        else:
            key = (info.verb, info.group, info.resource, info.subresource, status)
        child = self._children.get(key)
        if child is None:
            if len(self._children) >= MAX_SERIES:
                return
            child = self._children[key] = self._requests.labels(*key[:4], str(status))
        child.inc()


MAX_SERIES = 5_000  # of the request counter: all verbs of some hundred resources; more is not counted


def register_gauges(registry: CollectorRegistry, cache: WatchCache) -> None:
    """Offer the size of the watch cache and the number of watches."""
    objects = Gauge("apiserver_storage_objects", "Objects in the watch cache.", registry=registry)
    objects.set_function(lambda: sum(len(one.entries) for one in cache))
    watchers = Gauge("apiserver_longrunning_requests", "Watches that are open.", registry=registry)
    watchers.set_function(lambda: sum(one.watcher_count for one in cache))
    revision = Gauge("apiserver_storage_revision", "The revision that the watch cache has reached.", registry=registry)
    revision.set_function(lambda: cache.revision)

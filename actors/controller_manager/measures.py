"""What the controllers tell a metrics collector, in the words of Kubernetes' own metrics."""

from prometheus_client import CollectorRegistry, Counter, Histogram

# Reconciles take from tens of microseconds (nothing to do) to seconds (500 creations).
_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class Measures:
    def __init__(self, registry: CollectorRegistry):
        self._duration = Histogram(
            "workqueue_work_duration_seconds",
            "Seconds that a reconcile took",
            ["name"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._retries = Counter("workqueue_retries", "Reconciles that have to be repeated", ["name"], registry=registry)

    def reconciled(self, controller: str, retry: bool, seconds: float) -> None:
        self._duration.labels(controller).observe(seconds)
        if retry:
            self._retries.labels(controller).inc()

"""What a node has started, and what of that failed: a few numbers of the whole node, whatever becomes of its pods.

Plain additions where something happens; the words for a metrics collector are made when one asks.

Neighbours: `starter` and `worker` count; `metrics` reads.
"""

from bisect import bisect_left
from collections import Counter

from actors.kubelet import pod as pods
from actors.kubelet.measure import Durations

# Upper bounds of the histogram of pods' starts, as other kubelets have them: queries name these.
POD_START_BOUNDS_S = (
    0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600,
)  # fmt: skip


class Counts:
    __slots__ = (
        "container_faults",
        "container_starts",
        "pod_syncs",
        "pod_start_buckets",
        "pod_start_seconds",
        "sandbox_faults",
        "sandbox_starts",
        "worker_faults",
    )

    def __init__(self) -> None:
        self.sandbox_starts = 0
        self.sandbox_faults = 0
        self.container_starts: Counter[str] = Counter()  # by type
        self.container_faults: Counter[tuple[str, str]] = Counter()  # by type and reason
        self.pod_start_buckets = [0] * (len(POD_START_BOUNDS_S) + 1)
        self.pod_start_seconds = 0.0
        self.worker_faults = 0  # pods that could not be dealt with, each time that it was tried
        self.pod_syncs = Durations()  # of looks at a pod with all that was done then, by "create", "sync" or "kill"

    def pod_started(self, seconds: float) -> None:
        """Count a pod that runs now, so long after this kubelet first saw it."""
        self.pod_start_buckets[bisect_left(POD_START_BOUNDS_S, seconds)] += 1
        self.pod_start_seconds += seconds


def container_type(pod: pods.Pod, name: str) -> str:
    """Return which of a pod's lists a container is in, in the words of the metrics."""
    if any(item["name"] == name for item in pods.init_containers(pod)):
        return "init_container"
    if any(item["name"] == name for item in pods.ephemeral_containers(pod)):
        return "ephemeral_container"
    return "container"

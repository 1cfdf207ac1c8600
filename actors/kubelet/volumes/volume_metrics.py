"""The volumes of a node in Prometheus' text: how many, how long it took to make them, how full the claimed ones are.

Everything is counted when somebody asks; a claim costs one statvfs(2).

Neighbours: `actors.kubelet.metrics` serves it; `pod_files` knows where volumes are.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.kubelet import pod as pods
from actors.kubelet.surroundings.pod_files import Files
from actors.kubelet.volumes.space import space_of
from actors.kubelet.volumes.volumes import plugin_of

CLAIM_LABELS = ("namespace", "persistentvolumeclaim")
FIGURES = {
    "capacity_bytes": "Capacity in bytes of the volume",
    "available_bytes": "Number of available bytes in the volume",
    "used_bytes": "Number of used bytes in the volume",
    "inodes": "Maximum number of inodes in the volume",
    "inodes_free": "Number of free inodes in the volume",
    "inodes_used": "Number of used inodes in the volume",
}


@dataclass(frozen=True, slots=True, eq=False)
class VolumeMetrics(Collector):
    """`watched` gives the pods that may use volumes."""

    files: Files
    watched: Callable[[], Iterable[pods.Pod]]

    def collect(self) -> Iterator[Metric]:
        yield self._totals()
        duration = HistogramMetricFamily(
            "storage_operation_duration_seconds",
            "Storage operation duration.",
            labels=["volume_plugin", "status", "operation_name", "migrated"],
        )
        for labels, found in self.files.mounts_s.by_labels.items():
            found.add_to(duration, (*labels, "volume_mount", "false"))
        yield duration
        yield from self._claims()

    def _totals(self) -> Metric:
        counts: Counter[tuple[str, str]] = Counter()
        for pod in self.watched():
            for volume in pod["spec"].get("volumes") or ():
                plugin = plugin_of(volume)
                counts[plugin, "desired_state_of_world"] += 1
                counts[plugin, "actual_state_of_world"] += self.files.has_volume(pod, volume)
        total = GaugeMetricFamily(
            "volume_manager_total_volumes", "Volumes by plugin, wanted and made.", labels=["plugin_name", "state"]
        )
        for labels, count in counts.items():
            total.add_metric(labels, count)
        return total

    def _claims(self) -> Iterator[Metric]:
        """Give the figures of each claim once, however many pods use it."""
        places = {
            (pods.namespace(pod), claim): path
            for pod in self.watched()
            for claim, path in self.files.claimed(pod).values()
        }
        families = {
            name: GaugeMetricFamily(f"kubelet_volume_stats_{name}", text, labels=CLAIM_LABELS)
            for name, text in FIGURES.items()
        }
        for labels, path in places.items():
            space = space_of(path)
            for name, family in families.items():
                if space is not None:
                    family.add_metric(labels, getattr(space, name))
        yield from families.values()

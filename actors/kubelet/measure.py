"""Times in buckets, for a metrics collector: a list of numbers for each set of labels, and nothing else until one asks.

`prometheus_client`'s own histograms keep an object with a lock for each bucket of each label; a kubelet, which is to be
small, has hundreds.

Neighbours: `counts`, `prober`, `observer`, the drivers and volumes observe; `metrics` puts it into words.
"""

import itertools
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client.core import HistogramMetricFamily

from actors.kubelet.faults import RuntimeFault

# Upper bounds, as other kubelets have them: queries name these.
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
RUNTIME_BOUNDS_S = tuple(0.005 * 2.5**power for power in range(14))


class Histogram:
    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: Sequence[float] = BOUNDS_S):
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> HistogramMetricFamily:
        bounds = (*(str(float(bound)) for bound in self.bounds), "+Inf")
        counts = itertools.accumulate(map(float, self.buckets))
        family.add_metric(list(labels), list(zip(bounds, counts, strict=True)), self.total)
        return family


class Durations:
    """Times by the values of labels, in seconds."""

    __slots__ = ("bounds", "by_labels")

    def __init__(self, bounds: Sequence[float] = BOUNDS_S):
        self.bounds = bounds
        self.by_labels: dict[tuple[str, ...], Histogram] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        found = self.by_labels.get(labels)
        if found is None:
            found = self.by_labels[labels] = Histogram(self.bounds)
        found.observe(seconds)

    @contextmanager
    def timed(self, *labels: str) -> Iterator[None]:
        """Observe how long a block takes, however it ends."""
        begun_s = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - begun_s, *labels)

    def add_to(self, family: HistogramMetricFamily) -> HistogramMetricFamily:
        for labels, found in self.by_labels.items():
            found.add_to(family, labels)
        return family


class Operations:
    """What was asked of a container runtime: how often, how long it took, and what of it failed."""

    __slots__ = ("durations", "errors")

    def __init__(self) -> None:
        self.durations = Durations(RUNTIME_BOUNDS_S)
        self.errors: Counter[str] = Counter()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count a call. No name: it is none of those that are counted."""
        if not name:
            yield
            return
        try:
            with self.durations.timed(name):
                yield
        except RuntimeFault:
            self.errors[name] += 1
            raise

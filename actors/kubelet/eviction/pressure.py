"""Which pressures a node is under, and whether something must go now, from one look to the next. No I/O.

A condition holds on for a while after its signal is well again, so that pods don't come back to what they were evicted
from. A threshold that led to an eviction stays until its minimum reclaim is free too. A soft one counts when it was met
for its whole grace.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from actors.kubelet.eviction.thresholds import CONDITIONS, MEMORY, Signals, Threshold


@dataclass(frozen=True, slots=True)
class Verdict:
    """`due` is the threshold to act upon: of several the first that is about memory, else the first."""

    conditions: frozenset[str]
    due: Threshold | None


class Pressure:
    def __init__(self, thresholds: Sequence[Threshold], transition_s: float):
        self._thresholds = thresholds
        self._transition_s = transition_s
        self._met_since: dict[Threshold, float] = {}
        self._seen: dict[str, float] = {}  # condition -> when it last held

    def look(self, signals: Signals, now_s: float) -> Verdict:
        """Take in what is left of everything. `now_s` is monotonic."""
        met = [item for item in self._thresholds if item.signal in signals and self._is_met(item, signals)]
        self._met_since = {item: self._met_since.get(item, now_s) for item in met}
        for item in met:
            self._seen[CONDITIONS[item.signal]] = now_s
        conditions = {name for name, at_s in self._seen.items() if at_s == now_s or now_s - at_s < self._transition_s}
        ready = [item for item in met if item.is_hard or now_s - self._met_since[item] >= (item.grace_s or 0.0)]
        ready.sort(key=lambda item: item.signal != MEMORY)
        return Verdict(frozenset(conditions), ready[0] if ready else None)

    def _is_met(self, threshold: Threshold, signals: Signals) -> bool:
        return threshold.is_met(signals[threshold.signal], with_reclaim=threshold in self._met_since)

"""Why no node took a pod, in the words of Kubernetes' events.

Each node counts under the first filter that refuses it. The plugins named here are the ones whose events may bring the
pod back from the unschedulable pods of the queue.

Neighbours: `core` asks after a plan found nothing; `queue` uses the plugins.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

from actors.scheduler.arrays import NodeArrays
from actors.scheduler.filters import ALL_FILTERS
from actors.scheduler.requirements import Requirements

NO_NODES = "no nodes available to schedule pods"


class Diagnosis(NamedTuple):
    message: str
    plugins: frozenset[str]


def diagnose(arrays: NodeArrays, requirements: Requirements) -> Diagnosis:
    """Return the message and the plugins that refused the pod."""
    if not len(arrays):
        return Diagnosis(NO_NODES, frozenset(f.NAME for f in ALL_FILTERS))
    counts: Counter[str] = Counter()
    plugins = set()
    remaining = np.flatnonzero(arrays.valid)
    for node_filter in ALL_FILTERS:
        passed = node_filter.passes(arrays, requirements, remaining)
        for row in remaining[~passed]:
            counts.update(node_filter.reasons(arrays, requirements, int(row)))
            plugins.add(node_filter.NAME)
        remaining = remaining[passed]
        if not remaining.size:
            break
    return Diagnosis(message(len(arrays), counts), frozenset(plugins))


def message(nodes: int, counts: Counter[str]) -> str:
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{nodes} nodes are available: {reasons}."

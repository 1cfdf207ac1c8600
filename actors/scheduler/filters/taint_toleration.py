"""A taint with effect NoSchedule or NoExecute keeps off every pod that does not tolerate it."""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.cluster_events import NODE_ADDED, NODE_TAINT
from actors.scheduler.requirements import Requirements
from actors.scheduler.toleration import tolerated

NAME = "TaintToleration"
EVENTS = frozenset({NODE_ADDED, NODE_TAINT})
EFFECTS = frozenset({"NoSchedule", "NoExecute"})


def passes(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    refused = np.zeros_like(arrays.valid[rows])
    for taint, carriers in arrays.taints.items():
        if taint.effect in EFFECTS and not tolerated(taint, requirements.tolerations):
            refused |= carriers[rows]
    return ~refused


def reasons(arrays: NodeArrays, requirements: Requirements, row: int) -> list[str]:
    """Name the first such taint in the order of the node's list."""
    for taint in arrays.infos[row].taints:
        if taint.effect in EFFECTS and not tolerated(taint, requirements.tolerations):
            return [f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"]
    raise AssertionError(f"{NAME} refused {arrays.names[row]}, whose taints are all tolerated")

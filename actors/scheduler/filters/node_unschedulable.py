"""A cordoned node takes no pod, unless the pod tolerates the taint that cordoning stands for."""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.cluster_events import NODE_ADDED, NODE_TAINT
from actors.scheduler.node_info import Taint
from actors.scheduler.requirements import Requirements
from actors.scheduler.toleration import tolerated

NAME = "NodeUnschedulable"
EVENTS = frozenset({NODE_ADDED, NODE_TAINT})
TAINT = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


def passes(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    if tolerated(TAINT, requirements.tolerations):
        return np.ones_like(arrays.valid[rows])
    return ~arrays.unschedulable[rows]


def reasons(arrays: NodeArrays, requirements: Requirements, row: int) -> list[str]:
    return ["node(s) were unschedulable"]

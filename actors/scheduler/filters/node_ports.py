"""Two pods with the same host port cannot share a node."""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.cluster_events import NODE_ADDED, POD_DELETED
from actors.scheduler.requirements import Requirements

NAME = "NodePorts"
EVENTS = frozenset({NODE_ADDED, POD_DELETED})


def passes(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    if not requirements.host_ports:
        return np.ones_like(arrays.valid[rows])
    free = np.ones(arrays.capacity, dtype=bool)
    free[list(arrays.ports.conflicts(requirements.host_ports))] = False
    return free[rows]


def passes_row(arrays: NodeArrays, requirements: Requirements, row: int) -> bool:
    return not requirements.host_ports or row not in arrays.ports.conflicts(requirements.host_ports)


def reasons(arrays: NodeArrays, requirements: Requirements, row: int) -> list[str]:
    return ["node(s) didn't have free ports for the requested pod ports"]

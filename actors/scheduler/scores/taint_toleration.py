"""Avoid nodes with taints of effect PreferNoSchedule that the pod does not tolerate: the fewer, the better."""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.requirements import Requirements
from actors.scheduler.scores.normalize import by_maximum
from actors.scheduler.toleration import tolerated

NAME = "TaintToleration"
WEIGHT = 3
EFFECT = "PreferNoSchedule"


def score(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    counts = np.zeros_like(arrays.valid[rows], dtype=np.int64)
    for taint, carriers in arrays.taints.items():
        if taint.effect == EFFECT and not tolerated(taint, requirements.tolerations):
            counts += carriers[rows]
    return counts


def normalize(raw: np.ndarray, feasible: np.ndarray) -> np.ndarray:
    return by_maximum(raw, feasible, reverse=True)

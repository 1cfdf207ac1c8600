"""Constraints with ScheduleAnyway: prefer domains that hold fewer of the pods that a constraint selects.

Keys with many domains weigh more (by the logarithm), because one pod more or less says less where there are few. Nodes
without one of the keys are last.
"""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.filters.pod_topology_spread import counted, selected_pods
from actors.scheduler.labels import ABSENT
from actors.scheduler.requirements import Requirements
from actors.scheduler.topology import domains, near

NAME = "PodTopologySpread"
WEIGHT = 2
MAX_SCORE = 100
IGNORED = -1  # raw score of a row that lacks a key


def score(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    soft = tuple(c for c in requirements.spread if not c.hard)
    total = np.zeros(arrays.size, dtype=np.float64)
    ignored = np.zeros(arrays.size, dtype=bool)
    for constraint in soft:
        taking_part = counted(arrays, requirements, constraint, soft)
        ids = domains(arrays, constraint.topology_key)
        pods = np.where(taking_part, selected_pods(arrays, requirements, constraint), 0)
        weight = np.log(len(np.unique(ids[taking_part])) + 2)
        total += near(ids, pods) * weight + (constraint.max_skew - 1)
        ignored |= ids == ABSENT
    rounded = np.rint(total).astype(np.int64)
    rounded[ignored] = IGNORED
    return rounded[rows]


def normalize(raw: np.ndarray, feasible: np.ndarray) -> np.ndarray:
    considered = raw[feasible & (raw != IGNORED)]
    if not considered.size:
        return np.zeros_like(raw)
    least, most = considered.min(), considered.max()
    if most == 0:
        scaled = np.full_like(raw, MAX_SCORE)
    else:
        scaled = MAX_SCORE * (most + least - raw) // most
    return np.where(raw == IGNORED, 0, scaled)

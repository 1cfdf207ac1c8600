"""Constraints with ScheduleAnyway: prefer domains that hold fewer of the pods that a constraint selects.

Pods of a controller that bring no constraint of their own are spread over hosts and zones by default. Keys with many
domains weigh more (by the logarithm), because one pod more or less says less where there are few. Nodes without one of
the keys are last.
"""

import math

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.filters.pod_topology_spread import counted, selected_pods
from actors.scheduler.requirements import Requirements
from actors.scheduler.topology import domains

NAME = "PodTopologySpread"
WEIGHT = 2
MAX_SCORE = 100
IGNORED = -1  # raw score of a row that lacks a key


def concerns(arrays: NodeArrays, requirements: Requirements) -> bool:
    return any(not c.hard for c in requirements.spread)


def score(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    soft = tuple(c for c in requirements.spread if not c.hard)
    total = np.zeros(arrays.size, dtype=np.float64)
    ignored = None
    for constraint in soft:
        taking_part, existing = counted(arrays, requirements, constraint, soft)
        topology = domains(arrays, constraint.topology_key)
        if constraint.requires_key and not topology.present.all():
            ignored = ~topology.present if ignored is None else ignored | ~topology.present
        if existing.size:
            pods = topology.near(selected_pods(arrays, constraint) * taking_part)
            total += (pods * math.log(existing.size + 2) + (constraint.max_skew - 1)) * topology.present
    rounded = np.rint(total).astype(np.int64)
    if ignored is not None:
        rounded[ignored] = IGNORED
    return rounded[rows]


def normalize(raw: np.ndarray, feasible: np.ndarray) -> np.ndarray:
    taken_in = raw != IGNORED
    considered = raw[feasible & taken_in]
    if not considered.size:
        return np.zeros_like(raw)
    least, most = considered.min(), considered.max()
    if most == 0:
        scaled = np.full_like(raw, MAX_SCORE)
    else:
        scaled = MAX_SCORE * (most + least - raw) // most
    return scaled * taken_in

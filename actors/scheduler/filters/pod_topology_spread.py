"""Constraints with DoNotSchedule: with the pod placed, no domain may hold more than maxSkew above the emptiest.

Counted are pods of the same namespace that the constraint selects, on nodes that the pod could use by its own selector
and affinity (and taints, where the constraint says so) and that carry every key the constraints name.
"""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.cluster_events import NODE_ADDED, NODE_LABEL, NODE_TAINT, POD_EVENTS
from actors.scheduler.filters import node_affinity, taint_toleration
from actors.scheduler.pod_affinity import SpreadConstraint
from actors.scheduler.requirements import Requirements
from actors.scheduler.topology import domains

NAME = "PodTopologySpread"
EVENTS = frozenset({NODE_ADDED, NODE_LABEL, NODE_TAINT}) | POD_EVENTS
MISMATCH = "node(s) didn't match pod topology spread constraints"


def concerns(arrays: NodeArrays, requirements: Requirements) -> bool:
    return any(c.hard for c in requirements.spread)


def passes(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    allowed = np.ones(arrays.size, dtype=bool)
    hard = tuple(c for c in requirements.spread if c.hard)
    for constraint in hard:
        allowed &= _allows(arrays, requirements, constraint, hard)
    return allowed[rows]


def reasons(arrays: NodeArrays, requirements: Requirements, row: int) -> list[str]:
    for constraint in requirements.spread:
        if constraint.hard and not domains(arrays, constraint.topology_key).present[row]:
            return [f"{MISMATCH} (missing required label)"]
    return [MISMATCH]


def counted(
    arrays: NodeArrays, requirements: Requirements, constraint: SpreadConstraint, all_of: tuple[SpreadConstraint, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows take part in the count of a constraint, and which domains those are."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        rows = arrays.all_rows
        topology = domains(arrays, constraint.topology_key)
        taking_part = arrays.valid[rows] & topology.present
        for other in all_of:
            if other.requires_key:
                taking_part &= domains(arrays, other.topology_key).present
        if constraint.honor_affinity:
            taking_part &= node_affinity.passes(arrays, requirements, rows)
        if constraint.honor_taints:
            taking_part &= taint_toleration.passes(arrays, requirements, rows)
        return taking_part, np.unique(topology.of_row[taking_part])

    return arrays.remember((requirements, constraint.topology_key, constraint.hard), make)


def selected_pods(arrays: NodeArrays, constraint: SpreadConstraint) -> np.ndarray:
    return arrays.pods.count((constraint.pods,), without_terminating=True)[: arrays.size]


def _allows(
    arrays: NodeArrays, requirements: Requirements, constraint: SpreadConstraint, hard: tuple[SpreadConstraint, ...]
) -> np.ndarray:
    topology = domains(arrays, constraint.topology_key)
    taking_part, existing = counted(arrays, requirements, constraint, hard)
    sums = topology.sums(selected_pods(arrays, constraint) * taking_part)
    least = int(sums[existing].min()) if len(existing) >= max(1, constraint.min_domains) else 0
    itself = int(constraint.pods.labels.matches(requirements.labels))
    return topology.present & (sums[topology.of_row] + itself - least <= constraint.max_skew)

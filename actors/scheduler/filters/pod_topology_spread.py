"""Constraints with DoNotSchedule: with the pod placed, no domain may hold more than maxSkew above the emptiest.

Counted are pods of the same namespace that the constraint selects, on nodes that the pod could use by its own selector
and affinity (and taints, where the constraint says so) and that carry every key the constraints name.
"""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.cluster_events import NODE_ADDED, NODE_LABEL, NODE_TAINT, POD_EVENTS
from actors.scheduler.filters import node_affinity, taint_toleration
from actors.scheduler.labels import ABSENT
from actors.scheduler.pod_affinity import PodSelector, SpreadConstraint
from actors.scheduler.requirements import Requirements
from actors.scheduler.topology import domain_sums, domains

NAME = "PodTopologySpread"
EVENTS = frozenset({NODE_ADDED, NODE_LABEL, NODE_TAINT}) | POD_EVENTS
MISMATCH = "node(s) didn't match pod topology spread constraints"


def passes(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    allowed = np.ones(arrays.size, dtype=bool)
    hard = tuple(c for c in requirements.spread if c.hard)
    for constraint in hard:
        allowed &= _allows(arrays, requirements, constraint, counted(arrays, requirements, constraint, hard))
    return allowed[rows]


def reasons(arrays: NodeArrays, requirements: Requirements, row: int) -> list[str]:
    for constraint in requirements.spread:
        if constraint.hard and domains(arrays, constraint.topology_key)[row] == ABSENT:
            return [f"{MISMATCH} (missing required label)"]
    return [MISMATCH]


def counted(
    arrays: NodeArrays, requirements: Requirements, constraint: SpreadConstraint, all_of: tuple[SpreadConstraint, ...]
) -> np.ndarray:
    """Return which rows take part in the count of a constraint."""
    rows = arrays.all_rows
    taking_part = arrays.valid[rows].copy()
    for other in all_of:
        taking_part &= domains(arrays, other.topology_key) != ABSENT
    if constraint.honor_affinity:
        taking_part &= node_affinity.passes(arrays, requirements, rows)
    if constraint.honor_taints:
        taking_part &= taint_toleration.passes(arrays, requirements, rows)
    return taking_part


def selected_pods(arrays: NodeArrays, requirements: Requirements, constraint: SpreadConstraint) -> np.ndarray:
    selector = PodSelector(constraint.selector, frozenset({requirements.namespace}))
    return arrays.pods.count((selector,), without_terminating=True)[: arrays.size]


def _allows(
    arrays: NodeArrays, requirements: Requirements, constraint: SpreadConstraint, taking_part: np.ndarray
) -> np.ndarray:
    ids = domains(arrays, constraint.topology_key)
    sums = domain_sums(ids, np.where(taking_part, selected_pods(arrays, requirements, constraint), 0))
    existing = np.unique(ids[taking_part])
    least = int(sums[existing].min()) if len(existing) >= max(1, constraint.min_domains) else 0
    itself = int(constraint.selector.matches(requirements.labels))
    return (ids != ABSENT) & (sums[ids] + itself - least <= constraint.max_skew)

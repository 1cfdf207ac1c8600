"""Prefer domains with pods the pod wants near, avoid those with pods it does not; and the same the other way round."""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.requirements import Requirements
from actors.scheduler.topology import domains

NAME = "InterPodAffinity"
WEIGHT = 2
MAX_SCORE = 100


def concerns(arrays: NodeArrays, requirements: Requirements) -> bool:
    return bool(requirements.affinity.preferred or arrays.pods.weight_owners)


def score(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    total = np.zeros(arrays.size, dtype=np.int64)
    for weight, term in requirements.affinity.preferred:
        pods = arrays.pods.count((term.selector,))[: arrays.size]
        total += weight * domains(arrays, term.topology_key).near(pods)
    for term, weights in arrays.pods.weight_owners.items():
        if term.selector.selects(requirements.namespace, requirements.labels, arrays.pods.namespace_labels):
            total += domains(arrays, term.topology_key).near(weights[: arrays.size])
    return total[rows]


def normalize(raw: np.ndarray, feasible: np.ndarray) -> np.ndarray:
    considered = raw[feasible]
    if not considered.size or considered.min() == considered.max():
        return np.zeros_like(raw)
    least, most = considered.min(), considered.max()
    return (raw - least) * MAX_SCORE // (most - least)

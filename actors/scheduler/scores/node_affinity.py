"""Prefer nodes that match preferred node affinity terms: the sum of the weights of those that match."""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.node_matching import match_term
from actors.scheduler.requirements import Requirements
from actors.scheduler.scores.normalize import by_maximum

NAME = "NodeAffinity"
WEIGHT = 2


def score(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    weights = np.zeros_like(arrays.valid[rows], dtype=np.int64)
    for weight, term in requirements.preferred:
        weights += weight * match_term(arrays, term, rows)
    return weights


def normalize(raw: np.ndarray, feasible: np.ndarray) -> np.ndarray:
    return by_maximum(raw, feasible, reverse=False)

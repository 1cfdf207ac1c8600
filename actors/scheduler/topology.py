"""Sums over topology domains: nodes that share the value of a label are one domain.

Neighbours: the filters and scores `inter_pod_affinity` and `pod_topology_spread`.
"""

import numpy as np

from actors.scheduler.arrays import NodeArrays
from actors.scheduler.labels import ABSENT


def domains(arrays: NodeArrays, topology_key: str) -> np.ndarray:
    """Return the domain number of each row in [0, size), or ABSENT."""
    column = arrays.labels.get(topology_key)
    if column is None:
        return np.full(arrays.size, ABSENT, dtype=np.int32)
    return column.ids[: arrays.size]


def domain_sums(ids: np.ndarray, per_row: np.ndarray) -> np.ndarray:
    """Return the sum of `per_row` by domain number; the last entry stands for ABSENT and is 0."""
    sums = np.bincount(ids + 1, weights=per_row, minlength=2)
    sums[0] = 0
    return np.roll(sums.astype(np.int64), -1)


def near(ids: np.ndarray, per_row: np.ndarray) -> np.ndarray:
    """Return for each row the sum over its own domain; 0 where it is in none."""
    return domain_sums(ids, per_row)[ids]

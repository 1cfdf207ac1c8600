"""Topology domains: nodes that share the value of a label are one domain.

Neighbours: the filters and scores `inter_pod_affinity` and `pod_topology_spread`; `arrays` remembers domains while no
node changes.
"""

import numpy as np

from actors.scheduler.arrays import NodeArrays
from actors.scheduler.labels import ABSENT


class Domains:
    """The domains of one topology key over the rows [0, size)."""

    def __init__(self, ids: np.ndarray) -> None:
        self.of_row = ids.astype(np.int64) + 1  # 0: the row is in no domain
        self.present = ids != ABSENT
        self._one_row_each = len(np.unique(ids[self.present])) == int(self.present.sum())

    def sums(self, per_row: np.ndarray) -> np.ndarray:
        """Return the sum of `per_row` by domain; index it with `of_row`."""
        sums = np.bincount(self.of_row, weights=per_row, minlength=1).astype(np.int64)
        sums[0] = 0
        return sums

    def near(self, per_row: np.ndarray) -> np.ndarray:
        """Return for each row the sum over its own domain; 0 where it is in none."""
        if self._one_row_each:
            return per_row * self.present
        return self.sums(per_row)[self.of_row]


def domains(arrays: NodeArrays, topology_key: str) -> Domains:
    def make() -> Domains:
        column = arrays.labels.get(topology_key)
        absent = np.full(arrays.size, ABSENT, dtype=np.int32)
        return Domains(absent if column is None else column.ids[: arrays.size])

    return arrays.remember(topology_key, make)

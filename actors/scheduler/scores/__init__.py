"""The scores: which of the nodes that could take a pod suits it best. One file each, one vector operation.

A score is a module with NAME, WEIGHT (kube-scheduler's default) and `score(arrays, requirements, rows)`, an int64 for
each of `rows` (usage scores have `score_row` too, the same for one row). `USAGE_SCORES` and `NODE_SCORES` that need no
normalising give 0 to 100 at once. `NORMALIZED_SCORES` give raw numbers and have `normalize(raw, feasible)`, which looks
at all nodes that passed the filters. `POD_SCORES` do so too and ask where other pods are, so that each placed pod may
change them everywhere.
"""

from typing import Protocol

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.requirements import Requirements
from actors.scheduler.scores import (
    balanced_allocation,
    image_locality,
    inter_pod_affinity,
    least_allocated,
    node_affinity,
    pod_topology_spread,
    taint_toleration,
)


class Score(Protocol):
    NAME: str
    WEIGHT: int

    def score(self, arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray: ...


class UsageScore(Score, Protocol):
    def score_row(self, arrays: NodeArrays, requirements: Requirements, row: int) -> int: ...


class NormalizedScore(Score, Protocol):
    def normalize(self, raw: np.ndarray, feasible: np.ndarray) -> np.ndarray: ...


class PodScore(NormalizedScore, Protocol):
    def concerns(self, arrays: NodeArrays, requirements: Requirements) -> bool: ...


USAGE_SCORES: tuple[UsageScore, ...] = (least_allocated, balanced_allocation)
NODE_SCORES: tuple[Score, ...] = (image_locality,)
NORMALIZED_SCORES: tuple[NormalizedScore, ...] = (taint_toleration, node_affinity)
POD_SCORES: tuple[PodScore, ...] = (inter_pod_affinity, pod_topology_spread)

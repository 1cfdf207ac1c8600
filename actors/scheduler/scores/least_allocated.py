"""Prefer nodes with much left: the mean over cpu and memory of the percentage that stays free with the pod placed.

Pods that ask for nothing count with defaults, so that they spread too.
"""

import numpy as np

from actors.scheduler.arrays import CPU, MEMORY, NodeArrays, Rows
from actors.scheduler.requirements import Requirements

NAME = "NodeResourcesFit"
WEIGHT = 1
MAX_SCORE = 100


def score(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    cpu, cpu_offered = _free(arrays, CPU, requirements.nonzero_cpu_millis, rows)
    memory, memory_offered = _free(arrays, MEMORY, requirements.nonzero_memory_bytes, rows)
    return (cpu + memory) // np.maximum(cpu_offered + memory_offered, 1)


def _free(arrays: NodeArrays, resource: int, wanted: int, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return (percentage left, 1 where the node offers the resource at all)."""
    allocatable = arrays.allocatable[resource, rows]
    left = np.maximum(allocatable - arrays.nonzero[resource, rows] - wanted, 0)
    return left * MAX_SCORE // np.maximum(allocatable, 1), (allocatable > 0).astype(np.int64)


def score_row(arrays: NodeArrays, requirements: Requirements, row: int) -> int:
    """Answer as `score` does, for one row, in plain integers."""
    total = offered = 0
    for resource, wanted in (
        (CPU, requirements.nonzero_cpu_millis),
        (MEMORY, requirements.nonzero_memory_bytes),
    ):
        allocatable = arrays.allocatable.item(resource, row)
        if allocatable > 0:
            offered += 1
            total += max(allocatable - arrays.nonzero.item(resource, row) - wanted, 0) * MAX_SCORE // allocatable
    return total // max(offered, 1)

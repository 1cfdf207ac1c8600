"""Prefer nodes that the pod makes more balanced: cpu and memory used in equal parts.

The balance is 100 less the deviation of the two fractions; the score compares it with the pod and without: 50 to 100,
75 for no difference. A pod that asks for neither moves no balance, and every node gets 0.
"""

import numpy as np

from actors.scheduler.arrays import CPU, MEMORY, NodeArrays, Rows
from actors.scheduler.requirements import Requirements

NAME = "NodeResourcesBalancedAllocation"
WEIGHT = 1
MAX_SCORE = 100
HALF = MAX_SCORE // 2


def score(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    cpu, memory = requirements.requests.get("cpu", 0), requirements.requests.get("memory", 0)
    if not cpu and not memory:
        return np.zeros_like(arrays.valid[rows], dtype=np.int64)
    allocatable, requested = arrays.allocatable, arrays.requested
    cpus, memories = allocatable[CPU, rows], allocatable[MEMORY, rows]
    used_cpu, used_memory = requested[CPU, rows], requested[MEMORY, rows]
    with_pod = _balance(used_cpu + cpu, cpus, used_memory + memory, memories)
    without = _balance(used_cpu, cpus, used_memory, memories)
    return HALF + (HALF + with_pod - without) // 2


def _balance(cpu: np.ndarray, cpus: np.ndarray, memory: np.ndarray, memories: np.ndarray) -> np.ndarray:
    difference = np.abs(_fraction(cpu, cpus) - _fraction(memory, memories)) / 2
    if not (cpus.all() and memories.all()):  # with one resource only there is nothing to deviate from
        difference = np.where((cpus > 0) & (memories > 0), difference, 0.0)
    return ((1.0 - difference) * MAX_SCORE).astype(np.int64)


def _fraction(used: np.ndarray, allocatable: np.ndarray) -> np.ndarray:
    return np.minimum(used / np.maximum(allocatable, 1), 1.0)


def score_row(arrays: NodeArrays, requirements: Requirements, row: int) -> int:
    """Answer as `score` does, for one row, in plain numbers."""
    cpu, memory = requirements.requests.get("cpu", 0), requirements.requests.get("memory", 0)
    if not cpu and not memory:
        return 0
    cpus, memories = arrays.allocatable.item(CPU, row), arrays.allocatable.item(MEMORY, row)
    if not cpus or not memories:
        return HALF + HALF // 2
    used_cpu, used_memory = arrays.requested.item(CPU, row), arrays.requested.item(MEMORY, row)
    with_pod = _balance_row((used_cpu + cpu) / cpus, (used_memory + memory) / memories)
    return HALF + (HALF + with_pod - _balance_row(used_cpu / cpus, used_memory / memories)) // 2


def _balance_row(cpu: float, memory: float) -> int:
    return int((1.0 - abs(min(cpu, 1.0) - min(memory, 1.0)) / 2) * MAX_SCORE)

"""Prefer nodes that hold the pod's images already, the more bytes the better.

The size of an image counts in proportion to how many nodes have it, so that the first node that pulled a new image does
not draw every pod. Below 23 MB it is not worth a preference; from 1000 MB a container on it is worth the full score.
"""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.requirements import Requirements

NAME = "ImageLocality"
WEIGHT = 1
MAX_SCORE = 100
MEGABYTE = 1024 * 1024
MIN_BYTES = 23 * MEGABYTE
MAX_BYTES_A_CONTAINER = 1000 * MEGABYTE


def score(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    present = [arrays.images[image] for image in requirements.images if image in arrays.images]
    if not present:
        return np.zeros_like(arrays.valid[rows], dtype=np.int64)
    held = np.zeros(arrays.capacity, dtype=np.int64)
    for sizes in present:
        spread = len(sizes) / len(arrays)
        for row, size in sizes.items():
            held[row] += int(size * spread)
    most = MAX_BYTES_A_CONTAINER * len(requirements.images)
    worth = np.clip(held[rows], MIN_BYTES, most) - MIN_BYTES
    return worth * MAX_SCORE // (most - MIN_BYTES)

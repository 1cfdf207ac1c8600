"""Bringing raw scores to 0..100 over the nodes that passed the filters."""

import numpy as np

MAX_SCORE = 100


def by_maximum(raw: np.ndarray, feasible: np.ndarray, reverse: bool) -> np.ndarray:
    """Return raw scores as percentages of the largest; reversed, the smallest raw score is the best."""
    highest = int(raw[feasible].max(initial=0))
    if highest == 0:
        return np.full_like(raw, MAX_SCORE if reverse else 0)
    scaled = raw * MAX_SCORE // highest
    return MAX_SCORE - scaled if reverse else scaled

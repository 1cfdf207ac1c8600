"""A pod goes only where its node selector and its required node affinity match (any one of the affinity's terms)."""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.cluster_events import NODE_ADDED, NODE_LABEL
from actors.scheduler.node_matching import match_all, match_term
from actors.scheduler.requirements import Requirements

NAME = "NodeAffinity"
EVENTS = frozenset({NODE_ADDED, NODE_LABEL})


def passes(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    matched = match_all(arrays, requirements.node_selector, rows)
    if requirements.required_terms is not None:
        any_term = np.zeros_like(matched)
        for term in requirements.required_terms:
            any_term |= match_term(arrays, term, rows)
        matched &= any_term
    return matched


def reasons(arrays: NodeArrays, requirements: Requirements, row: int) -> list[str]:
    return ["node(s) didn't match Pod's node affinity/selector"]

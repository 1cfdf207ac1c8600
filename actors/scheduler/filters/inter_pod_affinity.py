"""Required affinity and anti-affinity between pods, in both directions.

An incoming pod must find pods it wants near in each required domain, unless none exist anywhere and it wants pods like
itself (the first of a group that keeps together). It stays out of domains with pods it does not want near, and out of
domains where a placed pod does not want it.
"""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.cluster_events import NAMESPACE_CHANGED, NODE_ADDED, NODE_LABEL, POD_EVENTS
from actors.scheduler.pod_affinity import PodSelector
from actors.scheduler.requirements import Requirements
from actors.scheduler.topology import domains

NAME = "InterPodAffinity"
EVENTS = frozenset({NODE_ADDED, NODE_LABEL, NAMESPACE_CHANGED}) | POD_EVENTS


def concerns(arrays: NodeArrays, requirements: Requirements) -> bool:
    affinity = requirements.affinity
    return bool(affinity.required or affinity.required_anti or arrays.pods.anti_owners)


def passes(arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray:
    allowed = _affinity(arrays, requirements)
    allowed &= _anti_affinity(arrays, requirements)
    allowed &= _placed_anti_affinity(arrays, requirements)
    return allowed[rows]


def reasons(arrays: NodeArrays, requirements: Requirements, row: int) -> list[str]:
    if not _affinity(arrays, requirements)[row]:
        return ["node(s) didn't match pod affinity rules"]
    if not _anti_affinity(arrays, requirements)[row]:
        return ["node(s) didn't match pod anti-affinity rules"]
    return ["node(s) didn't satisfy existing pods anti-affinity rules"]


def _affinity(arrays: NodeArrays, requirements: Requirements) -> np.ndarray:
    terms = requirements.affinity.required
    allowed = np.ones(arrays.size, dtype=bool)
    if not terms:
        return allowed
    selectors = tuple(term.selector for term in terms)
    wanted = arrays.pods.count(selectors)[: arrays.size]
    first_of_its_kind = not wanted.any() and all(_selects(arrays, s, requirements) for s in selectors)
    for term in terms:
        topology = domains(arrays, term.topology_key)
        allowed &= topology.present & (first_of_its_kind | (topology.near(wanted) > 0))
    return allowed


def _anti_affinity(arrays: NodeArrays, requirements: Requirements) -> np.ndarray:
    allowed = np.ones(arrays.size, dtype=bool)
    for term in requirements.affinity.required_anti:
        unwanted = arrays.pods.count((term.selector,))[: arrays.size]
        allowed &= domains(arrays, term.topology_key).near(unwanted) == 0
    return allowed


def _placed_anti_affinity(arrays: NodeArrays, requirements: Requirements) -> np.ndarray:
    allowed = np.ones(arrays.size, dtype=bool)
    for term, owners in arrays.pods.anti_owners.items():
        if _selects(arrays, term.selector, requirements):
            allowed &= domains(arrays, term.topology_key).near(owners[: arrays.size]) == 0
    return allowed


def _selects(arrays: NodeArrays, selector: PodSelector, requirements: Requirements) -> bool:
    return selector.selects(requirements.namespace, requirements.labels, arrays.pods.namespace_labels)

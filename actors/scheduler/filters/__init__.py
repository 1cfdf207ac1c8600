"""The filters: which nodes could take a pod. One file each, one vector operation over all nodes.

A filter is a module with

    NAME                                    Kubernetes' name of the plugin
    EVENTS                                  the cluster events that may turn its no into a yes
    passes(arrays, requirements, rows)      a boolean for each of `rows`
    reasons(arrays, requirements, row)      why it refuses this row, in Kubernetes' words

A filter of pods' usage also has `passes_row(arrays, requirements, row)`, the same for one row: after a placement that
is all that is asked.
A filter about other pods has `concerns(arrays, requirements)`: whether it could refuse any node at all.

`NODE_FILTERS` read what Node objects say; `USAGE_FILTERS` read the sums of what pods on a node take; `POD_FILTERS` ask
where other pods are. A plan recomputes each kind only when what it reads has changed. The order is kube-scheduler's: a
node is counted under the first filter that refuses it.
"""

from typing import Protocol

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.filters import (
    inter_pod_affinity,
    node_affinity,
    node_ports,
    node_resources_fit,
    node_unschedulable,
    pod_topology_spread,
    taint_toleration,
)
from actors.scheduler.requirements import Requirements


class Filter(Protocol):
    NAME: str
    EVENTS: frozenset[str]

    def passes(self, arrays: NodeArrays, requirements: Requirements, rows: Rows) -> np.ndarray: ...
    def reasons(self, arrays: NodeArrays, requirements: Requirements, row: int) -> list[str]: ...


class UsageFilter(Filter, Protocol):
    def passes_row(self, arrays: NodeArrays, requirements: Requirements, row: int) -> bool: ...


class PodFilter(Filter, Protocol):
    def concerns(self, arrays: NodeArrays, requirements: Requirements) -> bool: ...


NODE_FILTERS: tuple[Filter, ...] = (node_unschedulable, taint_toleration, node_affinity)
USAGE_FILTERS: tuple[UsageFilter, ...] = (node_ports, node_resources_fit)
POD_FILTERS: tuple[PodFilter, ...] = (pod_topology_spread, inter_pod_affinity)
ALL_FILTERS: tuple[Filter, ...] = NODE_FILTERS + USAGE_FILTERS + POD_FILTERS

"""Which pods run where, grouped so that "how many pods that this selector selects are on each node" is an array.

Pods with the same namespace and labels form a group. A count asks its selector once for each group, then follows pods
as they come and go. Terms that placed pods themselves hold (their anti-affinity keeps others away, their affinity draws
others near) are kept with the rows of their owners.

Neighbours: `arrays` owns it and tells it of pods; the filters and scores about pods ask it.
"""

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from actors.scheduler.pod_affinity import HARD_AFFINITY_WEIGHT, AffinityTerm, NamespaceLabels, PodAffinity, PodSelector

MAX_COUNTS = 256  # count arrays kept; the one longest unused is dropped, and made anew when asked for again

Selectors = tuple[PodSelector, ...]  # a pod is counted when all of them select it


class Group:
    """Pods with equal namespace and labels."""

    __slots__ = ("labels", "namespace", "rows", "terminating")

    def __init__(self, namespace: str, labels: Mapping[str, str], terminating: bool) -> None:
        self.namespace = namespace
        self.labels = labels
        self.terminating = terminating
        self.rows: dict[int, int] = {}


class _Count:
    """Pods a row that all of `selectors` select."""

    def __init__(self, selectors: Selectors, capacity: int, without_terminating: bool) -> None:
        self.selectors = selectors
        self.rows = np.zeros(capacity, dtype=np.int64)
        self.without_terminating = without_terminating
        self._verdicts: dict[Group, bool] = {}

    def wants(self, group: Group, namespaces: NamespaceLabels) -> bool:
        verdict = self._verdicts.get(group)
        if verdict is None:
            verdict = not (group.terminating and self.without_terminating) and all(
                s.selects(group.namespace, group.labels, namespaces) for s in self.selectors
            )
            self._verdicts[group] = verdict
        return verdict

    def forget(self, group: Group) -> None:
        self._verdicts.pop(group, None)


class PodIndex:
    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._groups: dict[tuple[str, frozenset[tuple[str, str]], bool], Group] = {}
        self._counts: OrderedDict[tuple[Selectors, bool], _Count] = OrderedDict()
        self.anti_owners: dict[AffinityTerm, np.ndarray] = {}  # pods a row that hold the required anti-affinity term
        self.weight_owners: dict[AffinityTerm, np.ndarray] = {}  # weights a row that placed pods give the term
        self._held: dict[tuple[str, AffinityTerm], int] = {}
        self.namespace_labels: dict[str, Mapping[str, str]] = {}

    def grow(self, capacity: int) -> None:
        extra = capacity - self._capacity
        self._capacity = capacity
        for count in self._counts.values():
            count.rows = np.pad(count.rows, (0, extra))
        for owners in (self.anti_owners, self.weight_owners):
            for term, rows in owners.items():
                owners[term] = np.pad(rows, (0, extra))

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """Note a namespace's labels (None: it is gone). Counts asked the old ones, so they start over."""
        if self.namespace_labels.get(name) == labels:
            return
        if labels is None:
            self.namespace_labels.pop(name, None)
        else:
            self.namespace_labels[name] = labels
        self._counts.clear()

    def add(
        self, row: int, namespace: str, labels: Mapping[str, str], affinity: PodAffinity, terminating: bool
    ) -> None:
        key = (namespace, frozenset(labels.items()), terminating)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(namespace, labels, terminating)
        group.rows[row] = group.rows.get(row, 0) + 1
        self._follow(group, row, 1)
        if not affinity.empty:
            self._hold(row, affinity, 1)

    def remove(
        self, row: int, namespace: str, labels: Mapping[str, str], affinity: PodAffinity, terminating: bool
    ) -> None:
        key = (namespace, frozenset(labels.items()), terminating)
        group = self._groups[key]
        self._follow(group, row, -1)
        group.rows[row] -= 1
        if not group.rows[row]:
            del group.rows[row]
        if not group.rows:
            del self._groups[key]
            for count in self._counts.values():
                count.forget(group)
        if not affinity.empty:
            self._hold(row, affinity, -1)

    def count(self, selectors: Selectors, without_terminating: bool = False) -> np.ndarray:
        """Return the number of pods a row that all of `selectors` select; do not keep it beyond the next change."""
        key = (selectors, without_terminating)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(selectors, self._capacity, without_terminating)
            for group in self._groups.values():
                if count.wants(group, self.namespace_labels):
                    for row, pods in group.rows.items():
                        count.rows[row] += pods
            if len(self._counts) > MAX_COUNTS:
                self._counts.popitem(last=False)
        else:
            self._counts.move_to_end(key)
        return count.rows

    def _follow(self, group: Group, row: int, change: int) -> None:
        for count in self._counts.values():
            if count.wants(group, self.namespace_labels):
                count.rows[row] += change

    def _hold(self, row: int, affinity: PodAffinity, sign: int) -> None:
        for term in affinity.required_anti:
            self._charge(self.anti_owners, "anti", term, row, sign, sign)
        for term in affinity.required:
            self._charge(self.weight_owners, "weight", term, row, sign * HARD_AFFINITY_WEIGHT, sign)
        for weight, term in affinity.preferred:
            self._charge(self.weight_owners, "weight", term, row, sign * weight, sign)

    def _charge(
        self, owners: dict[AffinityTerm, np.ndarray], kind: str, term: AffinityTerm, row: int, amount: int, sign: int
    ) -> None:
        rows = owners.get(term)
        if rows is None:
            rows = owners[term] = np.zeros(self._capacity, dtype=np.int64)
        rows[row] += amount
        held = self._held[(kind, term)] = self._held.get((kind, term), 0) + sign
        if not held:
            del owners[term], self._held[(kind, term)]

"""A plan: where pods with one set of requirements would go, kept up to date row by row.

Making a plan runs every filter and score over all nodes. Placing a pod changes one row, so the next pod of the same
kind costs a few operations on that row and one search for the maximum. Everything that Node objects decide is rebuilt
when a node changes; what other pods decide (affinity, spread) is asked anew each time, because one placed pod may
change it everywhere.

Neighbours: `arrays` is read, `core` keeps plans by requirements and calls `choose`; `diagnosis` explains a plan that
found no node.
"""

from random import Random

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.filters import NODE_FILTERS, POD_FILTERS, USAGE_FILTERS
from actors.scheduler.requirements import Requirements
from actors.scheduler.scores import NODE_SCORES, NORMALIZED_SCORES, POD_SCORES, USAGE_SCORES

NOWHERE = -1  # no row is feasible; also the rank of a row that is not
FEW_ROWS = 12  # up to so many stale rows, one at a time costs less than arrays


class Plan:
    """Masks, scores and ranks of all rows for one set of requirements."""

    def __init__(self, arrays: NodeArrays, requirements: Requirements) -> None:
        self.requirements = requirements
        self._arrays = arrays
        self._node_position = NOWHERE
        self._usage_position = NOWHERE
        self._rebuild()

    def choose(self, random: Random) -> int:
        """Return the best row, one at random among equals; NOWHERE if no node passes the filters."""
        self._refresh()
        ranked = self._ranked_among_pods() if self._pods_matter() else self._ranked
        if not ranked.size:
            return NOWHERE
        best = ranked.max()
        if best == NOWHERE:
            return NOWHERE
        equals = (ranked == best).nonzero()[0]
        return int(equals[0] if len(equals) == 1 else equals[random.randrange(len(equals))])

    def ranks(self) -> np.ndarray:
        """Return the total score of each row, NOWHERE for rows that cannot take the pod."""
        self._refresh()
        return self._ranked_among_pods() if self._pods_matter() else self._ranked

    def _pods_matter(self) -> bool:
        pods = self._arrays.pods
        return self.requirements.depends_on_pods or bool(pods.anti_owners or pods.weight_owners)

    def _refresh(self) -> None:
        arrays = self._arrays
        if self._node_position != arrays.node_changes.position:
            self._rebuild()
            return
        position = arrays.usage_changes.position
        if position == self._usage_position:
            return
        stale = arrays.usage_changes.since(self._usage_position)
        self._usage_position = position
        if stale is None:
            self._refresh_usage(arrays.all_rows)
        elif len(stale) > FEW_ROWS:
            self._refresh_usage(np.array(stale))
        else:
            for row in stale:
                self._refresh_row(row)

    def _rebuild(self) -> None:
        arrays, rows, requirements = self._arrays, self._arrays.all_rows, self.requirements
        self._suits = arrays.valid[rows].copy()
        for node_filter in NODE_FILTERS:
            self._suits &= node_filter.passes(arrays, requirements, rows)
        self._fixed = np.zeros(arrays.size, dtype=np.int64)
        for score in NODE_SCORES:
            self._fixed += score.WEIGHT * score.score(arrays, requirements, rows)
        self._raw = [score.score(arrays, requirements, rows) for score in NORMALIZED_SCORES]
        self._flat = not any(raw.any() for raw in self._raw)
        self._feasible = self._suits.copy()
        self._usage = np.zeros(arrays.size, dtype=np.int64)
        self._ranked = np.full(arrays.size, NOWHERE, dtype=np.int64)
        self._standing = self._normalized(self._feasible)
        self._refresh_usage(rows)
        self._node_position = arrays.node_changes.position
        self._usage_position = arrays.usage_changes.position

    def _refresh_usage(self, rows: Rows) -> None:
        arrays, requirements = self._arrays, self.requirements
        feasible = self._suits[rows]
        for usage_filter in USAGE_FILTERS:
            feasible = feasible & usage_filter.passes(arrays, requirements, rows)
        usage = sum(score.WEIGHT * score.score(arrays, requirements, rows) for score in USAGE_SCORES)
        self._usage[rows] = usage
        if not self._flat and (self._feasible[rows] != feasible).any():
            self._feasible[rows] = feasible
            self._standing = self._normalized(self._feasible)
            rows = arrays.all_rows
            usage, feasible = self._usage, self._feasible
        else:
            self._feasible[rows] = feasible
        self._ranked[rows] = np.where(feasible, usage + self._standing[rows], NOWHERE)

    def _refresh_row(self, row: int) -> None:
        arrays, requirements = self._arrays, self.requirements
        feasible = self._suits.item(row) and all(f.passes_row(arrays, requirements, row) for f in USAGE_FILTERS)
        usage = sum(score.WEIGHT * score.score_row(arrays, requirements, row) for score in USAGE_SCORES)
        if not self._flat and self._feasible.item(row) != feasible:
            self._refresh_usage(arrays.all_rows)
            return
        self._usage[row] = usage
        self._feasible[row] = feasible
        self._ranked[row] = usage + self._standing.item(row) if feasible else NOWHERE

    def _normalized(self, feasible: np.ndarray) -> np.ndarray:
        """Return the scores that Node objects alone decide, brought to scale over the feasible nodes."""
        total = self._fixed.copy()
        for score, raw in zip(NORMALIZED_SCORES, self._raw, strict=True):
            total += score.WEIGHT * score.normalize(raw, feasible)
        return total

    def _ranked_among_pods(self) -> np.ndarray:
        arrays, requirements, rows = self._arrays, self.requirements, self._arrays.all_rows
        feasible = self._feasible.copy()
        for pod_filter in POD_FILTERS:
            if pod_filter.concerns(arrays, requirements):
                feasible &= pod_filter.passes(arrays, requirements, rows)
        total = self._usage + (self._standing if self._flat else self._normalized(feasible))
        for score in POD_SCORES:
            if score.concerns(arrays, requirements):
                total += score.WEIGHT * score.normalize(score.score(arrays, requirements, rows), feasible)
        return np.where(feasible, total, NOWHERE)


def fits_row(arrays: NodeArrays, requirements: Requirements, row: int) -> bool:
    """Say whether one row passes all filters: the question of a pod that names its node."""
    rows = np.array([row])
    return bool(arrays.valid[row]) and all(
        f.passes(arrays, requirements, rows)[0] for f in (*NODE_FILTERS, *USAGE_FILTERS, *POD_FILTERS)
    )

"""Which pods leave so that a critical one fits, when the node has too little for all. Pure.

As Kubernetes' kubelet chooses: no pod that is critical itself; of the others as few Guaranteed ones as possible, then
as few Burstable ones, and of each class those that come nearest to what is missing. Nobody leaves when even that would
not be enough.

Neighbours: `node_kubelet` asks when `admission` refuses a critical pod for want of room, and ends who is named.
"""

from collections.abc import Iterable, Mapping, Sequence

from actors.api.qos import BEST_EFFORT, BURSTABLE, GUARANTEED
from actors.kubelet import pod as pods
from actors.kubelet import qos
from actors.kubelet.admission import Place, missing_for
from actors.kubelet.eviction.ranking import is_critical

REASON, MESSAGE = "Preempting", "Preempted in order to admit critical pod"

Amounts = Mapping[str, int]  # by resource; "pods" is one for each


def victims(pod: pods.Pod, place: Place) -> list[pods.Pod]:
    """Return who has to leave; nobody when the pod is not critical, or could not be taken in all the same."""
    lacks = missing_for(pod, place)
    if not lacks or not is_critical(pod):
        return []
    choice = _Choice(place)
    classes: dict[str, list[pods.Pod]] = {GUARANTEED: [], BURSTABLE: [], BEST_EFFORT: []}
    for other in place.others:
        if not is_critical(other) and pods.uid(other) != pods.uid(pod):
            classes[qos.qos_class(other)].append(other)
    best_effort, burstable = classes[BEST_EFFORT], classes[BURSTABLE]
    if choice.without(lacks, [*best_effort, *burstable, *classes[GUARANTEED]]):
        return []
    first = choice.nearest(classes[GUARANTEED], choice.without(lacks, [*best_effort, *burstable]))
    second = choice.nearest(burstable, choice.without(lacks, [*best_effort, *first]))
    third = choice.nearest(best_effort, choice.without(lacks, [*first, *second]))
    return [*third, *second, *first]


class _Choice:
    def __init__(self, place: Place):
        self._place = place

    def without(self, lacks: Amounts, gone: Iterable[pods.Pod]) -> dict[str, int]:
        """Return what is still missing once some pods are gone."""
        left = dict(lacks)
        for pod in gone:
            for name in left:
                left[name] -= self._amount(pod, name)
        return {name: amount for name, amount in left.items() if amount > 0}

    def nearest(self, candidates: Sequence[pods.Pod], lacks: Amounts) -> list[pods.Pod]:
        """Return the pods whose end gives what is missing, at each step the one that leaves the least of it."""
        chosen: list[pods.Pod] = []
        rest, left = list(candidates), dict(lacks)
        while left and rest:
            best = min(rest, key=lambda pod: (self._distance(pod, left), self._size(pod)))
            rest.remove(best)
            chosen.append(best)
            left = self.without(left, [best])
        return chosen

    def _distance(self, pod: pods.Pod, lacks: Amounts) -> float:
        parts = (max(0, amount - self._amount(pod, name)) / amount for name, amount in lacks.items())
        return sum(part**2 for part in parts)

    def _size(self, pod: pods.Pod) -> tuple[int, int]:
        return self._amount(pod, "memory"), self._amount(pod, "cpu")

    def _amount(self, pod: pods.Pod, name: str) -> int:
        return 1 if name == "pods" else self._place.request_of(pod, name)

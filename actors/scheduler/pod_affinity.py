"""What a pod says about other pods: affinity, anti-affinity and topology spread, parsed once.

A term selects pods by labels within namespaces; a topology key turns "near" into "the same value of that node label".

Neighbours: `requirements` holds the parsed form, `pod_index` counts what terms select, the filters and scores
`inter_pod_affinity` and `pod_topology_spread` decide.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from actors.api.selectors import Selector, from_label_selector, from_labels

NamespaceLabels = Mapping[str, Mapping[str, str]]

DEFAULT_SKEWS = (("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5))  # kube-scheduler's own defaults
SPREAD_CONTROLLERS = frozenset({"ReplicaSet", "ReplicationController", "StatefulSet"})
LABELS_OF_ONE_POD = frozenset({"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"})
HARD_AFFINITY_WEIGHT = 1  # what a placed pod's required affinity adds to the score of nodes near it


@dataclass(frozen=True, slots=True, eq=False)
class PodSelector:
    """Selects pods: by labels, in listed namespaces or in namespaces whose labels match.

    Made by `pod_selector`, which gives the same one for the same arguments: compared by identity, it is a cheap key.
    """

    labels: Selector
    namespaces: frozenset[str]
    namespace_selector: Selector | None = None

    def selects(self, namespace: str, labels: Mapping[str, str], namespaces: NamespaceLabels) -> bool:
        return self._covers(namespace, namespaces) and self.labels.matches(labels)

    def _covers(self, namespace: str, namespaces: NamespaceLabels) -> bool:
        if namespace in self.namespaces:
            return True
        chosen = self.namespace_selector
        return chosen is not None and chosen.matches(namespaces.get(namespace, {}))


@functools.lru_cache(maxsize=4096)
def pod_selector(
    labels: Selector, namespaces: frozenset[str], namespace_selector: Selector | None = None
) -> PodSelector:
    return PodSelector(labels, namespaces, namespace_selector)


class AffinityTerm(NamedTuple):
    selector: PodSelector
    topology_key: str


class WeightedTerm(NamedTuple):
    weight: int  # negative for anti-affinity
    term: AffinityTerm


@dataclass(frozen=True, slots=True)
class PodAffinity:
    required: tuple[AffinityTerm, ...] = ()
    required_anti: tuple[AffinityTerm, ...] = ()
    preferred: tuple[WeightedTerm, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.required or self.required_anti or self.preferred)


class SpreadConstraint(NamedTuple):
    max_skew: int
    topology_key: str
    hard: bool  # DoNotSchedule
    pods: PodSelector
    min_domains: int
    honor_affinity: bool
    honor_taints: bool
    requires_key: bool = True  # nodes without the topology key are left out


@dataclass(slots=True)
class _Section:
    required: tuple[AffinityTerm, ...] = ()
    preferred: list[WeightedTerm] = field(default_factory=list)


def pod_affinity(affinity: Mapping[str, Any], namespace: str) -> PodAffinity:
    """Return the parsed podAffinity and podAntiAffinity of a pod in `namespace`."""
    near = _section(affinity.get("podAffinity") or {}, namespace, 1)
    apart = _section(affinity.get("podAntiAffinity") or {}, namespace, -1)
    return PodAffinity(near.required, apart.required, (*near.preferred, *apart.preferred))


def _section(obj: Mapping[str, Any], namespace: str, sign: int) -> _Section:
    section = _Section()
    required = obj.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    section.required = tuple(_term(term, namespace) for term in required)
    for preferred in obj.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
        term = _term(preferred["podAffinityTerm"], namespace)
        section.preferred.append(WeightedTerm(sign * preferred["weight"], term))
    return section


def _term(obj: Mapping[str, Any], namespace: str) -> AffinityTerm:
    listed, chosen = obj.get("namespaces") or (), obj.get("namespaceSelector")
    own = () if listed or chosen is not None else (namespace,)
    selector = pod_selector(
        labels=from_label_selector(obj.get("labelSelector")),
        namespaces=frozenset((*listed, *own)),
        namespace_selector=None if chosen is None else from_label_selector(chosen),
    )
    return AffinityTerm(selector, obj["topologyKey"])


def spread_constraints(constraints: Any, namespace: str, labels: Mapping[str, str]) -> tuple[SpreadConstraint, ...]:
    """Return the parsed constraints of a pod with `labels`; matchLabelKeys narrows the selector to its own values."""
    return tuple(_constraint(obj, namespace, labels) for obj in constraints)


def siblings_labels(pod: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels that a pod shares with the other replicas of its controller; empty where there are none.

    Kubernetes takes the selectors of the controller and of Services. The labels of the pod's template say the same
    without asking for those objects.
    """
    metadata = pod["metadata"]
    owners = metadata.get("ownerReferences") or ()
    if not any(owner.get("controller") and owner.get("kind") in SPREAD_CONTROLLERS for owner in owners):
        return {}
    return {key: value for key, value in (metadata.get("labels") or {}).items() if key not in LABELS_OF_ONE_POD}


def default_constraints(namespace: str, labels: Mapping[str, str]) -> tuple[SpreadConstraint, ...]:
    """Return the soft constraints of a pod that brings none, if it has siblings with these labels."""
    if not labels:
        return ()
    selector = pod_selector(from_labels(labels), frozenset({namespace}))
    return tuple(
        SpreadConstraint(skew, key, False, selector, 1, honor_affinity=True, honor_taints=False, requires_key=False)
        for key, skew in DEFAULT_SKEWS
    )


def _constraint(obj: Mapping[str, Any], namespace: str, labels: Mapping[str, str]) -> SpreadConstraint:
    selector = obj.get("labelSelector")
    own = [
        {"key": key, "operator": "In", "values": [labels[key]]}
        for key in obj.get("matchLabelKeys") or ()
        if key in labels
    ]
    if selector is not None and own:
        selector = {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *own]}
    return SpreadConstraint(
        max_skew=obj["maxSkew"],
        topology_key=obj["topologyKey"],
        hard=obj.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule",
        pods=pod_selector(from_label_selector(selector), frozenset({namespace})),
        min_domains=obj.get("minDomains") or 1,
        honor_affinity=obj.get("nodeAffinityPolicy", "Honor") == "Honor",
        honor_taints=obj.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )

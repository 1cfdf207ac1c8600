"""What a pod requires of a node, compiled once for all pods that require the same.

`signature` is a digest of exactly the fields that `compile_requirements` reads. Pods with equal signatures share one
`Requirements` and one plan; the replicas of a Deployment are decided as one question asked many times. A field read
here but left out of the signature would send pods to wrong nodes, so both live in this module, side by side.

Neighbours: `arrays` charges them to rows, filters and scores read them, `plan` is made for one of them.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from actors.scheduler.host_ports import WILDCARD, HostPort
from actors.scheduler.node_info import normalized_image_name
from actors.scheduler.node_selector import NodeSelectorTerm, Requirement, selector_term
from actors.scheduler.pod_affinity import (
    PodAffinity,
    SpreadConstraint,
    default_constraints,
    pod_affinity,
    siblings_labels,
    spread_constraints,
)
from actors.scheduler.pod_requests import nonzero_requests, pod_requests
from actors.scheduler.toleration import Toleration, toleration


class Preferred(NamedTuple):
    weight: int
    term: NodeSelectorTerm


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Requirements:
    """The compiled form. Amounts as in `node_info`."""

    namespace: str
    labels: dict[str, str]
    requests: dict[str, int]
    nonzero_cpu_millis: int
    nonzero_memory_bytes: int
    node_selector: tuple[Requirement, ...]
    required_terms: tuple[NodeSelectorTerm, ...] | None
    preferred: tuple[Preferred, ...]
    tolerations: tuple[Toleration, ...]
    host_ports: tuple[HostPort, ...]
    images: tuple[str, ...]
    affinity: PodAffinity
    spread: tuple[SpreadConstraint, ...]

    @property
    def depends_on_pods(self) -> bool:
        """Say whether other pods, not only nodes and their sums, decide where this one may go."""
        return bool(self.spread) or not self.affinity.empty

    @property
    def pinned_nodes(self) -> frozenset[str] | None:
        """Return the only nodes that can take the pod where its affinity names them (as a DaemonSet's does)."""
        if self.required_terms is None or not self.required_terms:
            return None
        named = [term.node_names for term in self.required_terms]
        if any(names is None for names in named):
            return None
        return frozenset().union(*(names for names in named if names is not None))


def signature(pod: dict[str, Any], with_labels: bool) -> bytes:
    """Return a digest equal for pods that require the same of a node.

    `with_labels` says that some pod's affinity may select this one, so that its namespace and labels matter too.
    """
    spec = pod["spec"]
    affinity = spec.get("affinity")
    spread = spec.get("topologySpreadConstraints")
    fields = [
        spec.get("nodeSelector"),
        affinity,
        spec.get("tolerations"),
        spread,
        spec.get("overhead"),
        spec.get("resources"),
        [_container_fields(container) for container in spec["containers"]],
        [_container_fields(container) for container in spec.get("initContainers") or ()],
    ]
    if not spread and (siblings := siblings_labels(pod)):
        fields += ["siblings", pod["metadata"].get("namespace"), siblings]
    if with_labels or affinity or spread:
        metadata = pod["metadata"]
        fields += ["labels", metadata.get("namespace"), metadata.get("labels")]
    return orjson.dumps(fields)


def _container_fields(container: dict[str, Any]) -> tuple[Any, ...]:
    return container.get("image"), container.get("resources"), container.get("ports"), container.get("restartPolicy")


def compile_requirements(pod: dict[str, Any]) -> Requirements:
    """Return what a pod requires. The pod is taken to be valid: the API server has checked it."""
    spec, metadata = pod["spec"], pod["metadata"]
    affinity = spec.get("affinity") or {}
    node_affinity = affinity.get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    preferred = node_affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    cpu_millis, memory_bytes = nonzero_requests(spec)
    namespace, labels = metadata.get("namespace") or "", metadata.get("labels") or {}
    return Requirements(
        namespace=namespace,
        labels=labels,
        requests=pod_requests(spec),
        nonzero_cpu_millis=cpu_millis,
        nonzero_memory_bytes=memory_bytes,
        node_selector=tuple(Requirement(k, "In", (v,)) for k, v in (spec.get("nodeSelector") or {}).items()),
        required_terms=None if required is None else tuple(map(selector_term, required.get("nodeSelectorTerms") or ())),
        preferred=tuple(Preferred(p["weight"], selector_term(p.get("preference") or {})) for p in preferred),
        tolerations=tuple(toleration(t) for t in spec.get("tolerations") or ()),
        host_ports=tuple(_host_ports(spec)),
        images=tuple(normalized_image_name(c.get("image") or "") for c in _all_containers(spec)),
        affinity=pod_affinity(affinity, namespace),
        spread=spread_constraints(spec.get("topologySpreadConstraints") or (), namespace, labels)
        or default_constraints(namespace, siblings_labels(pod)),
    )


def _all_containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(spec.get("initContainers") or ()), *spec["containers"]]


def _host_ports(spec: dict[str, Any]) -> list[HostPort]:
    """Return the host ports of containers that run side by side: init containers hold none unless they stay."""
    return [
        HostPort(port.get("hostIP") or WILDCARD, port.get("protocol") or "TCP", port["hostPort"])
        for container in _all_containers(spec)
        if container in spec["containers"] or container.get("restartPolicy") == "Always"
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]

"""PodTopologyLabels: a pod gets the zone and the region of its node as labels, when it is bound to it.

So a container learns of them by the downward API, without a look at Nodes. What the pod or the Binding says itself is
written over.

Source: Kubernetes' PodTopologyLabels plugin (KEP-4742). Neighbours: `chain`, `verbs.bind`.
"""

from typing import Any

from actors.apiserver.admission.attributes import Admission

NODES = b"/registry/nodes/"
LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")

Object = dict[str, Any]


def admit(asked: Admission, obj: Object, node: str) -> None:
    """Put the node's labels into a Pod or a Binding."""
    entry = asked.entry(NODES, node) if node else None
    if entry is None:
        return
    of_node, _ = entry.traits(asked.parts.cache.at(NODES).fields)
    found = {name: of_node[name] for name in LABELS if name in of_node}
    if found:
        metadata = obj["metadata"]
        metadata["labels"] = {**(metadata.get("labels") or {}), **found}

"""What a pod's PersistentVolumeClaims say about where it may go.

A bound claim restricts it to the nodes that its volume can be used on; one that waits for its first consumer, to the
nodes of the volumes that could serve it (anywhere, when they are provisioned). What has to be bound first keeps the pod
waiting. The answer is the pod itself with that written into its required node affinity, so that filters and plans need
to know nothing of volumes. The binder, in the controller manager, then binds for the node that was chosen.

Neighbours: `actor` feeds the objects, `core` asks. Source: the VolumeBinding plugin of kube-scheduler.
"""

import itertools
from typing import Any, NamedTuple

from actors.api.quantity import bytes_of
from actors.scheduler.cluster_events import VOLUMES_CHANGED

NAME = "VolumeBinding"
EVENTS = frozenset({VOLUMES_CHANGED})
ONE_POD = "ReadWriteOncePod"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
MAX_TERMS = 256  # of the affinity that comes out; claims with more alternatives than that are taken one by one, later

Object = dict[str, Any]
Terms = list[Object]


class Placement(NamedTuple):
    """`why` tells what the pod waits for; empty, and `pod` is the one to place."""

    pod: Object
    why: str = ""


class VolumeView:
    """Claims, volumes and classes, as the watches show them."""

    def __init__(self) -> None:
        self._claims: dict[str, Object] = {}
        self._volumes: dict[str, Object] = {}
        self._classes: dict[str, Object] = {}

    def claim_changed(self, key: str, claim: Object | None) -> None:
        _keep(self._claims, key, claim)

    def volume_changed(self, key: str, volume: Object | None) -> None:
        _keep(self._volumes, key, volume)

    def class_changed(self, key: str, storage_class: Object | None) -> None:
        _keep(self._classes, key, storage_class)

    def for_one_pod(self, pod: Object) -> list[str]:
        """Return the pod's claims that no other pod may use at the same time, as namespace/name."""
        keys = [f"{pod['metadata']['namespace']}/{name}" for name in claims_of(pod)]
        return [key for key in keys if ONE_POD in (self._claims.get(key, {}).get("spec", {}).get("accessModes") or ())]

    def place(self, pod: Object) -> Placement:
        """Return the pod with what its claims demand of a node."""
        names = claims_of(pod)
        if not names:
            return Placement(pod)
        alternatives: list[Terms] = []
        for name in names:
            claim = self._claims.get(f"{pod['metadata']['namespace']}/{name}")
            if claim is None:
                return Placement(pod, f'persistentvolumeclaim "{name}" not found')
            if "deletionTimestamp" in claim["metadata"]:
                return Placement(pod, f'persistentvolumeclaim "{name}" is being deleted')
            terms, why = self._terms(claim)
            if why:
                return Placement(pod, why)
            if terms is not None:
                alternatives.append(terms)
        return Placement(_restricted(pod, alternatives)) if alternatives else Placement(pod)

    def _terms(self, claim: Object) -> tuple[Terms | None, str]:
        """Return (node selector terms, None for any node; why the pod has to wait)."""
        spec = claim["spec"]
        if spec.get("volumeName"):
            volume = self._volumes.get(spec["volumeName"])
            if volume is None:
                return None, f'persistentvolume "{spec["volumeName"]}" not found'
            return _terms_of(volume), ""
        storage_class = self._classes.get(spec.get("storageClassName") or "")
        if storage_class is None or storage_class.get("volumeBindingMode") != "WaitForFirstConsumer":
            return None, "pod has unbound immediate PersistentVolumeClaims"
        if storage_class.get("provisioner") != NO_PROVISIONER:
            return None, ""
        free = [volume for volume in self._volumes.values() if _could_serve(claim, volume)]
        if not free:
            return None, "node(s) didn't find available persistent volumes to bind"
        found = [_terms_of(volume) for volume in free]
        if any(terms is None for terms in found):
            return None, ""
        return [term for terms in found for term in terms or ()], ""


def claims_of(pod: Object) -> list[str]:
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            found.append(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral"):
            found.append(f"{pod['metadata']['name']}-{volume['name']}")
    return found


def _keep(known: dict[str, Object], key: str, obj: Object | None) -> None:
    if obj is None:
        known.pop(key, None)
    else:
        known[key] = obj


def _terms_of(volume: Object) -> Terms | None:
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return None if required is None else required.get("nodeSelectorTerms") or []


def _could_serve(claim: Object, volume: Object) -> bool:
    spec, offered = claim["spec"], volume["spec"]
    reference = offered.get("claimRef")
    if reference:
        metadata = claim["metadata"]
        return (reference.get("namespace"), reference.get("name")) == (metadata["namespace"], metadata["name"])
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage") or 0
    return (
        (offered.get("storageClassName") or "") == (spec.get("storageClassName") or "")
        and (volume.get("status") or {}).get("phase") == "Available"
        and bytes_of((offered.get("capacity") or {}).get("storage") or 0) >= bytes_of(wanted)
        and set(spec.get("accessModes") or ()) <= set(offered.get("accessModes") or ())
    )


def _restricted(pod: Object, alternatives: list[Terms]) -> Object:
    """Return the pod with one more demand on its node: one alternative of each claim, beside its own ones."""
    spec = pod["spec"]
    affinity = spec.get("affinity") or {}
    of_node = affinity.get("nodeAffinity") or {}
    own = of_node.get("requiredDuringSchedulingIgnoredDuringExecution")
    groups = alternatives if own is None else [own.get("nodeSelectorTerms") or [], *alternatives]
    combined = itertools.islice(itertools.product(*groups), MAX_TERMS)
    required = {"nodeSelectorTerms": [_joined(terms) for terms in combined]}
    of_node = {**of_node, "requiredDuringSchedulingIgnoredDuringExecution": required}
    return {**pod, "spec": {**spec, "affinity": {**affinity, "nodeAffinity": of_node}}}


def _joined(terms: tuple[Object, ...]) -> Object:
    made = {
        field: [item for term in terms for item in term.get(field) or ()]
        for field in ("matchExpressions", "matchFields")
    }
    return {field: items for field, items in made.items() if items}

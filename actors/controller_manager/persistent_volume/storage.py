"""Reading PersistentVolumes, claims and classes: the questions that the decisions ask, in Kubernetes' words.

Pure. The annotations are those of Kubernetes' own binder, so that its documentation and tools hold.
"""

from typing import Any

from actors.api.quantity import bytes_of
from actors.controller_manager.actions import Patch

Object = dict[str, Any]

CLAIMS, VOLUMES, CLASSES = "persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io"

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER_OF_CLAIM = "volume.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"  # of old, and still above the field

PENDING, AVAILABLE, BOUND, RELEASED, FAILED, LOST = "Pending", "Available", "Bound", "Released", "Failed", "Lost"


def annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def class_of(obj: Object) -> str:
    """Return the name of the storage class of a volume or claim; empty for none."""
    return annotations(obj).get(CLASS_ANNOTATION) or obj["spec"].get("storageClassName") or ""


def phase_of(obj: Object) -> str:
    return str((obj.get("status") or {}).get("phase") or PENDING)


def mode_of(obj: Object) -> str:
    return str(obj["spec"].get("volumeMode") or "Filesystem")


def requested_bytes(claim: Object) -> int:
    return bytes_of(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage") or 0)


def capacity_bytes(volume: Object) -> int:
    return bytes_of((volume["spec"].get("capacity") or {}).get("storage") or 0)


def is_deleting(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def refers_to(volume: Object, claim: Object) -> bool:
    """Whether a volume's claimRef means this claim: by name, and by uid where it has one."""
    reference = volume["spec"].get("claimRef")
    metadata = claim["metadata"]
    if not reference or reference.get("name") != metadata["name"]:
        return False
    if reference.get("namespace") != metadata["namespace"]:
        return False
    return reference.get("uid") in (None, "", metadata["uid"])


def claim_key(volume: Object) -> str:
    """Return the key of the claim that a volume refers to; empty when there is none."""
    reference = volume["spec"].get("claimRef") or {}
    return f"{reference['namespace']}/{reference['name']}" if reference.get("name") else ""


def claims_of_pod(pod: Object) -> list[str]:
    """Return the names of the claims that a pod uses, those made for its ephemeral volumes among them."""
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            found.append(volume["persistentVolumeClaim"]["claimName"])
        elif "ephemeral" in volume:
            found.append(f"{pod['metadata']['name']}-{volume['name']}")
    return found


def patch_of(resource: str, obj: Object, changes: Object, subresource: str | None = None, **more: Any) -> Patch:
    """Return a write upon exactly this version of an object."""
    metadata = obj["metadata"]
    guard = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    patch = {**changes, "metadata": {**(changes.get("metadata") or {}), **guard}}
    return Patch(resource, metadata.get("namespace"), metadata["name"], patch, subresource, **more)

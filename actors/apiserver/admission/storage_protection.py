"""StorageObjectInUseProtection: volumes and claims begin with the finalizers that keep them while they are used.

A controller of the controller manager puts them where they are missing, and takes them away. Neighbours: `chain`.
"""

from typing import Any

FINALIZERS = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
}


def admit(plural: str, obj: dict[str, Any]) -> None:
    """Add the finalizer of a new volume or claim."""
    metadata, finalizer = obj["metadata"], FINALIZERS[plural]
    if finalizer not in (metadata.get("finalizers") or ()):
        metadata["finalizers"] = [*(metadata.get("finalizers") or ()), finalizer]

"""DefaultStorageClass: a claim that names no class gets the one that is marked as the default.

Source: Kubernetes' DefaultStorageClass plugin. Neighbours: `chain`.
"""

from typing import Any

from actors.apiserver.admission.attributes import Admission

PREFIX = b"/registry/storage.k8s.io/storageclasses/"
DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"

Object = dict[str, Any]


def admit(asked: Admission, claim: Object) -> None:
    """Fill in the class. An empty name is a choice too: no class."""
    if claim["spec"].get("storageClassName") is not None:
        return
    if CLASS_ANNOTATION in (claim["metadata"].get("annotations") or {}):
        return
    default = _default(asked)
    if default is not None:
        claim["spec"]["storageClassName"] = default["metadata"]["name"]


def _default(asked: Admission) -> Object | None:
    """Return the newest default class, and of equally new ones the first by name."""
    defaults = [
        found
        for entry in asked.parts.cache.at(PREFIX).entries.values()
        if b"is-default-class" in entry.body and _is_default(found := entry.decode())
    ]
    newest = max((found["metadata"]["creationTimestamp"] for found in defaults), default="")
    return next((found for found in defaults if found["metadata"]["creationTimestamp"] == newest), None)


def _is_default(storage_class: Object) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return any(annotations.get(name) == "true" for name in DEFAULT_ANNOTATIONS)

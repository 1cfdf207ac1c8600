"""DefaultIngressClass: an Ingress that names no class gets the one that is marked as the default.

Source: Kubernetes' DefaultIngressClass plugin. Neighbours: `chain`; `storage_class` does the same for claims.
"""

from typing import Any

from actors.apiserver.admission.attributes import Admission

RESOURCE = "ingresses.networking.k8s.io"
PREFIX = b"/registry/networking.k8s.io/ingressclasses/"
DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"

Object = dict[str, Any]


def admit(asked: Admission, ingress: Object) -> None:
    """Fill in the class. Of several defaults the newest counts, and of equally new ones the first by name."""
    spec = ingress.setdefault("spec", {})
    if spec.get("ingressClassName") is not None or CLASS_ANNOTATION in (ingress["metadata"].get("annotations") or {}):
        return
    defaults = [
        found["metadata"]
        for entry in asked.parts.cache.at(PREFIX).entries.values()
        if b"is-default-class" in entry.body and _is_default(found := entry.decode())
    ]
    newest = max((metadata["creationTimestamp"] for metadata in defaults), default="")
    for metadata in defaults:
        if metadata["creationTimestamp"] == newest:
            spec["ingressClassName"] = metadata["name"]
            return


def _is_default(ingress_class: Object) -> bool:
    return (ingress_class["metadata"].get("annotations") or {}).get(DEFAULT_ANNOTATION) == "true"

"""PersistentVolumeClaimResize: a claim grows only when it is bound, and its class allows that.

Source: Kubernetes' plugin of that name. Neighbours: `chain`.
"""

from typing import Any

from actors.api.quantity import parse_quantity
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.admission.storage_class import CLASS_ANNOTATION, PREFIX

BOUND = "Bound"

Object = dict[str, Any]


def check(asked: Admission, claim: Object, old: Object) -> None:
    """Raises ApiError Forbidden."""
    wanted, had = _size(claim), _size(old)
    if wanted == had or parse_quantity(wanted) <= parse_quantity(had):
        return
    if (old.get("status") or {}).get("phase") != BOUND:
        raise asked.forbidden("Only bound persistent volume claims can be expanded")
    if not _may_grow(asked, claim):
        raise asked.forbidden(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
            "support resize"
        )


def _size(claim: Object) -> str:
    return ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")


def _may_grow(asked: Admission, claim: Object) -> bool:
    annotations = claim["metadata"].get("annotations") or {}
    name = annotations.get(CLASS_ANNOTATION) or claim["spec"].get("storageClassName") or ""
    entry = asked.entry(PREFIX, name) if name else None
    return entry is not None and bool(entry.decode().get("allowVolumeExpansion"))

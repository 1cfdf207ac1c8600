"""The best volume for a claim: one that was made for it, else the smallest that is free and fits. Pure.

Source: the binding rules of Kubernetes' documentation of persistent volumes.
"""

from collections.abc import Iterable
from typing import Any

from actors.api.node_selector import matches_selector
from actors.api.selectors import from_label_selector
from actors.controller_manager.persistent_volume.storage import (
    AVAILABLE,
    capacity_bytes,
    class_of,
    is_deleting,
    mode_of,
    phase_of,
    refers_to,
    requested_bytes,
)

Object = dict[str, Any]


def best_volume(claim: Object, volumes: Iterable[Object], node: Object | None, delayed: bool) -> Object | None:
    """Return the volume to bind. `delayed`: no node is chosen yet, so only one that was made for the claim will do."""
    candidates = [volume for volume in volumes if _may_serve(claim, volume, node)]
    named = [volume for volume in candidates if refers_to(volume, claim)]
    if named:
        return min(named, key=_rank)
    if delayed:
        return None
    selector = claim["spec"].get("selector")
    wanted = from_label_selector(selector) if selector else None
    free = [volume for volume in candidates if _is_free(claim, volume)]
    if wanted is not None:
        free = [volume for volume in free if wanted.matches(volume["metadata"].get("labels"))]
    return min(free, key=_rank, default=None)


def misfit(claim: Object, volume: Object) -> str:
    """Say why a volume that a claim names can't serve it; empty when it can."""
    if capacity_bytes(volume) < requested_bytes(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if mode_of(volume) != mode_of(claim):
        return "incompatible volumeMode"
    if not _offers_modes(claim, volume):
        return "incompatible accessMode"
    return ""


def _may_serve(claim: Object, volume: Object, node: Object | None) -> bool:
    if is_deleting(volume) or capacity_bytes(volume) < requested_bytes(claim):
        return False
    if mode_of(volume) != mode_of(claim) or class_of(volume) != class_of(claim):
        return False
    affinity = (volume["spec"].get("nodeAffinity") or {}).get("required")
    if node is not None and not matches_selector(affinity, node):
        return False
    return _offers_modes(claim, volume)


def _offers_modes(claim: Object, volume: Object) -> bool:
    return set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ())


def _is_free(claim: Object, volume: Object) -> bool:
    return not volume["spec"].get("claimRef") and phase_of(volume) == AVAILABLE


def _rank(volume: Object) -> tuple[int, str]:
    return capacity_bytes(volume), volume["metadata"]["name"]

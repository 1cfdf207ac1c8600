"""Storage object in use protection: what a pod or a claim still uses is removed only when that has ended. Pure.

Every claim and every volume gets a finalizer; it is taken from one that is being deleted once nothing uses it. A pod
uses its claims as long as it is there and has a node; a volume is in use while it is bound.
"""

from typing import Any

from actors.controller_manager.actions import Action
from actors.controller_manager.persistent_volume.storage import BOUND, is_deleting, patch_of, phase_of

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"

Object = dict[str, Any]


def reconcile_finalizer(resource: str, obj: Object, finalizer: str, in_use: bool) -> list[Action]:
    present = obj["metadata"].get("finalizers") or []
    if is_deleting(obj):
        if finalizer not in present or in_use:
            return []
        return [_with(resource, obj, [item for item in present if item != finalizer])]
    return [] if finalizer in present else [_with(resource, obj, [*present, finalizer])]


def volume_in_use(volume: Object) -> bool:
    return phase_of(volume) == BOUND


def _with(resource: str, obj: Object, finalizers: list[str]) -> Action:
    return patch_of(resource, obj, {"metadata": {"finalizers": finalizers or None}})

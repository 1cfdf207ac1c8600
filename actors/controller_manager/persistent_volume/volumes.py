"""What to do about one volume: its phase, and what becomes of it when its claim is gone. Pure.

The removal of the data comes first: a volume that is gone while its directory is there would never be looked at again.
"""

from pathlib import Path
from typing import Any

from actors.controller_manager.actions import Action, ConfirmAbsent, Delete, Emit
from actors.controller_manager.persistent_volume import provisioner
from actors.controller_manager.persistent_volume.storage import (
    AVAILABLE,
    BOUND,
    BOUND_BY_CONTROLLER,
    CLAIMS,
    FAILED,
    PROVISIONED_BY,
    RELEASED,
    VOLUMES,
    annotations,
    is_deleting,
    patch_of,
    phase_of,
)

Object = dict[str, Any]


def reconcile_volume(volume: Object, claim: Object | None, root: Path) -> tuple[Path | None, list[Action]]:
    """Return (directory to remove first, writes). `claim` is what has the claimRef's name now."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return None, _phase(volume, AVAILABLE)
    if not reference.get("uid"):
        return None, _phase(volume, AVAILABLE)  # kept for a claim that is yet to come
    if claim is None or claim["metadata"]["uid"] != reference["uid"]:
        return _released(volume, root)
    named = claim["spec"].get("volumeName")
    if named and named != volume["metadata"]["name"]:
        return _passed_over(volume, root)
    return None, _phase(volume, BOUND)


def _released(volume: Object, root: Path) -> tuple[Path | None, list[Action]]:
    """The claim is gone: keep the volume, or remove it with its data."""
    phase = phase_of(volume)
    if phase not in (RELEASED, FAILED):
        reference = volume["spec"]["claimRef"]
        gone = ConfirmAbsent(CLAIMS, reference["namespace"], reference["name"], reference["uid"])
        return None, [gone, *_phase(volume, RELEASED)]
    policy = volume["spec"].get("persistentVolumeReclaimPolicy") or "Retain"
    if policy == "Retain" or is_deleting(volume) or phase == FAILED:
        return None, []
    if policy == "Recycle":
        return None, failed(volume, "VolumeFailedRecycle", "Recycle is not supported: use Retain or Delete")
    return _delete(volume, root)


def _delete(volume: Object, root: Path) -> tuple[Path | None, list[Action]]:
    try:
        directory = provisioner.directory_to_remove(volume, root)
    except ValueError as error:
        if PROVISIONED_BY in annotations(volume):
            return None, []  # whoever provisioned it removes it
        return None, failed(volume, "VolumeFailedDelete", str(error))
    metadata = volume["metadata"]
    return directory, [Delete(VOLUMES, None, metadata["name"], metadata["uid"], metadata["resourceVersion"])]


def _passed_over(volume: Object, root: Path) -> tuple[Path | None, list[Action]]:
    """The claim is bound to another volume: this one was chosen, or made, in vain."""
    if annotations(volume).get(PROVISIONED_BY) == provisioner.PROVISIONER:
        released = phase_of(volume) in (RELEASED, FAILED)
        return _released(volume, root) if released else (None, _phase(volume, RELEASED))
    if annotations(volume).get(BOUND_BY_CONTROLLER):
        changes: Object = {"metadata": {"annotations": {BOUND_BY_CONTROLLER: None}}, "spec": {"claimRef": None}}
    else:
        changes = {"spec": {"claimRef": {"uid": None, "resourceVersion": None}}}
    return None, [patch_of(VOLUMES, volume, changes)]


def failed(volume: Object, reason: str, message: str) -> list[Action]:
    """Return the writes that tell users why a volume is kept against its policy."""
    status = {"phase": FAILED, "message": message}
    return [patch_of(VOLUMES, volume, {"status": status}, "status"), Emit(volume, "Warning", reason, message)]


def _phase(volume: Object, phase: str) -> list[Action]:
    if phase_of(volume) == phase:
        return []
    return [patch_of(VOLUMES, volume, {"status": {"phase": phase, "message": None}}, "status")]

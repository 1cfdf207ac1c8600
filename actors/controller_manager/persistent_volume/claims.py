"""What to do about one claim: find it a volume, have one made, complete a binding, or say that it lost one. Pure.

A binding has four writes (the volume's claimRef, its phase, the claim's volumeName, its status), each its own version
of an object, so that one follows the other over several reconciles; after any of them the next reconcile goes on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.controller_manager.actions import Action, Emit
from actors.controller_manager.persistent_volume import provisioner
from actors.controller_manager.persistent_volume.match import best_volume, misfit
from actors.controller_manager.persistent_volume.storage import (
    BIND_COMPLETED,
    BOUND,
    BOUND_BY_CONTROLLER,
    CLAIMS,
    LOST,
    PENDING,
    PROVISIONER_OF_CLAIM,
    VOLUMES,
    annotations,
    class_of,
    is_deleting,
    patch_of,
    phase_of,
    refers_to,
)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Around:
    """What a decision on a claim needs beside the claim.

    volumes        all volumes of the claim's class, and the one that it names
    storage_class  of the claim; None where there is none of that name
    default_class  name of the class that is marked as the default; empty when there is none
    node           where the first pod that uses the claim will run; None when that is not known
    """

    volumes: Iterable[Object]
    storage_class: Object | None
    default_class: str
    node: Object | None
    root: Path

    def volume(self, name: str) -> Object | None:
        return next((item for item in self.volumes if item["metadata"]["name"] == name), None)


def reconcile_claim(claim: Object, around: Around) -> list[Action]:
    if BIND_COMPLETED in annotations(claim):
        return _bound(claim, around)
    if is_deleting(claim):
        return []
    if claim["spec"].get("volumeName"):
        return _named(claim, around)
    return _unbound(claim, around)


def _unbound(claim: Object, around: Around) -> list[Action]:
    storage_class = around.storage_class or {}
    waits = storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and around.node is None
    volume = best_volume(claim, around.volumes, around.node, waits)
    if volume is not None:
        return _bind(claim, volume)
    if waits:
        message = "waiting for first consumer to be created before binding"
        return [*_phase(claim, PENDING), Emit(claim, "Normal", "WaitForFirstConsumer", message)]
    return [*_phase(claim, PENDING), *_provision(claim, around)]


def _provision(claim: Object, around: Around) -> list[Action]:
    name = class_of(claim)
    if not name and around.default_class and claim["spec"].get("storageClassName") is None:
        return [patch_of(CLAIMS, claim, {"spec": {"storageClassName": around.default_class}})]
    if not name:
        message = "no persistent volumes available for this claim and no storage class is set"
        return [Emit(claim, "Normal", "FailedBinding", message)]
    storage_class = around.storage_class
    if storage_class is None:
        message = f'storageclass.storage.k8s.io "{name}" not found'
        return [Emit(claim, "Warning", "ProvisioningFailed", message)]
    made_by = storage_class["provisioner"]
    if annotations(claim).get(PROVISIONER_OF_CLAIM) != made_by:
        return [patch_of(CLAIMS, claim, {"metadata": {"annotations": {PROVISIONER_OF_CLAIM: made_by}}})]
    if made_by == "kubernetes.io/no-provisioner":
        return []
    if made_by != provisioner.PROVISIONER:
        message = (
            f"Waiting for a volume to be created either by the external provisioner '{made_by}' or manually by the "
            "system administrator."
        )
        return [Emit(claim, "Normal", "ExternalProvisioning", message)]
    if refused := provisioner.refusal(claim):
        return [Emit(claim, "Warning", "ProvisioningFailed", f'failed to provision volume with StorageClass "{name}": '
                     f"{refused}")]  # fmt: skip
    made = f"Successfully provisioned volume {provisioner.volume_name(claim)} using {provisioner.PROVISIONER}"
    delayed = storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
    create = provisioner.create_volume(claim, storage_class, around.root, around.node if delayed else None)
    return [create, Emit(claim, "Normal", "ProvisioningSucceeded", made)]


def _named(claim: Object, around: Around) -> list[Action]:
    """The claim names a volume, or a binding was cut short."""
    volume = around.volume(claim["spec"]["volumeName"])
    if volume is None or is_deleting(volume):
        return _phase(claim, PENDING)
    if refers_to(volume, claim):
        return _bind(claim, volume)
    if volume["spec"].get("claimRef"):
        message = f'volume "{volume["metadata"]["name"]}" already bound to a different claim.'
        return [*_phase(claim, PENDING), Emit(claim, "Warning", "FailedBinding", message)]
    if why := misfit(claim, volume):
        message = f'Cannot bind to requested volume "{volume["metadata"]["name"]}": {why}'
        return [*_phase(claim, PENDING), Emit(claim, "Warning", "VolumeMismatch", message)]
    return _bind(claim, volume)


def _bound(claim: Object, around: Around) -> list[Action]:
    """The binding was complete once: it holds, or the volume is lost."""
    name = claim["spec"].get("volumeName")
    volume = around.volume(name) if name else None
    if not name:
        return _lost(claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is "
                     "lost!")  # fmt: skip
    if volume is None:
        return _lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    if volume["spec"].get("claimRef") and not refers_to(volume, claim):
        return _lost(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
    return _bind(claim, volume)


def _bind(claim: Object, volume: Object) -> list[Action]:
    """Return the next writes of a binding; [] when it is complete."""
    reference = volume["spec"].get("claimRef") or {}
    if reference.get("uid") != claim["metadata"]["uid"]:
        return [_bind_volume(claim, volume)]
    if phase_of(volume) != BOUND:
        return [patch_of(VOLUMES, volume, {"status": {"phase": BOUND}}, "status")]
    name = volume["metadata"]["name"]
    own = annotations(claim)
    if claim["spec"].get("volumeName") != name or BIND_COMPLETED not in own:
        marks = {BIND_COMPLETED: "yes"}
        if claim["spec"].get("volumeName") != name:
            marks[BOUND_BY_CONTROLLER] = "yes"
        return [patch_of(CLAIMS, claim, {"metadata": {"annotations": marks}, "spec": {"volumeName": name}})]
    status = {
        "phase": BOUND,
        "accessModes": volume["spec"].get("accessModes"),
        "capacity": {"storage": volume["spec"]["capacity"]["storage"]},
    }
    now = claim.get("status") or {}
    if all(now.get(field) == value for field, value in status.items()):
        return []
    return [patch_of(CLAIMS, claim, {"status": status}, "status")]


def _bind_volume(claim: Object, volume: Object) -> Action:
    metadata = claim["metadata"]
    reference = {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
    changes: Object = {"spec": {"claimRef": reference}}
    if not volume["spec"].get("claimRef"):
        changes["metadata"] = {"annotations": {BOUND_BY_CONTROLLER: "yes"}}
    return patch_of(VOLUMES, volume, changes)


def _phase(claim: Object, phase: str) -> list[Action]:
    if phase_of(claim) == phase:
        return []
    return [patch_of(CLAIMS, claim, {"status": {"phase": phase}}, "status")]


def _lost(claim: Object, reason: str, message: str) -> list[Action]:
    if phase_of(claim) == LOST:
        return []
    return [patch_of(CLAIMS, claim, {"status": {"phase": LOST}}, "status"), Emit(claim, "Warning", reason, message)]

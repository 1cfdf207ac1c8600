"""Volumes out of directories: the provisioner `kubus.dev/hostpath` behind the default StorageClass. Pure.

A volume is a directory below the data dir's `volumes/`, called like its PersistentVolume. The kubelet that first mounts
it makes the directory; the controller removes it with the volume. Its capacity is a promise between objects: nothing
bounds what is written there. Once a pod's node is known (WaitForFirstConsumer), the volume belongs to that node.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from actors.controller_manager.actions import Create
from actors.controller_manager.persistent_volume.storage import (
    BOUND_BY_CONTROLLER,
    CLASSES,
    PROVISIONED_BY,
    VOLUMES,
    annotations,
    class_of,
    mode_of,
)

PROVISIONER = "kubus.dev/hostpath"
DEFAULT_CLASS = "standard"
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
TEMPORARY = Path("/tmp")  # the only place where Kubernetes removes a hostPath volume that it did not make

Object = dict[str, Any]


def default_class() -> Create:
    """Return the creation of the class that claims get when they name none."""
    metadata = {"name": DEFAULT_CLASS, "annotations": {IS_DEFAULT: "true"}}
    obj = {
        "kind": "StorageClass",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": metadata,
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }
    return Create(CLASSES, obj, expected=False)


def default_of(classes: Iterable[Object]) -> str:
    """Return the name of the newest class that is marked as the default."""
    marked = [item["metadata"] for item in classes if annotations(item).get(IS_DEFAULT) == "true"]
    newest = max(marked, key=lambda item: (item.get("creationTimestamp", ""), item["name"]), default=None)
    return newest["name"] if newest is not None else ""


def volume_name(claim: Object) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def refusal(claim: Object) -> str:
    """Say what this provisioner can't make; empty when it can."""
    if mode_of(claim) == "Block":
        return "volumeMode Block is not supported: volumes of this class are directories"
    if claim["spec"].get("selector"):
        return "claim.Spec.Selector is not supported for dynamic provisioning"
    if claim["spec"].get("dataSource") or claim["spec"].get("dataSourceRef"):
        return "a dataSource is not supported: volumes of this class are made empty"
    return ""


def new_volume(claim: Object, storage_class: Object, root: Path, node: Object | None) -> Object:
    """Return the volume for a claim, already bound to it."""
    metadata, name = claim["metadata"], volume_name(claim)
    spec: Object = {
        "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "accessModes": list(claim["spec"]["accessModes"]),
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
        "storageClassName": class_of(claim),
        "volumeMode": "Filesystem",
        "hostPath": {"path": str(root / name), "type": "DirectoryOrCreate"},
        "claimRef": {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
    }
    if storage_class.get("mountOptions"):
        spec["mountOptions"] = list(storage_class["mountOptions"])
    if node is not None:
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [_only(node)]}}
    own = {PROVISIONED_BY: PROVISIONER, BOUND_BY_CONTROLLER: "yes"}
    return {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {"name": name, "annotations": own},
        "spec": spec,
    }


def create_volume(claim: Object, storage_class: Object, root: Path, node: Object | None) -> Create:
    return Create(VOLUMES, new_volume(claim, storage_class, root, node))


def directory_to_remove(volume: Object, root: Path) -> Path | None:
    """Return the directory that goes with a volume. ValueError when it is not ours to remove.

    A path is only believed where it could not mean anything else: what this provisioner made is called like its volume,
    and of all others only what lies below /tmp is removed, as Kubernetes does it.
    """
    source = volume["spec"].get("hostPath")
    if source is None:
        raise ValueError("no volume plugin matched: only hostPath volumes can be deleted")
    path = Path(source["path"])
    if annotations(volume).get(PROVISIONED_BY) == PROVISIONER and path == root / volume["metadata"]["name"]:
        return path
    if TEMPORARY in path.parents and ".." not in path.parts:
        return path
    raise ValueError(f"host_path deleter only supports /tmp/.+ but received provided {path}")


def _only(node: Object) -> Object:
    name = (node["metadata"].get("labels") or {}).get("kubernetes.io/hostname") or node["metadata"]["name"]
    return {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}]}

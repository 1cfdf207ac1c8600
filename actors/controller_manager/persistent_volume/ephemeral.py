"""Generic ephemeral volumes: a claim made for one pod out of the template in its spec, and owned by it. Pure."""

from typing import Any

from actors.api.meta import is_controlled_by, owner_reference
from actors.controller_manager.actions import Action, Create, Emit
from actors.controller_manager.persistent_volume.storage import CLAIMS, is_deleting

Object = dict[str, Any]


def reconcile_pod(pod: Object, claims: dict[str, Object]) -> list[Action]:
    """Return the creation of what a pod lacks. `claims` are those there that have the wanted names."""
    if is_deleting(pod) or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return []
    actions: list[Action] = []
    for volume in pod["spec"].get("volumes") or ():
        if not volume.get("ephemeral"):
            continue
        name = f"{pod['metadata']['name']}-{volume['name']}"
        there = claims.get(name)
        if there is None:
            actions.append(Create(CLAIMS, _claim(pod, name, volume["ephemeral"]["volumeClaimTemplate"])))
        elif not is_controlled_by(there, pod):
            message = f"PVC {pod['metadata']['namespace']}/{name} was not created for the pod"
            actions.append(Emit(pod, "Warning", "EphemeralVolumeCreateFailed", message))
    return actions


def has_ephemeral(pod: Object) -> bool:
    return any(volume.get("ephemeral") for volume in pod["spec"].get("volumes") or ())


def _claim(pod: Object, name: str, template: Object) -> Object:
    given = template.get("metadata") or {}
    metadata: Object = {field: given[field] for field in ("labels", "annotations") if given.get(field)}
    metadata |= {"name": name, "namespace": pod["metadata"]["namespace"], "ownerReferences": [owner_reference(pod)]}
    return {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": metadata, "spec": template["spec"]}

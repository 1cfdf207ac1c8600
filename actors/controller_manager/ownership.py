"""Who owns what: adopting orphans that a selector matches, releasing what it no longer matches.

An object has at most one controller, named by the `controller: true` entry of its ownerReferences. A controller takes
in an orphan that its selector matches, and lets go of an object of its own that the selector no longer matches. Two
controllers may want the same orphan: the patch carries the resourceVersion, so one of them wins and the other one's
next reconcile sees an owner.

Adopting races with deletion: a cache may still hold an owner that is already gone, and the garbage collector has just
orphaned its dependents on purpose. So the owner is confirmed past the cache before the first adoption.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from actors.api.meta import controller_of, owner_reference
from actors.controller_manager.actions import Action, Confirm, Patch
from actors.controller_manager.pods import is_terminating

Object = dict[str, Any]


def controller_uid(obj: Object) -> str | None:
    """Return the uid of the controller of an object, None for an orphan."""
    reference = controller_of(obj)
    return reference["uid"] if reference else None


@dataclass(frozen=True, slots=True)
class Claim:
    """`owned`: what belongs to the owner once `actions` have happened."""

    owned: list[Object]
    actions: list[Action]


def claim(
    owner_resource: str,
    owner: Object,
    resource: str,
    candidates: Iterable[Object],
    matches: Callable[[Object], bool],
) -> Claim:
    """Decide what belongs to the owner among `candidates` of `resource`: its own, and orphans of its namespace."""
    uid = owner["metadata"]["uid"]
    deleting = is_terminating(owner)
    owned: list[Object] = []
    adopt: list[Object] = []
    release: list[Object] = []
    for obj in candidates:
        holder = controller_uid(obj)
        if holder == uid:
            if matches(obj):
                owned.append(obj)
            elif not deleting:
                release.append(obj)
        elif holder is None and not deleting and not is_terminating(obj) and matches(obj):
            adopt.append(obj)
    actions: list[Action] = []
    if adopt:
        metadata = owner["metadata"]
        actions.append(Confirm(owner_resource, metadata.get("namespace"), metadata["name"], uid))
        actions += [_adopt(owner, resource, obj) for obj in adopt]
    actions += [without_owners(resource, obj, {uid}) for obj in release]
    return Claim(owned + adopt, actions)


def _adopt(owner: Object, resource: str, obj: Object) -> Patch:
    references = [*(obj["metadata"].get("ownerReferences") or ()), owner_reference(owner)]
    return _patch_references(resource, obj, references)


def without_owners(resource: str, obj: Object, uids: set[str]) -> Patch:
    """Return the patch that takes the owners with these uids from an object."""
    references = [entry for entry in obj["metadata"].get("ownerReferences") or () if entry.get("uid") not in uids]
    return _patch_references(resource, obj, references)


def _patch_references(resource: str, obj: Object, references: list[dict[str, Any]]) -> Patch:
    metadata = obj["metadata"]
    patch = {
        "metadata": {
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "ownerReferences": references,
        }
    }
    return Patch(resource, metadata.get("namespace"), metadata["name"], patch)

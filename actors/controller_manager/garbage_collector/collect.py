"""What to do about one object, given what is known of its owners and dependents. Pure.

An object goes when none of its owners is left that keeps it. An owner that waits for its dependents (foreground) does
not keep them, and is itself let go when none is left that blocks it. Source: the garbage collection page of the
Kubernetes documentation, and the API's description of propagationPolicy.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from actors.controller_manager.actions import Action, Batch, Delete, Patch
from actors.controller_manager.garbage_collector.graph import FOREGROUND, ORPHAN, Item

Object = dict[str, Any]


class OwnerState(enum.Enum):
    KEEPS = "keeps"  # it is there
    WAITS = "waits"  # it is there, and waits for its dependents to go
    ABSENT = "absent"  # it is not there: the API said so


def collect(item: Item, owners: Mapping[str, OwnerState], dependents: Sequence[Item]) -> list[Action]:
    """Return what to do about an object. `owners`: the state of each owner by uid."""
    if item.orphans_dependents:
        return orphan_dependents(item, dependents)
    if item.deletes_dependents:
        return finish_foreground(item, dependents)
    if item.is_deleting or not item.owners:
        return []
    states = [owners[reference["uid"]] for reference in item.owners]
    if OwnerState.KEEPS in states:
        useless = {uid for uid, state in owners.items() if state is not OwnerState.KEEPS}
        return [_without_owners(item, useless)] if useless else []
    if OwnerState.WAITS in states and dependents:
        return _delete_in_foreground(item, dependents)
    return [_delete(item, _policy(item))]


def orphan_dependents(item: Item, dependents: Sequence[Item]) -> list[Action]:
    """Take the owner out of all dependents, then take off its finalizer."""
    patches = tuple(_without_owners(dependent, {item.uid}) for dependent in dependents)
    released: list[Action] = [Batch(patches)] if patches else []
    return [*released, _without_finalizer(item, ORPHAN)]


def finish_foreground(item: Item, dependents: Sequence[Item]) -> list[Action]:
    """Let the owner go when no dependent blocks it any more. Until then each of those brings it back here."""
    if any(item.is_blocked_by(dependent) for dependent in dependents):
        return []
    return [_without_finalizer(item, FOREGROUND)]


def _delete_in_foreground(item: Item, dependents: Sequence[Item]) -> list[Action]:
    """Delete an object with dependents of its own, after them. Should they form a circle, it must not block."""
    circle = any(dependent.deletes_dependents and item.is_blocked_by(dependent) for dependent in dependents)
    actions: list[Action] = []
    if circle and any(reference.get("blockOwnerDeletion") for reference in item.owners):
        references = [{**reference, "blockOwnerDeletion": False} for reference in item.owners]
        actions.append(_patch(item, {"ownerReferences": references}))
        return [*actions, Delete(item.resource, item.namespace or None, item.name, item.uid, propagation="Foreground")]
    return [_delete(item, "Foreground")]


def _policy(item: Item) -> str:
    """Deletion keeps to what the object's finalizers ask for already."""
    if ORPHAN in item.finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in item.finalizers else "Background"


def _delete(item: Item, propagation: str) -> Delete:
    """The resourceVersion makes sure that the owners are still those that were looked at."""
    return Delete(
        item.resource,
        item.namespace or None,
        item.name,
        item.uid,
        resource_version=item.resource_version,
        propagation=propagation,
    )


def _without_owners(item: Item, uids: set[str]) -> Patch:
    return _patch(item, {"ownerReferences": [entry for entry in item.owners if entry["uid"] not in uids]})


def _without_finalizer(item: Item, finalizer: str) -> Patch:
    return _patch(item, {"finalizers": [entry for entry in item.finalizers if entry != finalizer]})


def _patch(item: Item, change: Object) -> Patch:
    metadata = {"uid": item.uid, "resourceVersion": item.resource_version, **change}
    return Patch(item.resource, item.namespace or None, item.name, {"metadata": metadata})

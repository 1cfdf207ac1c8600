"""What to do about a Namespace that is being deleted, given what is still in it.

Pods go first and are waited for: what they use should outlast them. Then all else goes at once. When nothing is left,
and discovery was complete, the `kubernetes` finalizer is taken off and the API server removes the Namespace. While
something is left, the status says what, and which finalizers it waits for. Pure.
"""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from actors.controller_manager.actions import Action, Delete, DeleteCollection, Failure, RequeueAfter, Update
from actors.controller_manager.conditions import set_condition
from actors.controller_manager.discovery import ResourceType
from actors.controller_manager.pods import is_terminating

Object = dict[str, Any]

NAMESPACES = "namespaces"
FINALIZER = "kubernetes"
PODS = "pods"

# Most objects are gone as soon as their deletion is answered: look again at once.
LOOK_AGAIN_S = 0.1
# What is left waits for a kubelet or for finalizers. Pods that go are noticed by themselves; this is for the rest.
WAIT_FOR_FINALIZERS_S = 2.0

Content = Mapping[ResourceType, Sequence[Object]]


def is_due(namespace: Object) -> bool:
    """Is this Namespace being deleted, and is it still for us to empty it?"""
    return is_terminating(namespace) and FINALIZER in (namespace["spec"].get("finalizers") or ())


def reconcile(
    namespace: Object, content: Content, failures: Mapping[str, str], failure: Failure | None, now: float
) -> list[Action]:
    """Return the next step of a deletion.

    content   the objects that are left, by resource; resources without any may be missing
    failures  what discovery could not read
    failure   why the last step was refused
    """
    left = {type_: items for type_, items in content.items() if items}
    if not left and not failures:
        return [_finalize(namespace)]
    actions: list[Action] = []
    status = observed_status(namespace, left, failures, failure, now)
    if status != (namespace.get("status") or {}):
        actions.append(Update(NAMESPACES, {**namespace, "status": status}, subresource="status"))
    name = namespace["metadata"]["name"]
    pods = {type_: items for type_, items in left.items() if type_.resource == PODS}
    deletions = [action for type_, items in (pods or left).items() for action in _delete_all(name, type_, items)]
    wait_s = LOOK_AGAIN_S if deletions else WAIT_FOR_FINALIZERS_S
    return [*actions, *deletions, RequeueAfter(wait_s)]


def _delete_all(namespace: str, type_: ResourceType, items: Sequence[Object]) -> list[Action]:
    """Return the deletion of what is not being deleted yet."""
    waiting = [item for item in items if not is_terminating(item)]
    if not waiting:
        return []
    if "deletecollection" in type_.verbs:
        return [DeleteCollection(type_.resource, namespace)]
    return [
        Delete(type_.resource, namespace, item["metadata"]["name"], item["metadata"]["uid"], propagation="Background")
        for item in waiting
    ]


def _finalize(namespace: Object) -> Update:
    finalizers = [entry for entry in namespace["spec"]["finalizers"] if entry != FINALIZER]
    spec = {**namespace["spec"], "finalizers": finalizers}
    return Update(NAMESPACES, {**namespace, "spec": spec}, subresource="finalize")


def observed_status(
    namespace: Object, left: Content, failures: Mapping[str, str], failure: Failure | None, now: float
) -> Object:
    """Return the status that says what stands in the way of the deletion."""
    status = copy.deepcopy(namespace.get("status") or {})
    status["phase"] = "Terminating"
    conditions = (
        _discovery(failures),
        ("NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions", _PARSED),
        _deletion(failure),
        _remaining(left),
        _finalizers(left),
    )
    for type_, value, reason, message in conditions:
        set_condition(status, type_, value, reason, message, now)
    return status


_PARSED = "All legacy kube types successfully parsed"
_Condition = tuple[str, str, str, str]


def _discovery(failures: Mapping[str, str]) -> _Condition:
    type_ = "NamespaceDeletionDiscoveryFailure"
    if not failures:
        return type_, "False", "ResourcesDiscovered", "All resources successfully discovered"
    said = ", ".join(f"{group_version}: {why}" for group_version, why in sorted(failures.items()))
    return type_, "True", "DiscoveryFailed", f"Discovery failed for some groups, {len(failures)} failing: {said}"


def _deletion(failure: Failure | None) -> _Condition:
    type_ = "NamespaceDeletionContentFailure"
    if failure is None or failure.verb != "delete":
        return type_, "False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"
    message = f"Failed to delete all resource types, 1 remaining: {failure.resource}: {failure.message}"
    return type_, "True", "ContentDeletionFailed", message


def _remaining(left: Content) -> _Condition:
    type_ = "NamespaceContentRemaining"
    if not left:
        return type_, "False", "ContentRemoved", "All content successfully removed"
    said = sorted(f"{found.name} has {len(items)} resource instances" for found, items in left.items())
    return type_, "True", "SomeResourcesRemain", f"Some resources are remaining: {', '.join(said)}"


def _finalizers(left: Content) -> _Condition:
    type_ = "NamespaceFinalizersRemaining"
    counts = Counter(
        finalizer
        for items in left.values()
        for item in items
        if is_terminating(item)
        for finalizer in item["metadata"].get("finalizers") or ()
    )
    if not counts:
        return type_, "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished"
    said = ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in sorted(counts.items()))
    return type_, "True", "SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {said}"

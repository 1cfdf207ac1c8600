"""Validation of metadata, the same for every kind, and what an update may not change in it.

Neighbours: `validation` joins these causes with the kind's own; `prepare` carries over what the server owns.
"""

from collections.abc import Callable
from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.resource import Resource

MAX_ANNOTATIONS_BYTES = 256 * 1024  # Kubernetes' limit of all annotations together: keys and values

STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
BANNED_OWNERS = (("v1", "Event"),)
_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def metadata_causes(resource: Resource, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[Cause]:
    """Return all that is wrong with an object's metadata; with `old`, also what may not have changed."""
    metadata = obj.get("metadata") or {}
    causes = _name_causes(metadata, resource.strategy.validate_name)
    causes += _namespace_causes(metadata, resource.namespaced)
    if metadata.get("generation", 0) < 0:
        causes.append(field.invalid("metadata.generation", metadata["generation"], "must be non-negative"))
    if "labels" in metadata:
        causes += label_causes(metadata["labels"], "metadata.labels")
    if "annotations" in metadata:
        causes += annotation_causes(metadata["annotations"], "metadata.annotations")
    if "ownerReferences" in metadata:
        causes += owner_causes(metadata["ownerReferences"], "metadata.ownerReferences")
    if "finalizers" in metadata:
        causes += finalizer_causes(metadata["finalizers"], "metadata.finalizers")
    if old is not None:
        causes += _update_causes(metadata, old["metadata"])
    return causes


def _name_causes(metadata: dict, check: Callable[..., list[str]]) -> list[Cause]:
    causes = []
    if generate_name := metadata.get("generateName"):
        causes += field.messages("metadata.generateName", generate_name, check(generate_name, True))
    if name := metadata.get("name"):
        if wrong := check(name):
            causes += field.messages("metadata.name", name, wrong)
    elif not generate_name:
        causes.append(field.required("metadata.name", "name or generateName is required"))
    return causes


def _namespace_causes(metadata: dict, namespaced: bool) -> list[Cause]:
    namespace = metadata.get("namespace", "")
    if not namespaced:
        return [field.forbidden("metadata.namespace", "not allowed on this type")] if namespace else []
    if not namespace:
        return [field.required("metadata.namespace")]
    wrong = names.dns_label(namespace)
    return field.messages("metadata.namespace", namespace, wrong) if wrong else []


def label_causes(labels: dict[str, str] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in (labels or {}).items():
        if wrong := names.qualified_name(key):
            causes += field.messages(path, key, wrong)
        if wrong := names.label_value(value):
            causes += field.messages(path, value, wrong)
    return causes


def annotation_causes(annotations: dict[str, str] | None, path: str) -> list[Cause]:
    causes, size = [], 0
    for key, value in (annotations or {}).items():
        causes += field.messages(path, key, names.qualified_name(key.lower()))
        size += len(key) + (len(value) if value.isascii() else len(value.encode()))
    if size > MAX_ANNOTATIONS_BYTES:
        causes.append(field.too_long(path, MAX_ANNOTATIONS_BYTES))
    return causes


def owner_causes(owners: list[dict] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    controllers: list[str] = []
    for i, owner in enumerate(owners or ()):
        at = f"{path}[{i}]"
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                causes.append(field.invalid(f"{at}.{name}", owner.get(name, ""), f"{name} must not be empty"))
        if (owner.get("apiVersion"), owner.get("kind")) in BANNED_OWNERS:
            causes.append(field.invalid(at, owner["kind"], "is disallowed from being an owner"))
        if owner.get("controller"):
            controllers.append(owner.get("name", ""))
    if len(controllers) > 1:
        detail = "Only one reference can have Controller set to true. Found"
        shown = f'{detail} "true" in references for {controllers[0]} and {controllers[1]}'
        causes.append(field.invalid(path, owners, shown))
    return causes


def finalizer_causes(finalizers: list[str] | None, path: str) -> list[Cause]:
    causes = []
    for i, finalizer in enumerate(finalizers or ()):
        causes += field.messages(path, finalizer, names.qualified_name(finalizer))
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            causes.append(field.invalid(f"{path}[{i}]", finalizer, detail))
    if finalizers and "orphan" in finalizers and "foregroundDeletion" in finalizers:
        detail = 'finalizer "orphan" and "foregroundDeletion" cannot be both set'
        causes.append(field.invalid(path, finalizers, detail))
    return causes


def _update_causes(metadata: dict, old: dict) -> list[Cause]:
    causes = []
    for name in _IMMUTABLE:
        if metadata.get(name) != old.get(name):
            causes.append(field.immutable(f"metadata.{name}", metadata.get(name)))
    if old.get("deletionTimestamp"):
        added = sorted({*(metadata.get("finalizers") or ())} - {*(old.get("finalizers") or ())})
        if added:
            detail = "no new finalizers can be added if the object is being deleted, found new finalizers "
            causes.append(field.forbidden("metadata.finalizers", detail + field.shown(added)))
    if metadata.get("generation", 0) < old.get("generation", 0):
        detail = "must not be decremented"
        causes.append(field.invalid("metadata.generation", metadata.get("generation"), detail))
    return causes

"""What a deletion does to an object: pure decisions on grace, finalizers and propagation.

Graceful kinds (Pods) get a deletionTimestamp in the future and go when their kubelet says so; an object with
finalizers gets a deletionTimestamp and goes with the last finalizer; anything else goes at once. Propagation is told to
the garbage collector by the finalizers `foregroundDeletion` and `orphan`.

Source: Kubernetes' registry/rest and registry/generic/registry. Neighbours: `delete` asks; `update` asks `may_go`.
"""

from dataclasses import dataclass
from typing import Any

from actors.api import errors
from actors.api.meta import parse_time, rfc3339
from actors.apiserver.machinery.resource import Resource

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
LATEST_END_S = 253_402_300_799  # 9999-12-31T23:59:59Z: no timestamp can be later, however long the grace
_FINALIZER_OF = {"Foreground": FOREGROUND, "Orphan": ORPHAN, "Background": ""}
ORPHANING = frozenset(
    {"replicationcontrollers", "jobs.batch"}
)  # kinds whose default policy orphans, for history's sake


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    grace_period_s: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the DeleteOptions as admission is told of them."""
        made: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}
        if self.grace_period_s is not None:
            made["gracePeriodSeconds"] = self.grace_period_s
        if self.uid or self.resource_version:
            wanted = {"uid": self.uid, "resourceVersion": self.resource_version}
            made["preconditions"] = {name: value for name, value in wanted.items() if value}
        if self.propagation:
            made["propagationPolicy"] = self.propagation
        if self.dry_run:
            made["dryRun"] = ["All"]
        return made


def may_go(resource: Resource, obj: dict[str, Any]) -> bool:
    """Is this object, being deleted, without anything left that holds it?"""
    metadata = obj["metadata"]
    if (
        not metadata.get("deletionTimestamp")
        or metadata.get("finalizers")
        or metadata.get("deletionGracePeriodSeconds")
    ):
        return False
    return not (resource.group_resource == "namespaces" and (obj.get("spec") or {}).get("finalizers"))


def check_preconditions(resource: Resource, obj: dict[str, Any], options: DeleteOptions) -> None:
    """Raise ApiError Conflict when the object is not the one that is to be deleted."""
    metadata = obj["metadata"]
    for wanted, has, word in (
        (options.uid, metadata.get("uid", ""), "UID"),
        (options.resource_version, metadata.get("resourceVersion", ""), "ResourceVersion"),
    ):
        if wanted and wanted != has:
            why = f"Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {has}"
            raise errors.conflict(resource.group_resource, metadata["name"], why)


def decide(resource: Resource, obj: dict[str, Any], options: DeleteOptions, now_s: float) -> dict[str, Any] | None:
    """Return the object as the deletion leaves it, or None when it is to be removed at once. `obj` may be changed."""
    metadata = obj["metadata"]
    resource.strategy.hold_deletion(obj, rfc3339(now_s))
    finalizers = _finalizers(resource, metadata.get("finalizers") or [], options.propagation)
    grace_s = _grace_period_s(resource, obj, options.grace_period_s)
    if grace_s is None and resource.group_resource == "namespaces":
        return _terminate_namespace(obj, finalizers, now_s)
    if metadata.get("deletionTimestamp"):
        _shorten(metadata, grace_s, options.grace_period_s is not None)
    elif grace_s or finalizers:
        metadata["deletionTimestamp"] = rfc3339(min(now_s + (grace_s or 0), LATEST_END_S))
        metadata["deletionGracePeriodSeconds"] = grace_s or 0
        _raise_generation(metadata)
    else:
        return None
    _set_finalizers(metadata, finalizers)
    return None if may_go(resource, obj) else obj


def _terminate_namespace(obj: dict[str, Any], finalizers: list[str], now_s: float) -> dict[str, Any] | None:
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    if not finalizers and not spec.get("finalizers"):
        return None
    if not metadata.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = rfc3339(now_s)
        metadata["deletionGracePeriodSeconds"] = 0
    _set_finalizers(metadata, finalizers)
    obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return obj


def _grace_period_s(resource: Resource, obj: dict[str, Any], wanted_s: int | None) -> int | None:
    """How long to wait; None for kinds that are not deleted gracefully."""
    default_s = resource.strategy.default_grace_period_s(obj)
    if default_s is None:
        return None
    if resource.strategy.deletes_at_once(obj):
        return 0
    if wanted_s is None:
        return default_s
    return wanted_s if wanted_s >= 0 else 1


def _shorten(metadata: dict[str, Any], grace_s: int | None, asked: bool) -> None:
    """A second deletion may bring the end nearer, never further away."""
    before_s = metadata.get("deletionGracePeriodSeconds") or 0
    if grace_s is None or (not asked and grace_s) or grace_s >= before_s:
        return
    began_s = parse_time(metadata["deletionTimestamp"]) - before_s
    metadata["deletionTimestamp"] = rfc3339(min(max(began_s, 0) + grace_s, LATEST_END_S))
    metadata["deletionGracePeriodSeconds"] = grace_s
    _raise_generation(metadata)


def _finalizers(resource: Resource, present: list[str], propagation: str) -> list[str]:
    """The finalizers with those of the propagation policy put in or taken out."""
    if propagation:
        wanted = _FINALIZER_OF.get(propagation)
        if wanted is None:
            raise errors.bad_request(f'propagationPolicy: Unsupported value: "{propagation}"')
    elif ORPHAN in present or FOREGROUND in present:
        return list(present)
    else:
        wanted = ORPHAN if resource.group_resource in ORPHANING else ""
    rest = [name for name in present if name not in (FOREGROUND, ORPHAN)]
    return [*rest, wanted] if wanted else rest


def _set_finalizers(metadata: dict[str, Any], finalizers: list[str]) -> None:
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)


def _raise_generation(metadata: dict[str, Any]) -> None:
    if metadata.get("generation"):
        metadata["generation"] += 1

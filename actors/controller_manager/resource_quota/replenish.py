"""Which changes may free what a quota counts. Pure: the rest needs no counting, for admission has charged it."""

from typing import Any

Object = dict[str, Any]

_ENDED = frozenset({"Failed", "Succeeded"})


def frees(resource: str, old: Object | None, new: Object | None) -> bool:
    """May a change of an object of this resource free anything?"""
    if old is None:
        return False
    if new is None:
        return True
    if resource == "pods":
        return _has_ended(new) and not _has_ended(old) or _resources(new) != _resources(old)
    if resource == "services":
        before, after = old.get("spec") or {}, new.get("spec") or {}
        return before.get("type") != after.get("type") or len(before.get("ports") or ()) > len(after.get("ports") or ())
    if resource == "persistentvolumeclaims":
        return _claimed(old) != _claimed(new)
    return False


def _has_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED


def _resources(pod: Object) -> list[Any]:
    spec = pod.get("spec") or {}
    return [spec.get("resources"), *(one.get("resources") for one in spec.get("containers") or ())]


def _claimed(claim: Object) -> tuple[Any, Any]:
    return (claim.get("spec") or {}).get("resources"), (claim.get("status") or {}).get("allocatedResources")

"""The status of a CustomResourceDefinition, out of it and all others of its group: pure, so that every API server that
looks at the same definitions comes to the same status.

Names are accepted in the order of asking: a definition gets those that no other one of its group has been given. It is
established once its names have been accepted, and stays so.

Neighbours: `controller` writes what this computes; `resources` serves what is established.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from actors.api.meta import get_condition, set_condition

NAMES_ACCEPTED, ESTABLISHED, TERMINATING = "NamesAccepted", "Established", "Terminating"
APPROVED = "KubernetesAPIApprovalPolicyConformant"
APPROVAL = "api-approved.kubernetes.io"
MISSING, INVALID = "MissingAnnotation", "InvalidAnnotation"
APPROVAL_HELP = "https://github.com/kubernetes/enhancements/pull/1111"

Condition = dict[str, Any]
Names = dict[str, Any]


def is_established(definition: dict[str, Any]) -> bool:
    found = get_condition((definition.get("status") or {}).get("conditions") or [], ESTABLISHED)
    return found is not None and found["status"] == "True"


def is_deleting(definition: dict[str, Any]) -> bool:
    return bool(definition["metadata"].get("deletionTimestamp"))


def status_of(definition: dict[str, Any], others: Iterable[dict[str, Any]], now: str) -> dict[str, Any]:
    """Return the status that a definition should have; equal to the one that it has when nothing is to be done."""
    status = definition.get("status") or {}
    accepted, conflict = _accepted_names(definition, others)
    found = list(status.get("conditions") or [])
    if conflict is None:
        found = set_condition(found, NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found", now)
        if not is_established(definition):
            reason, message = "InitialNamesAccepted", "the initial names have been accepted"
            found = set_condition(found, ESTABLISHED, "True", reason, message, now)
    else:
        found = set_condition(found, NAMES_ACCEPTED, "False", conflict[0], conflict[1], now)
        if not is_established(definition):
            message = "not all names are accepted"
            found = set_condition(found, ESTABLISHED, "False", "NotAccepted", message, now)
    found = _with_approval(definition, found, now)
    stored = list(status.get("storedVersions") or ())
    for version in definition["spec"]["versions"]:
        if version.get("storage") and version["name"] not in stored:
            stored.append(version["name"])
    return {**status, "acceptedNames": accepted, "conditions": found, "storedVersions": stored}


def _with_approval(definition: dict[str, Any], found: list[Condition], now: str) -> list[Condition]:
    """A definition in a group of Kubernetes' own says whether its API was approved; any other says nothing of it."""
    if not is_protected(definition["spec"]["group"]):
        return [one for one in found if one["type"] != APPROVED]
    said = (definition["metadata"].get("annotations") or {}).get(APPROVAL, "")
    return set_condition(found, APPROVED, *approval_of(said), now)


def approval_of(said: str) -> tuple[str, str, str]:
    """Return (status, reason, message): whether an annotation says that an API was approved, or why it was not."""
    needed = f'protected groups must have approval annotation "{APPROVAL}"'
    if not said:
        return "False", MISSING, f"{needed}, see {APPROVAL_HELP}"
    if said.startswith("unapproved"):
        return "False", "UnapprovedAnnotation", f'not approved: "{said}"'
    parts = urlsplit(said)
    if parts.scheme and parts.netloc:
        return "True", "ApprovedAnnotation", f"approved in {said}"
    return "False", INVALID, f'{needed} with either a URL or a reason starting with "unapproved", see {APPROVAL_HELP}'


def is_protected(group: str) -> bool:
    """Is a group one that Kubernetes keeps for APIs that it has approved?"""
    return group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io")


def terminating(found: list[Condition], now: str) -> list[Condition]:
    """The conditions of a definition whose deletion has been asked for."""
    message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    return set_condition(found, TERMINATING, "True", "InstanceDeletionPending", message, now)


def deleting_objects(found: list[Condition], now: str) -> list[Condition]:
    message = "CustomResource deletion is in progress"
    return set_condition(found, TERMINATING, "True", "InstanceDeletionInProgress", message, now)


def objects_deleted(found: list[Condition], now: str) -> list[Condition]:
    message = "removed all instances"
    return set_condition(found, TERMINATING, "False", "InstanceDeletionCompleted", message, now)


def _accepted_names(
    definition: dict[str, Any], others: Iterable[dict[str, Any]]
) -> tuple[Names, tuple[str, str] | None]:
    """Return (the names that are accepted, why not all of those asked for are)."""
    asked = definition["spec"]["names"]
    before = (definition.get("status") or {}).get("acceptedNames") or {}
    resources, kinds = _taken(definition, others)
    accepted: Names = {}
    conflict: tuple[str, str] | None = None
    for name, word, taken in (
        ("plural", "Plural", resources),
        ("singular", "Singular", resources),
        ("kind", "Kind", kinds),
        ("listKind", "ListKind", kinds),
    ):
        wanted = asked.get(name, "")
        if wanted in taken:
            conflict = conflict or (f"{word}Conflict", f'"{wanted}" is already in use')
            accepted[name] = before.get(name, "")
        else:
            accepted[name] = wanted
    short = asked.get("shortNames") or []
    if clashing := [one for one in short if one in resources]:
        shown = ", ".join(f'"{one}" is already in use' for one in sorted(clashing))
        conflict = conflict or ("ShortNamesConflict", shown)
        short = before.get("shortNames") or []
    if short:
        accepted["shortNames"] = list(short)
    if asked.get("categories"):
        accepted["categories"] = list(asked["categories"])
    return {name: value for name, value in accepted.items() if value or name in ("plural", "kind")}, conflict


def _taken(definition: dict[str, Any], others: Iterable[dict[str, Any]]) -> tuple[set[str], set[str]]:
    """Which names other definitions of the group have been given."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        same = other["metadata"]["uid"] == definition["metadata"]["uid"]
        if same or other["spec"]["group"] != definition["spec"]["group"]:
            continue
        given = (other.get("status") or {}).get("acceptedNames") or {}
        resources.update((given.get("plural", ""), given.get("singular", ""), *(given.get("shortNames") or ())))
        kinds.update((given.get("kind", ""), given.get("listKind", "")))
    return resources - {""}, kinds - {""}

"""Server-side apply: a manager's whole intent made part of an object.

`apply` merges the configuration into the live object; takes away what the manager applied before, applies no longer,
and nobody else owns; and settles the entries. What it would take from other managers is a conflict, unless forced:
then they lose it. Applying the same again changes nothing.

Neighbours: `request` brings configurations; `values` has the steps; `managers` the entries; `tracking` what was there
before a first apply.
"""

from typing import Any

from actors.api.errors import ApiError, Cause
from actors.apiserver.machinery.apply import field_set, managers, tracking
from actors.apiserver.machinery.apply.field_set import EMPTY, Fields
from actors.apiserver.machinery.apply.managers import APPLY, BEFORE_FIRST_APPLY, Entry, Writer
from actors.apiserver.machinery.apply.types import Granular
from actors.apiserver.machinery.apply.values import fields_of, merge, remove, with_structs

CONFLICT = "FieldManagerConflict"

Conflicts = list[tuple[Entry, Fields]]


class ApplyConflict(Exception):
    """Other managers own fields that the configuration sets to other values."""

    def __init__(self, conflicts: Conflicts) -> None:
        super().__init__("the configuration conflicts with other managers")
        self.conflicts = conflicts

    def fields(self) -> Fields:
        found = EMPTY
        for _, fields in self.conflicts:
            found = field_set.union(found, fields)
        return found

    def without(self, allowed: Fields) -> "ApplyConflict":
        rest = [(entry, field_set.difference(fields, allowed)) for entry, fields in self.conflicts]
        return ApplyConflict([(entry, fields) for entry, fields in rest if fields])

    def api_error(self) -> ApiError:
        found = sorted(
            (managers.shown(entry), field_set.path_text(path))
            for entry, fields in self.conflicts
            for path in field_set.paths(fields)
        )
        causes = [Cause(CONFLICT, f"conflict with {manager}", path) for manager, path in found]
        message = f"Apply failed with {len(found)} conflict{'s' if len(found) > 1 else ''}: {_listed(found)}"
        return ApiError(409, "Conflict", message, {"causes": [cause.to_dict() for cause in causes]})


def _listed(found: list[tuple[str, str]]) -> str:
    if len(found) == 1:
        manager, path = found[0]
        return f"conflict with {manager}: {path}"
    lines: list[str] = []
    for manager in sorted({manager for manager, _ in found}):
        lines.append(f"conflicts with {manager}:")
        lines += [f"- {path}" for owner, path in found if owner == manager]
    return "\n".join(lines)


def apply(of: Granular, live: dict[str, Any], config: dict[str, Any], writer: Writer, force: bool) -> dict[str, Any]:
    """Return the live object with a configuration applied, its managed fields included. Neither argument is changed.

    Raises ApplyConflict.
    """
    entries = _entries_of(of, live, writer)
    own = writer.identity(APPLY)
    before: Fields = next((entry["fieldsV1"] for entry in entries if managers.identity_of(entry) == own), EMPTY)
    others = [entry for entry in entries if managers.identity_of(entry) != own]
    wanted = fields_of(of, config)

    merged = merge(of, live, config)
    applied = _pruned(of, merged, before, wanted, others)
    taken, removed = of.compare(live, applied)
    if taken and not force:
        conflicts = [(entry, field_set.intersection(entry["fieldsV1"], taken)) for entry in others]
        if conflicts := [(entry, fields) for entry, fields in conflicts if fields]:
            raise ApplyConflict(conflicts)
    gone = field_set.union(taken or EMPTY, removed or EMPTY)
    after = [{**entry, "fieldsV1": field_set.difference(entry["fieldsV1"], gone)} for entry in others]
    mine = [entry for entry in entries if managers.identity_of(entry) == own]
    if not mine or gone or wanted != before or mine[0].get("apiVersion") != writer.api_version:
        mine = [writer.entry(APPLY, wanted)]
    metadata = {name: part for name, part in applied["metadata"].items() if name != tracking.MANAGED_FIELDS}
    found = {**applied, "metadata": metadata}
    tracking.put(found, managers.in_order(entry for entry in [*mine, *after] if entry["fieldsV1"]))
    return found


def _entries_of(of: Granular, live: dict[str, Any], writer: Writer) -> list[Entry]:
    """Return the entries of an object; all that is in one which has none belongs to `BEFORE_FIRST_APPLY`."""
    entries = live["metadata"].get(tracking.MANAGED_FIELDS)
    if entries or not live["metadata"].get("uid"):
        return entries or []
    first = Writer(BEFORE_FIRST_APPLY, writer.api_version, writer.subresource, writer.now)
    fields = tracking.created_fields(live, has_status=False)
    return [first.entry(managers.UPDATE, fields)] if fields else []


def _pruned(of: Granular, merged: dict[str, Any], before: Fields, wanted: Fields, others: list[Entry]) -> Any:
    """Return the merged object without what the manager has stopped applying and nobody owns.

    What lies in a removed item and is owned stays, with what leads to it; what was never applied by this manager, such
    as a default, goes only together with the item or the field that it is in.
    """
    owned = wanted
    for entry in others:
        owned = field_set.union(owned, entry["fieldsV1"])
    if not field_set.difference(before, owned):
        return merged
    last = with_structs(of, before)
    present = with_structs(of, fields_of(of, merged))
    bare = fields_of(of, remove(of, merged, last) or {})
    kept = field_set.union(with_structs(of, bare), with_structs(of, owned))
    without = remove(of, merged, field_set.difference(present, kept)) or {}
    left = with_structs(of, fields_of(of, without))
    return remove(of, merged, field_set.intersection(field_set.difference(present, left), last)) or {}

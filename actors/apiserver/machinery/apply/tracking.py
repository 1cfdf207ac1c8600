"""What a create and an update do to the managed fields: the writer owns what it sets, and others no longer do.

It is called on every write, after defaults and the kind's own preparation and before admission, so that neither what
admission fills in nor what the path may not change is anybody's. An update that changes no field changes no entry.

An object that has no entries is not tracked until it is applied to; that is how a client that sends
`managedFields: []` gets rid of them.

Neighbours: `types` compares; `managers` keeps the entries; `server_side` does the same for an apply.
"""

from typing import Any

import orjson

from actors.api import errors
from actors.apiserver.machinery.apply import field_set, managers
from actors.apiserver.machinery.apply.field_set import EMPTY, Fields
from actors.apiserver.machinery.apply.kinds import KINDS, blank
from actors.apiserver.machinery.apply.managers import UPDATE, Entry, Writer
from actors.apiserver.machinery.apply.types import Granular

MANAGED_FIELDS = "managedFields"
NOT_OF_CREATOR = frozenset({"status"})  # where a status subresource writes it


def track_create(obj: dict[str, Any], writer: Writer, has_status: bool) -> None:
    """Put the creator into the entries of a new object, which may bring entries of its own."""
    given = obj["metadata"].pop(MANAGED_FIELDS, None)
    fields = created_fields(obj, has_status)
    if given is None:
        put(obj, [writer.entry(UPDATE, fields)] if fields else [])
    else:
        put(obj, with_update(_given(obj, given) or [], fields, EMPTY, writer))


def created_fields(obj: dict[str, Any], has_status: bool) -> Fields:
    """Return the fields that the creator of an object sets."""
    of = KINDS.of(obj["apiVersion"], obj["kind"])
    seen = {name: part for name, part in obj.items() if name not in NOT_OF_CREATOR} if has_status else obj
    return of.created(_blank_of(obj, of), seen)


def _blank_of(obj: dict[str, Any], of: Granular) -> dict[str, Any]:
    key = (obj["apiVersion"], obj["kind"])
    found = _BLANKS.get(key)
    if found is None or found[0] is not of:
        found = _BLANKS[key] = (of, blank(of))
    return found[1]


_BLANKS: dict[tuple[str, str], tuple[Granular, dict[str, Any]]] = {}


def track_update(obj: dict[str, Any], old: dict[str, Any], writer: Writer) -> None:
    """Put into the entries of `obj` what its writer has changed against `old`."""
    before: list[Entry] = old["metadata"].get(MANAGED_FIELDS) or []
    given = obj["metadata"].pop(MANAGED_FIELDS, None)
    entries = before if writer.subresource or given is None or given == before else _given(obj, given, before)
    if entries:
        taken, removed = KINDS.of(obj["apiVersion"], obj["kind"]).compare(old, obj)
        if taken is not None or removed is not None:
            entries = with_update(entries, taken or EMPTY, removed or EMPTY, writer)
    put(obj, entries)


def _given(obj: dict[str, Any], given: Any, before: list[Entry] | None = None) -> list[Entry]:
    """Return the entries that a client sent; those of before if they hold nothing. Raises ApiError Invalid."""
    if managers.is_reset(given):
        return []
    if causes := managers.causes(given):
        group = obj["apiVersion"].rpartition("/")[0]
        raise errors.invalid(obj["kind"], obj["metadata"].get("name", ""), causes, group=group)
    return managers.decoded(given) or before or []


def with_update(entries: list[Entry], taken: Fields, removed: Fields, writer: Writer) -> list[Entry]:
    """Return the entries after an update that took and removed fields; the same list when they stay as they are."""
    changed = field_set.union(taken, removed)
    own = writer.identity(UPDATE)
    kept: list[Entry] = []
    fields, differs = taken, bool(taken)
    for entry in entries:
        before: Fields = entry["fieldsV1"]
        is_own = managers.identity_of(entry) == own
        after = field_set.difference(before, removed if is_own else changed)
        if is_own and taken:
            fields = field_set.union(after, taken)
        elif after is before:
            kept.append(entry)
        else:
            differs = True
            if after:
                kept.append({**entry, "fieldsV1": after})
    if not differs:
        return entries
    if taken:
        kept.append(writer.entry(UPDATE, fields))
    return managers.capped(managers.in_order(kept)) if len(kept) > 1 else kept


def put(obj: dict[str, Any], entries: list[Entry]) -> None:
    if entries:
        obj["metadata"][MANAGED_FIELDS] = entries
    else:
        obj["metadata"].pop(MANAGED_FIELDS, None)


def same_but_times(obj: dict[str, Any], old: dict[str, Any]) -> bool:
    """True when an update changes nothing, or nothing but the times of entries: it need not be written."""
    metadata, before = obj["metadata"], old["metadata"]
    if obj.keys() != old.keys() or any(obj[name] != old[name] for name in obj if name != "metadata"):
        return False
    if metadata.keys() != before.keys():
        return False
    if any(metadata[name] != before[name] for name in metadata if name not in (MANAGED_FIELDS, "resourceVersion")):
        return False
    return _comparable(obj) == _comparable(old)


def _comparable(obj: dict[str, Any]) -> bytes:
    """Return what stands for an object without its version and times; unlike `==`, it tells 1 from true."""
    entries = _untimed(obj["metadata"].get(MANAGED_FIELDS))
    metadata = {**obj["metadata"], MANAGED_FIELDS: entries, "resourceVersion": ""}
    return orjson.dumps({**obj, "metadata": metadata}, option=orjson.OPT_SORT_KEYS)


def _untimed(entries: list[Entry] | None) -> list[Entry]:
    plain = [{name: value for name, value in entry.items() if name != "time"} for entry in entries or ()]
    return sorted(plain, key=managers.identity_of)

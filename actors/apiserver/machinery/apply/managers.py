"""The entries of metadata.managedFields, and who a writer is.

An entry belongs to a manager, an operation (Apply or Update), a subresource and, for updates, an API version: those
make its identity. Entries stand in Kubernetes' order: by operation, time, manager, API version, subresource.

Neighbours: `tracking` and `server_side` change entries; `field_set` is what an entry holds.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.apply import field_set
from actors.apiserver.machinery.apply.field_set import Fields

APPLY, UPDATE = "Apply", "Update"
FIELDS_V1 = "FieldsV1"

MAX_MANAGER_CHARS = 128  # of a manager's name, as Kubernetes
MAX_SUBRESOURCE_CHARS = 256
MAX_UPDATERS = 10  # entries of operation Update; of more, the oldest are put together as `ANCIENT`
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"  # owns what was there when an object without entries is first applied to
UNKNOWN = "unknown"

Entry = dict[str, Any]
Identity = tuple[str, str, str, str]  # operation, manager, API version ("" for Apply), subresource


class Writer(NamedTuple):
    """Who writes, through which version and subresource, and when (RFC 3339)."""

    manager: str
    api_version: str
    subresource: str
    now: str

    def identity(self, operation: str) -> Identity:
        return (operation, self.manager or UNKNOWN, "" if operation == APPLY else self.api_version, self.subresource)

    def entry(self, operation: str, fields: Fields) -> Entry:
        """Return a new entry of this writer."""
        made = {
            "manager": self.manager or UNKNOWN,
            "operation": operation,
            "apiVersion": self.api_version,
            "time": self.now,
            "fieldsType": FIELDS_V1,
            "fieldsV1": fields,
        }
        if self.subresource:
            made["subresource"] = self.subresource
        return made


def manager_name(field_manager: str, user_agent: str) -> str:
    """Return the manager of a write: as the client names it, else the start of its user agent."""
    if field_manager:
        return field_manager
    name = user_agent.partition("/")[0]
    if name.isprintable() and len(name) <= MAX_MANAGER_CHARS:
        return name
    return "".join(char for char in name if char.isprintable())[:MAX_MANAGER_CHARS]


def manager_causes(manager: str, path: str) -> list[Cause]:
    """Return what is wrong with a manager's name."""
    if len(manager) > MAX_MANAGER_CHARS:
        return [field.too_long(path, MAX_MANAGER_CHARS)]
    return [
        field.invalid(path, manager, f"invalid character U+{ord(char):04X} (at position {i})")
        for i, char in enumerate(manager)
        if not char.isprintable()
    ]


def identity_of(entry: Entry) -> Identity:
    operation = entry.get("operation", "")
    version = "" if operation == APPLY else entry.get("apiVersion", "")
    return (operation, entry.get("manager", ""), version, entry.get("subresource", ""))


def shown(entry: Entry) -> str:
    """Return an entry's manager as messages name it."""
    name = field.shown(entry.get("manager", ""))
    if entry.get("subresource"):
        name += f" with subresource {field.shown(entry['subresource'])}"
    return name if entry.get("operation") == APPLY else f"{name} using {entry.get('apiVersion', '')}"


def is_reset(given: Any) -> bool:
    """True when a client asks to forget all entries: an empty list, or a list of one empty entry."""
    return given == [] or given == [{}]


def decoded(given: Any) -> list[Entry] | None:
    """Return entries that a client sent, ready for use; None when they cannot be read, or hold nothing."""
    if not given:
        return None
    found: dict[Identity, Entry] = {}
    for entry in given:
        if type(entry) is not dict:
            return None
        if entry.get("fieldsType") != FIELDS_V1 or entry.get("operation") not in (APPLY, UPDATE):
            return None
        try:
            fields = field_set.decoded(entry.get("fieldsV1"))
        except field_set.BadFields:
            return None
        found[identity_of(entry)] = {**entry, "fieldsV1": fields}
    return in_order(entry for entry in found.values() if entry["fieldsV1"])


def causes(given: list[Entry] | None, path: str = "metadata.managedFields") -> list[Cause]:
    """Return what is wrong with entries that a client sent."""
    found: list[Cause] = []
    for i, entry in enumerate(entry for entry in given or () if type(entry) is dict):
        at = f"{path}[{i}]"
        if entry.get("operation") not in (APPLY, UPDATE):
            found.append(field.invalid(f"{at}.operation", entry.get("operation", ""), "must be `Apply` or `Update`"))
        if entry.get("fieldsType", FIELDS_V1) != FIELDS_V1:
            found.append(field.invalid(f"{at}.fieldsType", entry["fieldsType"], f"must be `{FIELDS_V1}`"))
        found += manager_causes(entry.get("manager", ""), f"{at}.manager")
        if len(entry.get("subresource", "")) > MAX_SUBRESOURCE_CHARS:
            found.append(field.too_long(f"{at}.subresource", MAX_SUBRESOURCE_CHARS))
    return found


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    def place(entry: Entry) -> tuple[str, str, str, str, str]:
        operation, manager, version, subresource = identity_of(entry)
        return (operation, entry.get("time", ""), manager, version or entry.get("apiVersion", ""), subresource)

    return sorted(entries, key=place)


def capped(entries: list[Entry]) -> list[Entry]:
    """Put the oldest updaters beyond MAX_UPDATERS together, those of each API version into one entry."""
    updaters = [entry for entry in entries if entry["operation"] == UPDATE]
    surplus = len(updaters) - MAX_UPDATERS
    if surplus <= 0:
        return entries
    updaters.sort(key=lambda entry: (entry.get("time", ""), identity_of(entry)))
    first: dict[str, Entry] = {}  # the oldest of a version, until there is a second one to put it together with
    kept = {identity_of(entry): entry for entry in entries}
    for entry in updaters:
        if surplus == 0:
            break
        version = entry.get("apiVersion", "")
        older = first.get(version)
        if older is not None:
            del kept[identity_of(entry)]
            del kept[identity_of(older)]
            fields = field_set.union(older["fieldsV1"], entry["fieldsV1"])
            entry = {key: value for key, value in entry.items() if key != "subresource"}
            entry |= {"manager": ANCIENT, "fieldsV1": fields}
            kept[identity_of(entry)] = entry
            surplus -= 1
        first[version] = entry
    return in_order(kept.values())

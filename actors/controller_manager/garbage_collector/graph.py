"""Who owns whom, over all objects of the cluster, by uid; kept up to date change by change.

An owner may be unknown: not seen yet, of a kind that is not watched, or gone. Dependents are filed under its uid all
the same, so that its coming and going concerns them. Pure: `put` and `remove` return the uids that are worth a look.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

Object = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class Item(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One object, reduced to what deletion depends on. There is one for each object of the cluster, in no cycle."""

    resource: str
    api_version: str
    kind: str
    namespace: str  # empty for what has none
    name: str
    uid: str
    resource_version: str
    owners: tuple[Object, ...] = ()  # its ownerReferences
    finalizers: tuple[str, ...] = ()
    is_deleting: bool = False

    @property
    def deletes_dependents(self) -> bool:
        """Is it waiting for its dependents to go first?"""
        return self.is_deleting and FOREGROUND in self.finalizers

    @property
    def orphans_dependents(self) -> bool:
        return self.is_deleting and ORPHAN in self.finalizers

    def is_blocked_by(self, dependent: "Item") -> bool:
        return any(ref["uid"] == self.uid and ref.get("blockOwnerDeletion") for ref in dependent.owners)

    def is_owner_of(self, dependent: "Item", reference: Object) -> bool:
        """Do the coordinates of a reference lead to this object, too? A uid alone may be made up."""
        same_name = (self.api_version.rpartition("/")[0], self.kind, self.name) == (
            reference["apiVersion"].rpartition("/")[0],
            reference["kind"],
            reference["name"],
        )
        return same_name and self.namespace in ("", dependent.namespace)


def item_of(resource: str, api_version: str, kind: str, obj: Object) -> Item:
    metadata = obj["metadata"]
    return Item(
        resource=resource,
        api_version=api_version,
        kind=kind,
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata.get("resourceVersion") or "",
        owners=tuple(metadata.get("ownerReferences") or ()),
        finalizers=tuple(metadata.get("finalizers") or ()),
        is_deleting="deletionTimestamp" in metadata,
    )


class Graph:
    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._dependents: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, uid: str) -> Item | None:
        return self._items.get(uid)

    def dependents(self, uid: str) -> list[Item]:
        """Return the known dependents of an owner, known or not, in a fixed order."""
        found = [self._items[dependent] for dependent in self._dependents.get(uid, ())]
        return sorted(found, key=lambda item: (item.resource, item.namespace, item.name))

    def put(self, item: Item) -> set[str]:
        """An object is new or changed. Return which objects to look at."""
        old = self._items.get(item.uid)
        self._items[item.uid] = item
        if old is not None and old.owners == item.owners:
            worth: set[str] = set()
        else:
            worth = self._refile(old, item)
        if not self.is_settled(item):
            worth.add(item.uid)
        if item.orphans_dependents:
            worth.add(item.uid)
        if item.deletes_dependents:
            worth.add(item.uid)
            if old is None or not old.deletes_dependents:
                worth |= self._dependents.get(item.uid, set())
        return worth

    def remove(self, uid: str) -> set[str]:
        """An object is gone. Return which objects to look at: its dependents, and owners that waited for it."""
        item = self._items.pop(uid, None)
        if item is None:
            return set()
        for reference in item.owners:
            self._unfile(reference["uid"], uid)
        return self._dependents.get(uid, set()) | self._deleting_owners(item)

    def is_settled(self, item: Item) -> bool:
        """Are all owners of an object known, and none of them about to take it along?"""
        return not item.owners or all(self._holds(item, reference) for reference in item.owners)

    def unsettled(self) -> Iterator[str]:
        """Yield all objects that need a look, once every cache is filled."""
        for item in self._items.values():
            if item.is_deleting or not self.is_settled(item):
                yield item.uid

    def of_resource(self, resource: str) -> list[str]:
        return [item.uid for item in self._items.values() if item.resource == resource]

    def _holds(self, item: Item, reference: Object) -> bool:
        owner = self._items.get(reference["uid"])
        return owner is not None and owner.is_owner_of(item, reference) and not owner.deletes_dependents

    def _refile(self, old: Item | None, new: Item) -> set[str]:
        """File an object under its owners; return the owners that no longer have to wait for it."""
        for reference in old.owners if old is not None else ():
            self._unfile(reference["uid"], new.uid)
        for reference in new.owners:
            self._dependents.setdefault(reference["uid"], set()).add(new.uid)
        return self._deleting_owners(old) if old is not None else set()

    def _unfile(self, owner: str, uid: str) -> None:
        filed = self._dependents.get(owner)
        if filed is not None:
            filed.discard(uid)
            if not filed:
                del self._dependents[owner]

    def _deleting_owners(self, item: Item) -> set[str]:
        owners: Iterable[Item | None] = (self._items.get(reference["uid"]) for reference in item.owners)
        return {owner.uid for owner in owners if owner is not None and owner.is_deleting}

"""How the parts of a value are owned, and which of them a change takes or removes.

A `Granular` object's fields are owned one by one; an `Items` list is one of objects recognized by keys, or a set of
plain values, and its items are owned one by one; everything else is a leaf (None here), owned as a whole: scalars,
atomic lists and atomic objects. A field that nothing is known of is deduced: an object is granular, the rest a leaf.

`compare` returns the fields that the new value adds or modifies ("taken": both are owned by whoever wrote it) and the
fields that it lacks. It runs on every write, so that it looks only into what differs, and its tables are made once.

Neighbours: `kinds` makes types; `values` merges and removes by them; `tracking` compares.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Union

from actors.apiserver.machinery.apply import path_elements
from actors.apiserver.machinery.apply.field_set import EMPTY, MEMBER, SELF, Fields

Type = Union["Granular", "Items", None]
Change = tuple[Fields | None, Fields | None]  # (taken, removed) of a node; None: nothing

_ABSENT = object()


class Granular:
    """An object whose fields are owned one by one.

    `fields` are the named ones; `other` is the type of all others, where `is_open` allows them. Fields in `untracked`
    belong to the server or identify the object, and nobody owns them.
    """

    __slots__ = ("_elements", "fields", "is_open", "other", "untracked")

    def __init__(
        self,
        fields: Mapping[str, Type] | None = None,
        *,
        other: Type = None,
        is_open: bool = False,
        untracked: frozenset[str] = frozenset(),
    ) -> None:
        self.fields: dict[str, Type] = dict(fields or {})
        self.other = other
        self.is_open = is_open
        self.untracked = untracked
        self._elements: dict[str, tuple[str, Type]] = {}

    def at(self, name: str) -> tuple[str, Type]:
        """Return the path element and the type of a field."""
        found = self._elements.get(name)
        if found is None:
            found = (path_elements.FIELD + name, self.fields.get(name, self.other))
            if name in self.fields:  # free names are a client's choice and would fill the table
                self._elements[name] = found
        return found

    def added(self, value: Any) -> Fields:
        """Return the node of a value that is new: itself and all that is in it."""
        if type(value) is not dict or not value:
            return MEMBER
        found: Fields = {SELF: MEMBER}
        if not self.fields and self.other is None:
            for name in value:
                found["f:" + name] = MEMBER
            return found
        known = self._elements
        for name, part in value.items():
            element, inner = known.get(name) or self.at(name)
            found[element] = MEMBER if inner is None else inner.added(part)
        return found

    def created(self, blank: dict[str, Any], value: dict[str, Any]) -> Fields:
        """Return what `compare` takes of a new object against one in which nothing is set: most of all comparisons."""
        taken: Fields = {}
        untracked, known = self.untracked, self._elements
        for name, part in value.items():
            if name in untracked:
                continue
            element, inner = known.get(name) or self.at(name)
            before = blank.get(name, _ABSENT)
            if before is _ABSENT:
                taken[element] = MEMBER if inner is None else inner.added(part)
            elif before == part:
                continue
            elif inner is None:
                taken[element] = MEMBER
            elif type(inner) is Granular and type(part) is dict:
                if (node := inner.created(before, part)) is not EMPTY:
                    taken[element] = node
            elif (change := inner.compare(before, part)[0]) is not None:
                taken[element] = change
        return taken or EMPTY

    def compare(self, old: Any, new: Any) -> Change:
        """Compare two different values."""
        if type(old) is not dict or type(new) is not dict:
            return _replaced(self, old, new)
        taken: Fields = {}
        removed: Fields = {}
        untracked, known, before_of = self.untracked, self._elements, old.get
        for name, part in new.items():
            before = before_of(name, _ABSENT)
            if before is part or before == part or name in untracked:
                continue
            element, inner = known.get(name) or self.at(name)
            if inner is None:
                taken[element] = MEMBER
            elif before is _ABSENT:
                taken[element] = inner.added(part)
            else:
                _put(element, inner.compare(before, part), taken, removed)
        if not old.keys() <= new.keys():
            for name in old.keys() - new.keys() - untracked:
                element, inner = self.at(name)
                removed[element] = MEMBER if inner is None else inner.added(old[name])
        return taken or None, removed or None


class Items:
    """A list whose items are owned one by one: objects told apart by `keys`, or, without keys, a set of values.

    An item that occurs more than once (an applied configuration may not hold one; an object may) is owned as a whole.
    """

    __slots__ = ("defaults", "item", "keys")

    def __init__(self, item: Type, keys: tuple[str, ...] = (), defaults: dict[str, Any] | None = None) -> None:
        self.item = item
        self.keys = tuple(sorted(keys))
        self.defaults = {key: value for key, value in (defaults or {}).items() if key in keys}

    def element(self, item: Any) -> str:
        return path_elements.of_key(item, self.keys, self.defaults) if self.keys else path_elements.of_value(item)

    def elements(self, items: list) -> Iterator[tuple[str, Any]]:
        for item in items:
            yield self.element(item), item

    def grouped(self, items: list) -> dict[str, list]:
        """Return the items by element; more than one where it is repeated."""
        found: dict[str, list] = {}
        for element, item in self.elements(items):
            found.setdefault(element, []).append(item)
        return found

    def added(self, value: Any) -> Fields:
        if type(value) is not list or not value:
            return MEMBER
        found: Fields = {SELF: MEMBER}
        inner = self.item
        for item in value:
            element = self.element(item)
            found[element] = MEMBER if inner is None or element in found else inner.added(item)
        return found

    def compare(self, old: Any, new: Any) -> Change:
        if type(old) is not list or type(new) is not list:
            return _replaced(self, old, new)
        taken: Fields = {}
        removed: Fields = {}
        before, now = self.grouped(old), self.grouped(new)
        for element, items in now.items():
            _put(element, self._compare_item(before.get(element), items), taken, removed)
        for element in before.keys() - now.keys():
            removed[element] = self._whole(before[element])
        return taken or None, removed or None

    def _compare_item(self, old: list | None, new: list) -> Change:
        if old == new:
            return None, None
        if old is None:
            return self._whole(new), None
        if len(old) == len(new) == 1:
            return (MEMBER, None) if self.item is None else self.item.compare(old[0], new[0])
        if len(old) > 1 and len(new) > 1:
            return MEMBER, None
        return self._whole(new), self._whole(old)

    def _whole(self, items: list) -> Fields:
        return MEMBER if self.item is None or len(items) > 1 else self.item.added(items[0])


def _put(element: str, change: Change, taken: Fields, removed: Fields) -> None:
    if change[0] is not None:
        taken[element] = change[0]
    if change[1] is not None:
        removed[element] = change[1]


def _replaced(of: Granular | Items, old: Any, new: Any) -> Change:
    """The change of a value that was, or becomes, something else than its type says: null, mostly."""
    lost = {element: node for element, node in of.added(old).items() if element != SELF}
    return of.added(new), lost or None


DEDUCED = Granular(is_open=True)
DEDUCED.other = DEDUCED

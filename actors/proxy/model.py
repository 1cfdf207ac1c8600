"""The ruleset as plain values: what should be in the kernel, what was written there, and the difference.

Everything is an item with a name (no two kinds share one, each has prefixes of its own): a chain with its rules, a set
of remembered clients, an element of one of the fixed maps and sets. Each Service owns a fragment of items. Where two
Services claim the same item (an external address that both list, a pod that stands behind both) it exists once, and the
Service first by name has its way.

Neighbours: `render` makes fragments, `transaction` turns a difference into nft's text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Chain(NamedTuple):
    """Value: the rules, a tuple of str."""

    name: str


class AffinitySet(NamedTuple):
    """Value: the timeout in seconds after which a client is forgotten."""

    name: str


class Element(NamedTuple):
    """Value: the verdict in a map, "" in a set."""

    container: str
    key: str


Item = Chain | AffinitySet | Element
Value = tuple[str, ...] | int | str
Fragment = Mapping[Item, Value]


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to change; `added` and `changed` with their new values."""

    added: dict[Item, Value] = field(default_factory=dict)
    changed: dict[Item, Value] = field(default_factory=dict)
    removed: set[Item] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


class Ruleset:
    """Wanted and written items. `put` changes what is wanted; `written` tells that the kernel has it."""

    def __init__(self) -> None:
        self._fragments: dict[str, Fragment] = {}
        self._claims: dict[Item, dict[str, Value]] = {}
        self._written: dict[Item, Value] = {}
        self._touched: set[Item] = set()

    def __len__(self) -> int:
        return len(self._claims)

    @property
    def owners(self) -> list[str]:
        return list(self._fragments)

    def fragment(self, owner: str) -> Fragment:
        return self._fragments.get(owner, {})

    def put(self, owner: str, fragment: Fragment) -> None:
        """Replace what an owner wants; an empty fragment means that it wants nothing any more."""
        before = self._fragments.pop(owner, {})
        if fragment:
            self._fragments[owner] = fragment
        for item in before.keys() - fragment.keys():
            claims = self._claims[item]
            del claims[owner]
            if not claims:
                del self._claims[item]
            self._touched.add(item)
        for item, value in fragment.items():
            if before.get(item) != value:
                self._claims.setdefault(item, {})[owner] = value
                self._touched.add(item)

    def wanted(self) -> dict[Item, Value]:
        return {item: self._value(item) for item in self._claims}

    def difference(self) -> Difference:
        """Return what has to change for the kernel to have what is wanted."""
        difference = Difference()
        for item in self._touched:
            if item not in self._claims:
                if item in self._written:
                    difference.removed.add(item)
            elif item not in self._written:
                difference.added[item] = self._value(item)
            elif self._written[item] != self._value(item):
                difference.changed[item] = self._value(item)
        return difference

    def written(self, difference: Difference) -> None:
        """The kernel has taken a difference."""
        self._written |= difference.added
        self._written |= difference.changed
        for item in difference.removed:
            del self._written[item]
        self._touched = {item for item in self._touched if self._written.get(item) != self._wanted_or_none(item)}

    def forget_written(self) -> None:
        """Nothing is known of what the kernel has: the next difference is everything."""
        self._written.clear()
        self._touched = set(self._claims)

    def _wanted_or_none(self, item: Item) -> Value | None:
        return self._value(item) if item in self._claims else None

    def _value(self, item: Item) -> Value:
        claims = self._claims[item]
        return claims[min(claims)]

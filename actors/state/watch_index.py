"""Which watchers does a key concern? Answered in time that depends on the matches, not on the number of watchers.

Watchers of single keys sit in a dict by key. Watchers of prefixes, which is what an API server opens, sit in a dict by
prefix; a key is looked up under each length that some prefix has. All other ranges sit in an interval tree: an implicit
balanced one over an array sorted by start, each node holding the greatest end beneath it. It is built anew on the first
look-up after a change, because ranges come and go far less often than keys change.

Neighbours: `watch` keeps its watchers here.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from actors.state.store import TO_THE_END, Bounds, bounds_of

Member = TypeVar("Member", bound=Hashable)


def prefix_end(prefix: bytes) -> bytes:
    """Return the range_end that makes a range of all keys with a prefix, as etcd's clients compute it."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else TO_THE_END


class WatchIndex(Generic[Member]):
    """Members under the key, prefix or range that each was added with."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, set[Member]] = {}
        self._by_prefix: dict[bytes, set[Member]] = {}
        self._prefix_lengths: Counter[int] = Counter()
        self._by_range: dict[Bounds, set[Member]] = {}
        self._tree: _IntervalTree | None = None

    def add(self, key: bytes, range_end: bytes, member: Member) -> None:
        if not range_end:
            self._by_key.setdefault(key, set()).add(member)
        elif range_end == prefix_end(key):
            if key not in self._by_prefix:
                self._prefix_lengths[len(key)] += 1
            self._by_prefix.setdefault(key, set()).add(member)
        else:
            bounds = bounds_of(key, range_end)
            if bounds not in self._by_range:
                self._tree = None
            self._by_range.setdefault(bounds, set()).add(member)

    def remove(self, key: bytes, range_end: bytes, member: Member) -> None:
        if not range_end:
            _discard(self._by_key, key, member)
        elif range_end == prefix_end(key):
            if _discard(self._by_prefix, key, member):
                self._prefix_lengths[len(key)] -= 1
                if not self._prefix_lengths[len(key)]:
                    del self._prefix_lengths[len(key)]
        elif _discard(self._by_range, bounds_of(key, range_end), member):
            self._tree = None

    def matching(self, key: bytes) -> Iterator[Member]:
        """Return the members that a key concerns, each once."""
        yield from self._by_key.get(key, ())
        for length in self._prefix_lengths:
            if length <= len(key):
                yield from self._by_prefix.get(key[:length], ())
        if self._by_range:
            if self._tree is None:
                self._tree = _IntervalTree(list(self._by_range))
            for bounds in self._tree.containing(key):
                yield from self._by_range[bounds]


def _discard(sets: dict, place: Hashable, member: Hashable) -> bool:
    """Take a member out of the set at a place; return whether the set is gone with it."""
    sets[place].discard(member)
    if sets[place]:
        return False
    del sets[place]
    return True


class _IntervalTree:
    """Half-open intervals of bytes; which of them contain a key, in O(log n + found)."""

    def __init__(self, intervals: list[Bounds]):
        self._intervals = sorted(intervals, key=lambda bounds: bounds[0])
        # The greatest end beneath the middle of each stretch [low, high), by that middle; None is greater than all.
        self._greatest: list[bytes | None] = [b""] * len(intervals)
        self._measure(0, len(intervals))

    def _measure(self, low: int, high: int) -> bytes | None:
        if low >= high:
            return b""
        middle = (low + high) // 2
        ends = (self._intervals[middle][1], self._measure(low, middle), self._measure(middle + 1, high))
        greatest = None if None in ends else max(end for end in ends if end is not None)
        self._greatest[middle] = greatest
        return greatest

    def containing(self, key: bytes) -> Iterator[Bounds]:
        stretches = [(0, len(self._intervals))]
        while stretches:
            low, high = stretches.pop()
            if low >= high:
                continue
            middle = (low + high) // 2
            greatest = self._greatest[middle]
            if greatest is not None and greatest <= key:
                continue
            start, end = self._intervals[middle]
            stretches.append((low, middle))
            if start <= key:
                if end is None or key < end:
                    yield start, end
                stretches.append((middle + 1, high))

"""The log in memory: entries since the last compaction, which of them are on disk, and which are committed.

`offset` entries were compacted away; the last of them is remembered as (`offset`, `offset_term`). Invariant:
`applied <= commit <= last_index` and `stable <= last_index`.
"""

from operator import attrgetter

from actors.state.raft.records import Entry

ENTRY_BYTES = 512  # what applying an entry costs beside its data, so that many small ones are bounded too


SLICE_ENTRIES = 4_096  # that are looked at at once
_data = attrgetter("data")


def size_bytes(entries: list[Entry]) -> int:
    """Return the size of the entries' data."""
    return sum(map(len, map(_data, entries)))


def _within(entries: list[Entry], limit_bytes: int, entry_bytes: int) -> list[Entry]:
    """Return the entries that a limit leaves room for, each with so much on top of its data; at least one if any."""
    if size_bytes(entries) + entry_bytes * len(entries) <= limit_bytes:
        return entries
    total_bytes = 0
    for count, entry in enumerate(entries):
        total_bytes += len(entry.data) + entry_bytes
        if count and total_bytes > limit_bytes:
            return entries[:count]
    return entries


class Compacted(LookupError):
    """The wanted entries are gone; a snapshot must be sent instead."""


class Entries:
    def __init__(self, offset: int = 0, offset_term: int = 0, entries: list[Entry] | None = None):
        self.offset = offset
        self.offset_term = offset_term
        self._entries: list[Entry] = list(entries or ())
        self.stable = self.last_index
        self.commit = offset
        self.handed = offset  # the last entry that was handed out to be applied
        self.applied = offset

    @property
    def last_index(self) -> int:
        return self.offset + len(self._entries)

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self.offset_term

    def term(self, index: int) -> int | None:
        """Return the term of an entry; None when it is compacted or not there yet."""
        if index == self.offset:
            return self.offset_term
        if self.offset < index <= self.last_index:
            return self._entries[index - self.offset - 1].term
        return None

    def after(self, index: int, limit_bytes: int) -> list[Entry]:
        """Return entries after an index, at least one if there is one, up to so many bytes of data."""
        if index < self.offset:
            raise Compacted(index)
        first = index - self.offset
        return _within(self._entries[first : first + SLICE_ENTRIES], limit_bytes, 0)

    def between(self, after: int, to: int) -> list[Entry]:
        """Return the entries in (after, to]."""
        if after < self.offset:
            raise Compacted(after)
        return self._entries[after - self.offset : to - self.offset]

    def push(self, entry: Entry) -> None:
        """Put one entry behind all there are."""
        assert entry.index == self.offset + len(self._entries) + 1, f"{entry.index} does not follow the last entry"
        self._entries.append(entry)

    def append(self, entries: list[Entry]) -> None:
        """Put entries at the end, in place of whatever conflicts with them."""
        first = entries[0].index
        assert first > self.commit, f"entry {first} would replace a committed one"
        assert first <= self.last_index + 1, f"a gap between {self.last_index} and {first}"
        del self._entries[first - self.offset - 1 :]
        self._entries += entries
        self.stable = min(self.stable, first - 1)

    def first_conflict(self, entries: list[Entry]) -> Entry | None:
        """Return the first of these that the log does not hold."""
        for entry in entries:
            if self.term(entry.index) != entry.term:
                return entry
        return None

    def unstable(self, limit_bytes: int) -> list[Entry]:
        """Return what is not on disk yet, up to so many bytes of data."""
        return self.after(self.stable, limit_bytes) if self.stable < self.last_index else []

    def persisted(self, index: int, term: int) -> None:
        """Entries up to this one are on disk, unless it was replaced meanwhile."""
        if self.term(index) == term and index > self.stable:
            self.stable = index

    def commit_to(self, index: int) -> None:
        assert index <= self.last_index, f"commit {index} is past the last entry {self.last_index}"
        self.commit = max(self.commit, index)

    def take_committed(self, limit_bytes: int) -> list[Entry]:
        """Return what is committed and on disk here, and was not handed out before."""
        upto = min(self.commit, self.stable)
        if upto <= self.handed:
            return []
        found = _within(self.between(self.handed, min(upto, self.handed + SLICE_ENTRIES)), limit_bytes, ENTRY_BYTES)
        self.handed = found[-1].index
        return found

    def may_follow(self, last_index: int, last_term: int) -> bool:
        """Whether a log that ends so is at least as up to date as this one (paper, 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def last_of_term_upto(self, term: int, index: int) -> int:
        """Return the last index, at most `index`, whose entry has at most this term (paper, end of 5.3)."""
        index = min(index, self.last_index)
        while index > self.offset and (self.term(index) or 0) > term:
            index -= 1
        return index

    def compact(self, index: int) -> None:
        """Forget the entries up to an applied one."""
        assert index <= self.applied, f"entry {index} is not applied yet"
        if index <= self.offset:
            return
        term = self.term(index)
        assert term is not None
        del self._entries[: index - self.offset]
        self.offset, self.offset_term = index, term

    def cut(self, index: int) -> None:
        """Forget the entries after an index that is not committed yet, or is the last committed one."""
        assert index >= self.commit, f"entry {self.commit} is committed"
        del self._entries[index - self.offset :]

    def restore(self, index: int, term: int) -> None:
        """Begin anew after a snapshot."""
        self._entries.clear()
        self.offset, self.offset_term = index, term
        self.stable = self.commit = self.handed = self.applied = index

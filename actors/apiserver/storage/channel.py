"""All watches of one resource that see the same: same namespace, same selection, same representation.

A batch of changes is filtered and encoded once for a channel, and the same bytes go to every watcher of it. An object
that comes into a selection is ADDED to its watchers and one that leaves it is DELETED, whatever the write was.

Neighbours: `resource_cache` dispatches events to channels; `watcher` buffers.
"""

from collections.abc import Callable, Iterable

from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.event import ADDED, DELETED, MODIFIED, CacheEvent, line
from actors.apiserver.storage.selection import Selection
from actors.apiserver.storage.watcher import Watcher

Represent = Callable[[bytes], bytes]  # an object's bytes -> the bytes of it as this channel shows it


class Channel:
    """`prefix` is that of the keys it sees; `represent` None shows objects as they are stored."""

    __slots__ = ("identity", "prefix", "represent", "selection", "watchers")

    def __init__(self, identity: tuple, prefix: bytes, selection: Selection, represent: Represent | None) -> None:
        self.identity = identity
        self.prefix = prefix
        self.selection = selection
        self.represent = represent
        self.watchers: set[Watcher] = set()

    def sees(self, entry: Entry) -> bool:
        return entry.key.startswith(self.prefix) and self.selection.matches(entry)

    def lines_of(self, events: Iterable[CacheEvent]) -> list[bytes]:
        """Return a line for each change that this channel sees."""
        prefix, found = self.prefix, []
        for event in events:
            if not event.entry.key.startswith(prefix):
                continue
            kind = self._kind(event)
            if kind is None:
                continue
            data = event.line_as(kind)
            found.append(data if self.represent is None else self._represented(kind, data))
        return found

    def line_of_existing(self, entry: Entry) -> bytes:
        """The line that tells of an object that was there before the watch."""
        return line(ADDED, entry.body if self.represent is None else self.represent(entry.body))

    def push(self, events: Iterable[CacheEvent], overflow_line: bytes) -> None:
        lines = self.lines_of(events)
        if lines:
            data = lines[0] if len(lines) == 1 else b"".join(lines)
            for watcher in list(self.watchers):
                watcher.push(data, overflow_line)

    def _kind(self, event: CacheEvent) -> str | None:
        """What the change is to this channel; None: nothing."""
        selection = self.selection
        if selection.is_everything:
            return event.kind
        before = event.previous is not None and selection.matches(event.previous)
        after = event.kind != DELETED and selection.matches(event.entry)
        if before:
            return MODIFIED if after else DELETED
        return ADDED if after else None

    def _represented(self, kind: str, data: bytes) -> bytes:
        assert self.represent is not None
        start = len(line(kind, b"")) - 2
        return line(kind, self.represent(data[start:-2]))

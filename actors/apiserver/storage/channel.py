"""All watches of one resource that see the same: same namespace, same selection, same representation.

A batch of changes is filtered and encoded once for a channel, and the same bytes go to every watcher of it. An object
that comes into a selection is ADDED to its watchers and one that leaves it is DELETED, whatever the write was.

A channel with many watchers is paced: after it has told them something it lets some times as long pass as the telling
took, and then tells what came meanwhile at once. So however fast the writes, most of the time is left to them; and
requests have their turns in the midst of the telling. Watchers in no hurry (the caches of metadata, which follow every
resource) are paced however few they are: each is woken less.

Neighbours: `resource_cache` dispatches events to channels; `watcher` buffers.
"""

import asyncio
from collections.abc import Callable, Iterable

from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.event import ADDED, DELETED, MODIFIED, CacheEvent, line
from actors.apiserver.storage.selection import Selection
from actors.apiserver.storage.watcher import Watcher

PACED_WATCHERS = 16  # fewer are told of every batch at once: they cost next to nothing
PACE_S = 200e-6  # a watcher: some times what it costs to encrypt and send one chunk
MAX_PACE_S = 0.02  # what any watcher may be told late
TOLD_IN_A_TURN = 32  # watchers: a millisecond, for which a request may wait

Represent = Callable[[bytes], bytes]  # an object's bytes -> the bytes of it as this channel shows it


class Channel:
    """`prefix` is that of the keys it sees; `represent` None shows objects as they are stored."""

    __slots__ = (
        "_data", "_due", "_held", "_rest", "_timer", "identity", "prefix", "represent", "selection", "unhurried",
        "watchers",
    )  # fmt: skip

    def __init__(
        self,
        identity: tuple,
        prefix: bytes,
        selection: Selection,
        represent: Represent | None,
        *,
        unhurried: bool = False,
    ) -> None:
        self.identity = identity
        self.prefix = prefix
        self.selection = selection
        self.represent = represent
        self.unhurried = unhurried
        self.watchers: set[Watcher] = set()
        self._held: list[bytes] = []  # lines that wait for their time
        self._data = b""  # what is being told
        self._rest: list[Watcher] = []  # who has not been told it yet
        self._due = 0.0  # on the loop's clock: when the watchers may be told again
        self._timer: asyncio.TimerHandle | None = None

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
        """Tell the watchers, now or when it is time."""
        lines = self.lines_of(events)
        if not lines:
            return
        self._held += lines
        if not self._rest:
            self._tell_when_due(overflow_line)

    def flush(self, overflow_line: bytes) -> None:
        """Tell the watchers what is held back. Due before anything else goes to one of them, or one comes."""
        self._tell(len(self._rest), overflow_line)
        if self._held:
            self._begin()
            self._tell(len(self._rest), overflow_line)

    def _tell_when_due(self, overflow_line: bytes) -> None:
        if self._timer is not None:
            return
        if self._pace_s():
            loop = asyncio.get_running_loop()
            if loop.time() < self._due:
                self._timer = loop.call_at(self._due, self._tell_all, overflow_line)
                return
        self._tell_all(overflow_line)

    def _tell_all(self, overflow_line: bytes) -> None:
        """Tell everybody what is held back, some in each turn of the loop: requests have their turn in between."""
        self._begin()
        self._tell_some(overflow_line)

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, []
        self._data = held[0] if len(held) == 1 else b"".join(held)
        self._rest = list(self.watchers)

    def _tell_some(self, overflow_line: bytes) -> None:
        if not self._rest:
            return  # a flush was quicker
        self._tell(TOLD_IN_A_TURN, overflow_line)
        if self._rest:
            asyncio.get_running_loop().call_soon(self._tell_some, overflow_line)
        elif self._held:
            self._tell_when_due(overflow_line)

    def _tell(self, count: int, overflow_line: bytes) -> None:
        """Tell so many of the rest."""
        rest, data = self._rest, self._data
        if not rest:
            return
        self._rest = rest[count:]
        for watcher in rest[:count]:
            watcher.push(data, overflow_line)
        if not self._rest:
            self._data = b""
            pace_s = self._pace_s()
            if pace_s:
                self._due = asyncio.get_running_loop().time() + pace_s

    def _pace_s(self) -> float:
        """How long to tell nothing after something has been told; 0: everything is told at once."""
        if self.unhurried:
            return MAX_PACE_S
        count = len(self.watchers)
        return min(MAX_PACE_S, count * PACE_S) if count >= PACED_WATCHERS else 0.0

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

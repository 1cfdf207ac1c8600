"""All objects of one resource, in the order of their keys, and what changed of late.

Fed by `WatchCache` with every change in revision order. Readers get entries; watchers join a channel. The window of
recent changes lets a watch resume from a revision a little ago; its horizon moves as it is trimmed, and a resume from
before the horizon is refused (410 Expired), never answered with a gap.

Neighbours: `watch_cache` owns one of these per storage prefix; `verbs` read them.
"""

import asyncio
import operator
from collections import deque
from collections.abc import Iterable, Iterator

from sortedcontainers import SortedDict

from actors.apiserver.storage.channel import Channel, Represent
from actors.apiserver.storage.entry import Entry, Fields
from actors.apiserver.storage.event import ADDED, DELETED, MODIFIED, OVERFLOW_LINE, CacheEvent
from actors.apiserver.storage.selection import Selection
from actors.apiserver.storage.watcher import Watcher

WINDOW_EVENTS = 10_000  # remembered changes of one resource: enough for a client that was away for a moment
WINDOW_BYTES = 16 << 20  # and their bytes, for a resource with large objects keeps fewer
NAME_FIELD = "metadata.name"
TRIGGER_FIELDS = ("spec.nodeName", NAME_FIELD)  # a watch pinned to a value of one is only looked at for that value
_NO_CHANNELS: dict[tuple, Channel] = {}

changed_revision_of = operator.attrgetter("changed_revision")  # for those who ask many caches, for every request


class ResourceCache:
    """See the module. `horizon`: every change after this revision is in the window."""

    def __init__(self, prefix: bytes, fields: Fields) -> None:
        self.prefix = prefix
        self.fields = fields
        self.entries: SortedDict = SortedDict()  # key -> Entry
        self.horizon = 0
        self.changed_revision = 0
        self._window: deque[CacheEvent] = deque()
        self._window_bytes = 0
        self._pending: list[CacheEvent] = []
        self._expected: dict[bytes, list[asyncio.Future[None]]] = {}
        self._channels: dict[tuple, Channel] = {}
        self._broad: dict[tuple, Channel] = {}  # channels that look at every change
        self._pinned: dict[str, dict[str, dict[tuple, Channel]]] = {}  # field -> value -> channels

    def replace(self, entries: Iterable[Entry], revision: int) -> None:
        """Begin anew with these entries: the state as of `revision`."""
        self.entries.clear()
        self.entries.update({entry.key: entry for entry in entries})
        self._window.clear()
        self._window_bytes = 0
        self._pending.clear()
        self.horizon = self.changed_revision = revision

    def put(self, entry: Entry) -> CacheEvent:
        previous = self.entries.get(entry.key)
        event = CacheEvent(ADDED if previous is None else MODIFIED, entry, previous)
        self.entries[entry.key] = entry
        self._remember(event)
        if self._expected:
            for waiter in self._expected.pop(entry.key, ()):
                if not waiter.done():
                    waiter.set_result(None)
        return event

    def delete(self, key: bytes, revision: int) -> CacheEvent | None:
        """Forget a key; None when it was not there."""
        previous = self.entries.pop(key, None)
        if previous is None:
            return None
        event = CacheEvent(DELETED, previous.at(revision), previous)
        self._remember(event)
        return event

    def pending(self) -> list[CacheEvent]:
        """Return what was put and deleted since the last call."""
        events, self._pending = self._pending, []
        return events

    def publish(self, overflow_line: bytes) -> None:
        """Hand what was put and deleted since the last call to the watchers."""
        events = self.pending()
        if not self._channels:
            return
        for channel in list(self._broad.values()):
            channel.push(events, overflow_line)
        if self._pinned:
            self._publish_pinned(events, overflow_line)

    def within(self, prefix: bytes, after: bytes = b"") -> Iterator[Entry]:
        """Entries under a key prefix in order, from the key `after` (inclusive) on. Not safe over an await."""
        if prefix == self.prefix and not after:
            return map(self.entries.__getitem__, self.entries)
        return map(self.entries.__getitem__, self.entries.irange(max(prefix, after), prefix + b"\xff"))

    def count(self, prefix: bytes, after: bytes) -> int:
        """How many keys under a prefix there are from `after` (inclusive) on."""
        return self.entries.bisect_left(prefix + b"\xff") - self.entries.bisect_left(after)

    async def appears(self, key: bytes) -> Entry:
        """Return an entry once it is there; callers bound the wait."""
        while (entry := self.entries.get(key)) is None:
            waiter = asyncio.get_running_loop().create_future()
            self._expected.setdefault(key, []).append(waiter)
            try:
                await waiter
            finally:
                waiters = self._expected.get(key, [])
                if waiter in waiters:
                    waiters.remove(waiter)
                if not waiters:
                    self._expected.pop(key, None)
        return entry

    def since(self, revision: int) -> list[CacheEvent] | None:
        """Every change after a revision in order, or None when the window does not reach back that far."""
        if revision < self.horizon:
            return None
        found: list[CacheEvent] = []
        for event in reversed(self._window):
            if event.revision <= revision:
                break
            found.append(event)
        found.reverse()
        return found

    def window(self) -> list[CacheEvent]:
        """Return the changes that are remembered, in order."""
        return list(self._window)

    def adopt(self, events: Iterable[CacheEvent]) -> None:
        """Remember changes that led to what is there: a cache begun anew lets watches go on from before it began."""
        self._window.extend(events)
        self._window_bytes = sum(len(event.entry.body) for event in self._window)

    async def settled(self) -> None:
        """Return once all that the watch cache has seen is here. Raises ApiError."""

    async def shown(self, entry: Entry) -> Entry:
        """Return an entry that was read from the state as readers of this cache see it. Raises ApiError."""
        return entry

    def channel(
        self,
        prefix: bytes,
        selection: Selection,
        form: str,
        represent: Represent | None,
        *,
        unhurried: bool = False,
    ) -> Channel:
        """The channel of all watches that see the same; `form` names the representation."""
        identity = (prefix, selection.text, form, unhurried)
        found = self._channels.get(identity)
        return found or Channel(identity, prefix, selection, represent, unhurried=unhurried)

    def join(self, channel: Channel, watcher: Watcher) -> None:
        """Let a watcher have every change from now on: none that the channel still holds for the others."""
        channel.flush(OVERFLOW_LINE)
        if channel.identity not in self._channels:
            self._channels[channel.identity] = channel
            self._shelf(channel)[channel.identity] = channel
        channel.watchers.add(watcher)

    def leave(self, channel: Channel, watcher: Watcher) -> None:
        channel.watchers.discard(watcher)
        if channel.watchers or self._channels.get(channel.identity) is not channel:
            return
        del self._channels[channel.identity]
        self._shelf(channel).pop(channel.identity, None)
        pin = self._pin(channel)
        if pin is not None and not self._pinned[pin[0]].get(pin[1], True):
            del self._pinned[pin[0]][pin[1]]
            if not self._pinned[pin[0]]:
                del self._pinned[pin[0]]

    def flush(self, overflow_line: bytes) -> None:
        """Tell all watchers what is held back."""
        for channel in list(self._channels.values()):
            channel.flush(overflow_line)

    def watchers(self) -> list[Watcher]:
        return [watcher for channel in self._channels.values() for watcher in channel.watchers]

    @property
    def watcher_count(self) -> int:
        return sum(len(channel.watchers) for channel in self._channels.values())

    def _pin(self, channel: Channel) -> tuple[str, str] | None:
        pins = channel.selection.pins
        return next(((field, pins[field]) for field in TRIGGER_FIELDS if field in pins and field in self.fields), None)

    def _shelf(self, channel: Channel) -> dict[tuple, Channel]:
        pin = self._pin(channel)
        return self._broad if pin is None else self._pinned.setdefault(pin[0], {}).setdefault(pin[1], {})

    def _publish_pinned(self, events: list[CacheEvent], overflow_line: bytes) -> None:
        """Find, by the values of the trigger fields before and after each change, the channels that may see it."""
        wanted: dict[tuple, tuple[Channel, list[CacheEvent]]] = {}
        for field, of_value in self._pinned.items():
            for event in events:
                for value in self._values(event, field):
                    for identity, channel in of_value.get(value, _NO_CHANNELS).items():
                        wanted.setdefault(identity, (channel, []))[1].append(event)
        for channel, its in wanted.values():
            channel.push(its, overflow_line)

    def _values(self, event: CacheEvent, field: str) -> Iterable[str]:
        """What a trigger field was before and is after a change. A name is in the key, which needs no decoding."""
        if field == NAME_FIELD:
            return (event.entry.key.rpartition(b"/")[2].decode(),)
        entries = (event.entry, event.previous)
        return {entry.traits(self.fields)[1].get(field, "") for entry in entries if entry is not None}

    def _remember(self, event: CacheEvent) -> None:
        self._window.append(event)
        self._window_bytes += len(event.entry.body)
        self.changed_revision = event.revision
        self._pending.append(event)
        while len(self._window) > WINDOW_EVENTS or self._window_bytes > WINDOW_BYTES:
            old = self._window.popleft()
            self._window_bytes -= len(old.entry.body)
            self.horizon = old.revision

"""The stored objects of a custom resource: a ResourceCache that nobody reads, but that the caches of versions follow.

Neighbours: `extensions.versions` follows; `watch_cache` feeds it like any other.
"""

from collections.abc import Iterable

from actors.apiserver.storage.entry import Entry, Fields
from actors.apiserver.storage.event import CacheEvent
from actors.apiserver.storage.resource_cache import ResourceCache


class Follower(ResourceCache):
    """A cache made of another one."""

    def follow(self, events: Iterable[CacheEvent]) -> None:
        """Take over changes."""
        raise NotImplementedError

    def restart(self) -> None:
        """Take over everything anew."""
        raise NotImplementedError


class StoredCache(ResourceCache):
    def __init__(self, prefix: bytes, fields: Fields) -> None:
        super().__init__(prefix, fields)
        self.followers: list[Follower] = []

    def publish(self, overflow_line: bytes) -> None:
        events = self.pending()
        for follower in list(self.followers):
            follower.follow(events)

    def replace(self, entries: Iterable[Entry], revision: int) -> None:
        super().replace(entries, revision)
        for follower in list(self.followers):
            follower.restart()

"""What a key's caches must show before it is worth reconciling again.

A write is answered before the watch delivers it, so a reconcile that runs in between would see the world as it was and
write once more: two Pods for one. client-go counts creations and deletions; Kubus knows each object by name, so a key
waits for that very object. An update is awaited by its resourceVersion, which saves a write that could only conflict.

Pure: the shell calls `expect_*` around its writes, `observe` for each change of a cache, and `pending` before a
reconcile. `expires` is in seconds of the monotonic clock that `pending` is asked with: an expectation that nothing
meets (the object came and went within a gap of the watch) is given up then.

Neighbours: `execute` expects, `controller` observes and asks.
"""

import enum
from dataclasses import dataclass
from typing import Any

# client-go waits five minutes. Here an expectation names one object, and a relist settles it, so that expiry is only
# the last resort; a minute bounds the standstill of one key.
EXPECTATION_TIMEOUT_S = 60.0

# For a write that may or may not have happened: longer than the API server needs to restart and an informer to resume.
UNKNOWN_OUTCOME_TIMEOUT_S = 5.0

Object = dict[str, Any]
Item = tuple[str, str]  # (resource, "namespace/name")


class _Kind(enum.Enum):
    CREATION = enum.auto()  # the object shows up
    DELETION = enum.auto()  # the object is gone, or going
    REVISION = enum.auto()  # the object is at least as new as this
    CHANGE = enum.auto()  # the object is another than this


@dataclass(frozen=True, slots=True)
class _Expectation:
    kind: _Kind
    expires: float
    uid: str = ""
    version: str = ""

    def met_by(self, new: Object | None) -> bool:
        if new is None or self.kind is _Kind.CREATION:
            return True
        metadata = new["metadata"]
        if self.uid and metadata.get("uid") != self.uid:
            return True
        match self.kind:
            case _Kind.DELETION:
                return "deletionTimestamp" in metadata
            case _Kind.CHANGE:
                return metadata.get("resourceVersion") != self.version
        return _revision(metadata.get("resourceVersion")) >= _revision(self.version)


def _revision(version: str | None) -> int:
    """Return a resourceVersion as the store's revision, so that two can be compared."""
    return int(version) if version and version.isdigit() else 0


class Expectations:
    """Of one controller: which of its keys wait for which objects."""

    def __init__(self) -> None:
        self._by_key: dict[str, dict[Item, _Expectation]] = {}
        self._waiting: dict[Item, set[str]] = {}

    def expect_creation(self, key: str, resource: str, name: str, expires: float) -> None:
        self._expect(key, (resource, name), _Expectation(_Kind.CREATION, expires))

    def expect_deletion(self, key: str, resource: str, name: str, uid: str, expires: float) -> None:
        self._expect(key, (resource, name), _Expectation(_Kind.DELETION, expires, uid))

    def expect_revision(
        self, key: str, resource: str, name: str, written: Object, shown: Object, expires: float
    ) -> None:
        """The cache, which shows `shown`, shall show at least what was `written`."""
        self._expect_of(_Kind.REVISION, key, (resource, name), written, shown, expires)

    def expect_change(self, key: str, resource: str, name: str, stale: Object, shown: Object, expires: float) -> None:
        """The cache, which shows `shown`, shall show something newer than `stale`."""
        self._expect_of(_Kind.CHANGE, key, (resource, name), stale, shown, expires)

    def cancel(self, key: str, resource: str, name: str) -> None:
        """The write was refused: there is nothing to wait for."""
        self._drop(key, (resource, name))

    def observe(self, resource: str, name: str, new: Object | None) -> set[str]:
        """A cache shows `new` (None: nothing) under this name. Return the keys that wait for nothing any more."""
        item = (resource, name)
        waiting = self._waiting.get(item)
        if not waiting:
            return set()
        met = {key for key in waiting if self._by_key[key][item].met_by(new)}
        for key in met:
            self._drop(key, item)
        return {key for key in met if key not in self._by_key}

    def pending(self, key: str, now: float) -> float:
        """Return how many seconds to wait at most before reconciling the key: 0 when nothing is awaited."""
        expectations = self._by_key.get(key, {})
        for item in [item for item, expectation in expectations.items() if expectation.expires <= now]:
            self._drop(key, item)
        return max((expectation.expires - now for expectation in expectations.values()), default=0.0)

    def __len__(self) -> int:
        return sum(len(expectations) for expectations in self._by_key.values())

    def _expect_of(self, kind: _Kind, key: str, item: Item, wanted: Object, shown: Object, expires: float) -> None:
        metadata = wanted["metadata"]
        version = metadata.get("resourceVersion", "")
        expectation = _Expectation(kind, expires, metadata.get("uid", ""), version)
        if not expectation.met_by(shown):
            self._expect(key, item, expectation)

    def _expect(self, key: str, item: Item, expectation: _Expectation) -> None:
        self._by_key.setdefault(key, {})[item] = expectation
        self._waiting.setdefault(item, set()).add(key)

    def _drop(self, key: str, item: Item) -> None:
        expectations = self._by_key.get(key)
        if expectations is None or expectations.pop(item, None) is None:
            return
        if not expectations:
            del self._by_key[key]
        waiting = self._waiting[item]
        waiting.discard(key)
        if not waiting:
            del self._waiting[item]

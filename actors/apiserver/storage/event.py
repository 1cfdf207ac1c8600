"""A change as watchers see it: a line of JSON, made once however many watch.

Neighbours: `resource_cache` makes events out of the state actor's; `channel` sends their lines.
"""

import msgspec
import orjson

from actors.api import errors
from actors.apiserver.storage.entry import Entry, stamp_bytes

ADDED = "ADDED"
MODIFIED = "MODIFIED"
DELETED = "DELETED"
BOOKMARK = "BOOKMARK"
ERROR = "ERROR"

_HEAD = {kind: b'{"type":"%b","object":' % kind.encode() for kind in (ADDED, MODIFIED, DELETED, BOOKMARK, ERROR)}
_TAIL = b"}\n"
_FELL_BEHIND = orjson.dumps(errors.gone("the watch fell too far behind and was closed").status())
OVERFLOW_LINE = b"%b%b%b" % (_HEAD[ERROR], _FELL_BEHIND, _TAIL)  # the last that a watcher reads that did not keep up


def line(kind: str, obj: bytes) -> bytes:
    """The line of a watch stream for an object's bytes."""
    return b"%b%b%b" % (_HEAD[kind], obj, _TAIL)


class CacheEvent(msgspec.Struct, gc=False, eq=False):
    """What happened to one key at one revision. `entry` of a deletion is the last state, stamped with its revision."""

    kind: str
    entry: Entry
    previous: Entry | None
    _line: bytes | None = None

    @property
    def revision(self) -> int:
        return self.entry.revision

    def line(self) -> bytes:
        """The line for a watcher that sees every object."""
        if self._line is None:
            self._line = line(self.kind, self.entry.body)
        return self._line

    def line_as(self, kind: str) -> bytes:
        """The line for a watcher to whom the change is another one: the object came into its selection, or left it."""
        if kind == self.kind:
            return self.line()
        if kind == DELETED:
            assert self.previous is not None, "an object cannot leave a selection in which it never was"
            return line(DELETED, stamp_bytes(self.previous.body, self.revision))
        return line(kind, self.entry.body)

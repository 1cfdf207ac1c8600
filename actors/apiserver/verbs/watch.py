"""watch: what was there, then every change, until the client, the time or the server ends it.

    resourceVersion=N              changes after N; 410 when the cache does not reach back that far
    resourceVersion=0 or absent    the objects that are there as ADDED, then changes
    sendInitialEvents=true         the same, at least as new as resourceVersion, closed by a BOOKMARK that says so

The start is taken and the channel joined without an await in between, so nothing is missed or told twice. Existing
objects are encoded a few at a time, while changes wait in the watcher's buffer.

Neighbours: `storage.channel` and `storage.watcher` carry the changes; `bookmarks` are sent by the actor's timer.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator

import orjson

from actors.api import errors
from actors.apiserver.call import ApiCall, StreamAnswer
from actors.apiserver.integers import whole
from actors.apiserver.machinery.field import forbidden, not_supported
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.negotiation import negotiate
from actors.apiserver.reads import parse_version, reach, settle
from actors.apiserver.representation import Representation
from actors.apiserver.request_info import RequestInfo, is_true
from actors.apiserver.server import Server
from actors.apiserver.storage.channel import Channel
from actors.apiserver.storage.event import ERROR, line
from actors.apiserver.storage.selection import parse
from actors.apiserver.storage.watch_cache import bookmark_line
from actors.apiserver.storage.watcher import Watcher
from actors.apiserver.verbs.list import MATCH, NOT_OLDER_THAN, prefix_of
from actors.apiserver.verbs.write_options import invalid_options

MIN_TIMEOUT_S = (
    1800  # of a watch whose client gave no timeoutSeconds: up to twice this, chosen at random, as Kubernetes
)
BOOKMARK_PERIOD_S = 60.0
FIRST_CHUNK_ENTRIES = 256  # existing objects encoded before other work gets its turn
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


async def watch(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> StreamAnswer:
    query = info.query
    shown = Representation(resource, negotiate(call.accept), query, server.clock)
    selection = parse(resource, query, server.cache.of(resource).fields)
    initial = _initial_events(info)
    version = query.get("resourceVersion", "")
    timeout_s = _timeout_s(query.get("timeoutSeconds", ""))
    bookmarks = is_true(query.get("allowWatchBookmarks"))
    if version in ("", "0") or initial:
        await settle(server, version, resource)
    else:
        await reach(server, parse_version(version), resource)
    channel = server.cache.of(resource).channel(
        prefix_of(resource, info.namespace), selection, shown.name, shown.of_events, unhurried=call.unhurried
    )
    start: _Existing | _Changes
    if initial or (version in ("", "0") and initial is not False):
        start = _Existing(server, resource, channel, closing=initial is True and bookmarks)
    else:
        start = _Changes(server, resource, channel, int(version or server.cache.revision))
    watcher = Watcher(lambda closed: server.cache.of(resource).leave(channel, closed))
    if bookmarks:
        watcher.bookmark_due = server.clock.monotonic() + BOOKMARK_PERIOD_S
        watcher.bookmark = lambda revision: bookmark_line(resource, revision)
    if not start.error:
        server.cache.of(resource).join(channel, watcher)
    return StreamAnswer(
        _chunks(start, watcher, timeout_s), shown.content_type, on_close=watcher.close, push_to=watcher.set_sink
    )


class _Existing:
    """The start of a watch that begins with the objects that are there."""

    error = b""

    def __init__(self, server: Server, resource: Resource, channel: Channel, closing: bool) -> None:
        self._channel = channel
        self._entries = list(server.cache.of(resource).within(channel.prefix))
        self._end = bookmark_line(resource, server.cache.revision, INITIAL_EVENTS_END) if closing else b""

    def chunks(self) -> Iterator[bytes]:
        channel, entries = self._channel, self._entries
        for first in range(0, len(entries), FIRST_CHUNK_ENTRIES):
            some = entries[first : first + FIRST_CHUNK_ENTRIES]
            lines = [channel.line_of_existing(entry) for entry in some if channel.selection.matches(entry)]
            if lines:
                yield b"".join(lines)
        if self._end:
            yield self._end


class _Changes:
    """The start of a watch that goes on from a revision."""

    def __init__(self, server: Server, resource: Resource, channel: Channel, revision: int) -> None:
        events = server.cache.of(resource).since(revision)
        self.error = b""
        self._lines: list[bytes] = []
        if events is None:
            oldest = server.cache.of(resource).horizon
            status = errors.gone(f"too old resource version: {revision} ({oldest})").status()
            self.error = line(ERROR, orjson.dumps(status))
        else:
            self._lines = channel.lines_of(events)

    def chunks(self) -> Iterator[bytes]:
        if self._lines:
            yield b"".join(self._lines)


async def _chunks(start: _Existing | _Changes, watcher: Watcher, timeout_s: float) -> AsyncGenerator[bytes, None]:
    timer = asyncio.get_running_loop().call_later(timeout_s, watcher.close)
    try:
        if start.error:
            yield start.error
            return
        for chunk in start.chunks():
            yield chunk
        while True:
            data = watcher.take()
            if data:
                yield data
            elif watcher.closed:
                return
            else:
                await watcher.ready()
    finally:
        timer.cancel()
        watcher.close()


def _initial_events(info: RequestInfo) -> bool | None:
    """Read sendInitialEvents: True, False, or None when it is absent. Invalid for what Kubernetes forbids."""
    given, match = info.query.get("sendInitialEvents"), info.query.get(MATCH, "")
    causes = []
    if given is not None and match != NOT_OLDER_THAN:
        detail = f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER_THAN}"
        causes.append(forbidden(MATCH, detail))
    if match and given is None:
        detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(forbidden(MATCH, detail))
    if match not in ("", NOT_OLDER_THAN):
        causes.append(not_supported(MATCH, match, [NOT_OLDER_THAN]))
    if match and info.query.get("continue"):
        causes.append(forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"))
    if causes:
        raise invalid_options(info, *causes)
    return None if given is None else is_true(given)


def _timeout_s(text: str) -> float:
    seconds = whole("timeoutSeconds", text) or 0
    return float(seconds) if seconds > 0 else MIN_TIMEOUT_S * (1 + random.random())

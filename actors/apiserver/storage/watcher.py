"""One watch: a bounded buffer of bytes between the cache and a connection.

The cache pushes, the connection takes. A connection that does not keep up loses its watch, with an error line that says
so, before the buffer grows beyond its limit; the client then lists and watches again, as Kubernetes' clients do.

Neighbours: `channel` pushes what changed; `verbs.watch` makes watchers and streams what they take.
"""

import asyncio
from collections.abc import Callable

MAX_BUFFER_BYTES = 8 << 20  # a watcher further behind than this is dropped: a fresh list costs the client less


class Watcher:
    """The receiving end. Single-threaded: pushed to by the cache, read by one task."""

    __slots__ = ("_buffer", "_size", "_waiter", "bookmark", "bookmark_due", "closed", "last_words", "on_close", "sink")

    def __init__(self, on_close: Callable[["Watcher"], None]) -> None:
        self._buffer: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False
        self.last_words = b""  # an ERROR line, sent after what is still buffered
        self.bookmark: Callable[[int], bytes] | None = None  # makes the BOOKMARK line of a revision; None: none wanted
        self.bookmark_due = 0.0  # on the monotonic clock
        self.on_close = on_close
        self.sink: Callable[[bytes], bool] | None = None  # writes at once, or says that it cannot now

    def push(self, data: bytes, overflow_line: bytes = b"") -> None:
        """Hand lines on at once if the reader waits for nothing else; else buffer them, up to the limit."""
        if self.closed:
            return
        waiter = self._waiter
        if self.sink is not None and waiter is not None and not waiter.done() and self.sink(data):
            return
        self._size += len(data)
        if self._size > MAX_BUFFER_BYTES:
            self._buffer.clear()
            self.close(overflow_line)
            return
        self._buffer.append(data)
        self._wake()

    def set_sink(self, sink: Callable[[bytes], bool]) -> None:
        self.sink = sink

    def close(self, last_words: bytes = b"") -> None:
        """End the watch after what is buffered; idempotent."""
        if self.closed:
            return
        self.closed = True
        self.last_words = last_words
        self.on_close(self)
        self._wake()

    def take(self) -> bytes:
        """Return all that is buffered; empty when there is nothing."""
        buffer = self._buffer
        if not buffer:
            words, self.last_words = self.last_words, b""
            return words
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        self._size = 0
        return data

    async def ready(self) -> None:
        """Wait until there is something to take or the watch has closed."""
        if self._buffer or self.closed:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

"""HTTP/1.1 on one TLS connection: httptools parses, one answer at a time is written, and everything is bounded.

Written for the API server's hot path: a connection has one task for all its requests, an answer costs one write.
Requests that are pipelined wait their turn while reading is paused. The client certificate is read once a connection.

What can go wrong: a peer that sends no HTTP gets 400 and loses its connection; so does, silently, one whose request
does not arrive in time or who takes no answers for too long. A peer that goes away ends its watches; other requests run
to their end, for a write may have begun.

Neighbours: `https_server` accepts and sweeps, `tls_transport` carries bytes, `http_front` makes calls of requests and
answers of calls.
"""

import asyncio
from collections import deque
from typing import Protocol, cast

import httptools

from actors.apiserver.auth import x509
from actors.apiserver.call import MAX_BODY_BYTES, Answer, Identity, LongAnswer
from actors.apiserver.http_bytes import (
    CLOSE,
    COMMON,
    CONTINUE,
    MALFORMED,
    STATUS_LINES,
    TOO_LARGE_HEAD,
    chunk,
    chunk_for_many,
)
from actors.apiserver.http_request import Request
from actors.apiserver.streams.wire import Wire

MAX_HEAD_BYTES = 64 << 10  # of one request's line and headers; Go's default is 1 MB, no client of ours needs more
MAX_PIPELINED = 16  # requests of a connection that wait; reading has been paused long before
PAUSE_PIPELINED = 2  # requests that wait; one may come on the heels of the answer before it
ARRIVAL_S = 60.0  # for a whole request to arrive
STALLED_READER_S = 60.0  # for a reader to take what was written
IDLE_S = 120.0  # a connection may stay without a request
SPLIT_BYTES = 32 << 10  # a body this large is written by itself: cheaper than one more copy


class Front(Protocol):
    """Who answers what a connection asks."""

    async def serve(self, connection: "Connection", request: Request) -> None:
        """Answer one request."""

    def failed(self, error: BaseException) -> None:
        """Hear that a connection's own machinery broke."""


class Connection(asyncio.Protocol):
    def __init__(self, front: Front, connections: "set[Connection]", tasks: "set[asyncio.Task[None]]") -> None:
        self._front = front
        self._connections = connections
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Request] = deque()
        self._request: Request | None = None  # that is arriving
        self._answering: Request | None = None
        self._worker: asyncio.Task[None] | None = None  # that answers, from the first request on
        self._wake: asyncio.Future[None] | None = None  # while the worker has nothing to do
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._expects_continue = False
        self._drained: asyncio.Future[None] | None = None  # while the peer takes too little
        self._paused = False
        self._chunked = True
        self._wire: Wire | None = None  # who has the bytes after HTTP has ended
        self._early: bytes | None = None  # what came after a request to upgrade, before its answer
        self.closing = False  # after the present answer
        self.is_streaming = False
        self.identity: Identity | None = None
        self.authorization = b""  # of the last request, and the token in it: on a connection it is mostly the same
        self.token: str | None = None
        self.source = ""  # the peer's address
        self.since = self._loop.time()  # of what the connection is in the midst of: idle, or a request's arrival

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._connections.add(self)
        peer = transport.get_extra_info("peername")
        self.source = peer[0] if isinstance(peer, tuple) else ""
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.identity = x509.identity(tls.getpeercert(), tls.getpeercert(binary_form=True))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._waiting.clear()
        self.closing = True
        self.resume_writing()
        if self._wire is not None:
            self._wire.end()
        if self._worker is not None and (self.is_streaming or self._answering is None):
            self._worker.cancel()

    def data_received(self, data: bytes) -> None:
        if self._wire is not None:
            self._wire.feed(data)
            return
        if self._early is not None:
            self._wait_with(self._early + data)
            return
        if self.closing and self._answering is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._wait_with(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(MALFORMED)

    def _wait_with(self, early: bytes) -> None:
        """Keep what came after a request to upgrade until it has been answered."""
        self._early = early
        if early and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if len(early) > MAX_HEAD_BYTES:
            self.abort()

    def pause_writing(self) -> None:
        if self._drained is None:
            self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def shut_down(self) -> None:
        """Close, after the answer that is being worked on if there is one."""
        self.closing = True
        if self._answering is None:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_overdue(self, now: float) -> bool:
        """Has the peer been idle, or a request been arriving, for too long?"""
        if self._answering is not None:
            return False
        return now - self.since > (ARRIVAL_S if self._request is not None else IDLE_S)

    @property
    def is_lost(self) -> bool:
        return self._transport.is_closing()

    def _refuse(self, answer: bytes) -> None:
        """Tell a peer that speaks no HTTP so, and hang up."""
        self.closing = True
        if self._answering is None:
            self._transport.write(answer)
        self._transport.close()

    # A request arrives

    def on_message_begin(self) -> None:
        self._request = Request()
        self._head_bytes = 0
        self._body = []
        self._body_bytes = 0
        self._expects_continue = False
        self.since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        request = self._request
        assert request is not None, "a request has begun"
        request.url += url
        self._head_bytes += len(url)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._request
        if request is None:
            return
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
            return
        name = name.lower()
        if name == b"authorization":
            request.authorization = value
        elif name == b"content-type":
            request.content_type = value.decode("latin-1")
        elif name == b"accept":
            given = value.decode("latin-1")
            request.accept = f"{request.accept},{given}" if request.accept else given
        elif name == b"user-agent":
            request.user_agent = value.decode("latin-1")
        elif name == b"expect":
            self._expects_continue = value.lower() == b"100-continue"
        elif name.startswith(b"impersonate-"):
            request.impersonation.append((name, value))
        else:
            request.others.append((name, value))

    def on_headers_complete(self) -> None:
        if self._expects_continue and self._answering is None:
            self._transport.write(CONTINUE)

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes <= MAX_BODY_BYTES:
            self._body.append(data)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        request, parser = self._request, self._parser
        if request is None:
            return
        self._request = None
        request.method = parser.get_method().decode("ascii")
        request.version = parser.get_http_version()
        request.keep_alive = parser.should_keep_alive()
        request.upgrades = parser.should_upgrade()
        if self._body_bytes > MAX_BODY_BYTES:
            request.body = None
        elif self._body:
            request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        if self._answering is None:
            self._begin(request)
        else:
            self._waiting.append(request)
            if len(self._waiting) >= PAUSE_PIPELINED and not self._paused:
                self._paused = True
                self._transport.pause_reading()
            if len(self._waiting) > MAX_PIPELINED:
                self.abort()

    def _refuse_head(self) -> None:
        self._request = None
        self._refuse(TOO_LARGE_HEAD)

    # A request is answered

    @property
    def worker(self) -> "asyncio.Task[None] | None":
        """The task in which requests are answered."""
        return self._worker

    def _begin(self, request: Request) -> None:
        self._take(request)
        if self._worker is None:
            self._worker = self._loop.create_task(self._work())
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        self._tasks.add(self._worker)

    def _take(self, request: Request) -> None:
        self._answering = request
        self._chunked = request.version != "1.0"
        if not request.keep_alive or not self._chunked or request.upgrades:
            self.closing = True  # after an upgrade that is refused, too: what follows it was not read as HTTP

    async def _work(self) -> None:
        """Answer one request after the other, until the connection ends."""
        worker = self._worker
        assert worker is not None, "this is it"
        try:
            while self._answering is not None:
                await self._front.serve(self, self._answering)
                self._answering = None
                if not self._goes_on():
                    self._tasks.discard(worker)
                    self._wake = self._loop.create_future()
                    await self._wake
        except Exception as error:  # noqa: BLE001 - a bug of ours: this connection ends, and not the API
            self._transport.abort()
            self._front.failed(error)
        finally:
            self._answering = None
            self._tasks.discard(worker)

    def _goes_on(self) -> bool:
        """After an answer: close, take the next request, or read on; return whether the worker need not wait."""
        self.since = self._loop.time()
        if self.closing:
            self._transport.close()
            return True
        if self._waiting:
            self._take(self._waiting.popleft())
            return True
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return False

    def write_answer(self, answer: Answer, headers: bytes, *, is_head: bool) -> None:
        """Write a whole answer; `headers` are those beyond the usual ones, each with its line end."""
        transport, body = self._transport, b"" if is_head else answer.body
        if transport.is_closing():
            return
        head = self._head_of(answer, headers)
        if not body:
            transport.write(head)
        elif len(body) < SPLIT_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)

    async def write_long_answer(self, answer: LongAnswer, headers: bytes) -> None:
        """Write an answer piece by piece, each when there is room for it; in between others have their turn."""
        if await self._has_room():
            self._transport.write(self._head_of(answer, headers))
        for piece in answer.pieces():
            if not await self._has_room():
                return
            self._transport.write(piece)
            await asyncio.sleep(0)

    def _head_of(self, answer: Answer, headers: bytes) -> bytes:
        return b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n" % (
            STATUS_LINES[answer.status],
            b"" if b"cache-control:" in headers else COMMON,
            answer.content_type.encode("latin-1"),
            answer.size_bytes,
            headers,
            CLOSE if self.closing else b"",
        )

    def take_over(self, headers: bytes) -> Wire:
        """Write the 101 with these header lines; from then on the wire has the connection's bytes."""
        self.is_streaming = True
        wire = self._wire = Wire(self._transport, lambda: self._drained)
        if not self._transport.is_closing():
            self._transport.write(b"%b%b\r\n" % (STATUS_LINES[101], headers))
        if self._early:
            wire.feed(self._early)
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return wire

    def begin_stream(self, status: int, content_type: str, headers: bytes = b"") -> None:
        """Write the head of an answer of unknown length."""
        self.is_streaming = True
        if not self._transport.is_closing():
            self._transport.write(
                b"%b%bcontent-type: %b\r\n%b%b%b\r\n"
                % (
                    STATUS_LINES[status],
                    COMMON,
                    content_type.encode("latin-1"),
                    b"transfer-encoding: chunked\r\n" if self._chunked else b"",
                    headers,
                    CLOSE if self.closing else b"",
                )
            )

    def push_chunk(self, data: bytes) -> bool:
        """Write a piece of a stream unless the peer takes too little, or is gone; return whether it was written."""
        if self._drained is not None or self._transport.is_closing():
            return False
        self._transport.write(chunk_for_many(data) if self._chunked else data)
        return True

    async def write_chunk(self, data: bytes) -> None:
        """Write a piece of a stream; wait while the peer takes too little."""
        if await self._has_room() and data:
            self._transport.write(chunk(data) if self._chunked else data)

    async def _has_room(self) -> bool:
        """Wait while the peer takes too little; one that stalls is cut off. False when it is gone."""
        drained = self._drained
        if drained is not None:
            try:
                async with asyncio.timeout(STALLED_READER_S):
                    await drained
            except TimeoutError:
                self._transport.abort()
        return not self._transport.is_closing()

    def end_stream(self, *, whole: bool) -> None:
        """Write the end of a stream; one that is not whole is cut off, which the peer notices."""
        self.is_streaming = False
        if self._transport.is_closing():
            return
        if not whole or not self._chunked:
            self._transport.close()
        else:
            self._transport.write(b"0\r\n\r\n")

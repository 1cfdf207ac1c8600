"""The asking side of request/reply: deadlines, several endpoints for one service, retries where they are safe.

With several endpoints the one that answered last is asked first (the zguide's Freelance pattern); one that can't be
reached is passed over. A request that was sent and not answered is repeated only when the caller says `retry=True`, and
then under the same message id (Lazy Pirate). After `DeadlineExceeded`, and after `Unavailable` of a sent request, a
write's outcome is unknown.

Neighbours: `connection` is one endpoint; `blocking` wraps this client for code without a loop.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bus import frames
from bus.connection import Connection, Told
from bus.errors import BusError, DeadlineExceeded, Overloaded, ProtocolViolation, Refused, Unavailable
from bus.frames import Kind
from bus.input_out import InputOut
from bus.record import Record, Request, decode, encode
from bus.stream_in import WINDOW_BYTES, InStream, Records
from bus.transport import ZMQ, Transport

CONNECT_SHARE = 0.5  # of the time left may pass before the next endpoint is tried
ATTEMPT_SHARE = 0.5  # of the time left may pass in one attempt when there will be another
ATTEMPTS = 6  # of one request with retry, over all endpoints
PAUSE_S = 0.02  # before an attempt that follows a failed one; doubles

Endpoints = str | Sequence[str]
OnReply = Callable[[Any, BusError | None], None]  # (reply record, None) or (None, what went wrong)


class Client:
    """Asks servers on behalf of one actor, whose name every request carries."""

    def __init__(self, sender: str, transport: Transport = ZMQ):
        self.sender = sender
        self._transport = transport
        self._connections: dict[str, Connection] = {}
        self._last_good: dict[tuple[str, ...], str] = {}

    async def request(
        self,
        endpoints: Endpoints,
        request: Request,
        *,
        timeout_s: float = 5.0,
        cause: str = "",
        retry: bool = False,
        message_id: str = "",
    ) -> Any:
        """Return the reply record. Raises the peer's error, Unavailable, Overloaded or DeadlineExceeded."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        candidates = self._in_order(endpoints)
        message_id = message_id or frames.new_id()
        body = encode(request)
        attempts = ATTEMPTS if retry else len(candidates)
        for attempt in range(attempts):
            endpoint = candidates[attempt % len(candidates)]
            last = attempt + 1 == attempts
            left_s = deadline - loop.time()
            sent = False
            try:
                connection = self._connection(endpoint)
                if not connection.is_up:
                    await connection.wait_up(left_s if last else left_s * CONNECT_SHARE)
                    left_s = deadline - loop.time()
                sent = True
                attempt_s = left_s if last or not retry else left_s * ATTEMPT_SHARE
                answer = await self._ask(connection, message_id, request, body, cause, attempt_s)
            except (Unavailable, DeadlineExceeded, Overloaded):
                if last or (sent and not retry) or deadline - loop.time() <= PAUSE_S:
                    raise
                await asyncio.sleep(min(PAUSE_S * 2**attempt, deadline - loop.time()))
            else:
                self._remember(endpoints, endpoint)
                return decode(answer, request.reply)
        raise Unavailable("no endpoint was given")

    def tell(
        self, endpoint: str, request: Request, on_reply: OnReply, *, timeout_s: float, message_id: str = ""
    ) -> bool:
        """Ask without a task, one attempt: `on_reply` is called as soon as the answer is here, and must not raise.

        False when nothing was sent, for nobody is connected there now.
        """
        connection = self._connection(endpoint)
        if not connection.is_up:
            return False
        message_id = message_id or frames.new_id()
        told = Told(functools.partial(_hand_on, on_reply, request.reply))
        try:
            connection.tell(message_id, self._header(request, message_id, "", timeout_s), encode(request), told)
        except Unavailable:
            return False
        loop = asyncio.get_running_loop()
        told.timer = loop.call_later(timeout_s, _give_up, connection, message_id, told, request.method)
        return True

    async def reaches(self, endpoint: str, timeout_s: float) -> bool:
        """Whether an endpoint is connected, or gets so in time."""
        try:
            await self._connection(endpoint).wait_up(timeout_s)
        except Unavailable:
            return False
        return True

    @asynccontextmanager
    async def stream(
        self,
        endpoints: Endpoints,
        request: Request,
        *,
        timeout_s: float = 5.0,
        cause: str = "",
        window_bytes: int = WINDOW_BYTES,
    ) -> AsyncIterator["Records"]:
        """Open a stream at the first endpoint that can be reached; `async for` gives its records."""
        stream, _ = await self._open(endpoints, request, timeout_s, cause, window_bytes)
        try:
            yield Records(stream, request.reply)
        finally:
            stream.close()

    @asynccontextmanager
    async def duplex(
        self,
        endpoints: Endpoints,
        request: Request,
        *,
        timeout_s: float = 5.0,
        cause: str = "",
        window_bytes: int = WINDOW_BYTES,
    ) -> AsyncIterator["Duplex"]:
        """Open a stream that goes both ways: `async for` gives its records, `send` takes those of `request.input`."""
        if request.input is None:
            raise Refused(f"{request.method} takes no input")
        stream, sender = await self._open(endpoints, request, timeout_s, cause, window_bytes)
        assert sender is not None, "a request with input"
        try:
            yield Duplex(stream, request.reply, sender)
        finally:
            stream.close()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    async def _open(
        self, endpoints: Endpoints, request: Request, timeout_s: float, cause: str, window_bytes: int
    ) -> tuple[InStream, InputOut | None]:
        candidates = self._in_order(endpoints)
        message_id = frames.new_id()
        body = encode(request)
        fields = (request.method, self.sender, cause, int(timeout_s * 1000), window_bytes)
        header = frames.pack(Kind.REQUEST, message_id, *fields)
        for left, endpoint in zip(range(len(candidates) - 1, -1, -1), candidates, strict=True):
            connection = self._connection(endpoint)
            try:
                await connection.wait_up(timeout_s * CONNECT_SHARE if left else timeout_s)
                stream = connection.open_stream(message_id, header, body, window_bytes)
            except Unavailable:
                if not left:
                    raise
            else:
                self._remember(endpoints, endpoint)
                return stream, None if request.input is None else connection.open_input(message_id)
        raise Unavailable("no endpoint was given")

    async def _ask(
        self, connection: Connection, message_id: str, request: Request, body: bytes, cause: str, timeout_s: float
    ) -> bytes:
        if request.stream:
            raise Refused(f"{request.method} is a stream")
        if timeout_s <= 0:
            raise DeadlineExceeded(f"{request.method}: no time left to ask {connection.endpoint}")
        answer = connection.request(message_id, self._header(request, message_id, cause, timeout_s), body)
        timer = asyncio.get_running_loop().call_later(timeout_s, _expire, answer, request.method, connection.endpoint)
        try:
            return await answer
        except asyncio.CancelledError:
            connection.cancel(message_id)
            raise
        finally:
            timer.cancel()
            connection.forget(message_id)

    def _header(self, request: Request, message_id: str, cause: str, timeout_s: float) -> bytes:
        time_left_ms = max(1, int(timeout_s * 1000))
        return frames.pack(Kind.REQUEST, message_id, request.method, self.sender, cause, time_left_ms, 0)

    def _connection(self, endpoint: str) -> Connection:
        connection = self._connections.get(endpoint)
        if connection is None:
            connection = self._connections[endpoint] = Connection(endpoint, self._transport)
        return connection

    def _in_order(self, endpoints: Endpoints) -> tuple[str, ...]:
        if isinstance(endpoints, str):
            return (endpoints,)
        candidates = tuple(endpoints)
        good = self._last_good.get(candidates)
        if good is None or good == candidates[0]:
            return candidates
        return (good, *(endpoint for endpoint in candidates if endpoint != good))

    def _remember(self, endpoints: Endpoints, good: str) -> None:
        if not isinstance(endpoints, str) and len(endpoints) > 1:
            self._last_good[tuple(endpoints)] = good


class Duplex(Records):
    """A stream that goes both ways."""

    def __init__(self, stream: InStream, kind: type[Record], sender: InputOut):
        super().__init__(stream, kind)
        self._sender = sender

    async def send(self, record: Record) -> None:
        """Send when the server has room; raises the stream's error when it is over."""
        await self._sender.send(record)

    def end(self) -> None:
        """Say that no more will be sent."""
        self._sender.end()


def _hand_on(on_reply: OnReply, kind: type[Record], body: bytes | None, error: BusError | None) -> None:
    """Call back with the record in a body, or with what is wrong with it."""
    reply = None
    if body is not None:
        try:
            reply = decode(body, kind)
        except ProtocolViolation as violation:
            error = violation
    on_reply(reply, error)


def _give_up(connection: Connection, message_id: str, told: Told, method: str) -> None:
    connection.forget(message_id)
    if not told.done():
        told.set_exception(DeadlineExceeded(f"{method}: no answer from {connection.endpoint} in time"))


def _expire(answer: "asyncio.Future[bytes]", method: str, endpoint: str) -> None:
    if not answer.done():
        answer.set_exception(DeadlineExceeded(f"{method}: no answer from {endpoint} in time"))

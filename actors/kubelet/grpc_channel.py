"""A gRPC client over one HTTP/2 connection, in the loop of its process and without a thread.

grpcio would do it: with 10 MB of code that no other process of a node shares, 4 MB of its own in each process, and
threads, so that it can't be loaded before a fork. Here the h2 library speaks HTTP/2, and `grpc_wire` knows what gRPC
says in it.

The connection is made by the first call, and again by the first call after it was lost: no call waits for a server that
is away. What can go wrong is a `CallFailed`, with gRPC's name for it: UNAVAILABLE when there is no connection or it was
lost meanwhile (the call may have been done), DEADLINE_EXCEEDED after the timeout (likewise).

Neighbours: `containerd.rpc` calls the runtime, `checks` the pods' health services.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from actors.kubelet.grpc_wire import CallFailed, Messages, failure_of, failure_of_reset, framed, request_headers

STREAM_WINDOW_BYTES = 1 << 20  # what a stream may send before somebody reads it
CONNECTION_WINDOW_BYTES = 8 << 20  # and all of them: a few that nobody reads leave room for the rest
DEFAULT_WINDOW_BYTES = 65_535  # HTTP/2's own
MAX_CALLS = 1 << 28  # of one connection: HTTP/2 has numbers for four times as many

Metadata = Sequence[tuple[str, str]]
Dial = Callable[[asyncio.AbstractEventLoop, Callable[[], asyncio.Protocol]], Any]


class _Call:
    """What came of one call so far."""

    __slots__ = ("messages", "owed_bytes", "headers", "failure", "is_asked", "has_ended", "_parts", "_changed")

    def __init__(self, limit_bytes: int):
        self.messages: deque[bytes] = deque()
        self.owed_bytes = 0  # received, and not yet given back to the sender's window
        self.headers: dict[str, str] = {}
        self.failure: CallFailed | None = None
        self.is_asked = False  # the whole request was sent
        self.has_ended = False
        self._parts = Messages(limit_bytes)
        self._changed: asyncio.Future[None] | None = None

    async def changed(self) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed

    def wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def end(self, failure: CallFailed | None) -> None:
        if not self.has_ended:
            self.has_ended, self.failure = True, failure
        self.wake()

    def take(self, data: bytes) -> None:
        self.messages.extend(self._parts.feed(data))
        self.wake()


class _Connection(asyncio.Protocol):
    """One HTTP/2 connection with the calls that are under way on it."""

    def __init__(self, limit_bytes: int):
        self._limit_bytes = limit_bytes
        self._h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=False,  # they are our own
                normalize_outbound_headers=False,
            )
        )
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE,
            },
        )
        self._calls: dict[int, _Call] = {}
        self._waiting: set[asyncio.Future[None]] = set()  # for the other side to let more in
        self._transport: asyncio.Transport
        self._begun = 0
        self._is_leaving = False
        self.is_open = False
        self.closed = asyncio.Event()

    @property
    def is_spent(self) -> bool:
        return self._begun >= MAX_CALLS

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES)
        self.is_open = True
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
        except H2Error as error:
            self._lose(f"not HTTP/2 as it should be: {error}")
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(str(exc) if exc else "the connection was closed")

    # -- calls

    async def begin(self, headers: list[tuple[str, str]], message: bytes) -> tuple[int, _Call]:
        """Send a request, as fast as the other side takes it."""
        while self.is_open and self._h2.open_outbound_streams >= self._h2.remote_settings.max_concurrent_streams:
            await self._room()
        if not self.is_open:
            raise CallFailed("UNAVAILABLE", "the connection was lost")
        stream, call = self._h2.get_next_available_stream_id(), _Call(self._limit_bytes)
        self._calls[stream] = call
        self._begun += 1
        try:
            self._h2.send_headers(stream, headers)
            await self._send(stream, call, framed(message))
        except BaseException:
            self.end(stream, call)
            raise
        return stream, call

    async def _send(self, stream: int, call: _Call, data: bytes) -> None:
        sent = 0
        while not call.has_ended:  # an answer that comes before all is asked is a refusal
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room > 0:
                part = data[sent : sent + room]
                sent += len(part)
                self._h2.send_data(stream, part, end_stream=sent == len(data))
            self._flush()
            if sent == len(data):
                call.is_asked = True
                return
            if room <= 0:
                await self._room()

    async def _room(self) -> None:
        """Wait until the other side may take more than before, or something has ended."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(turn)
        try:
            await turn
        finally:
            self._waiting.discard(turn)

    def give_back(self, stream: int, call: _Call) -> None:
        """Let the other side send as much as was taken."""
        owed, call.owed_bytes = call.owed_bytes, 0
        if owed and self.is_open:
            self._h2.acknowledge_received_data(owed, stream)
            self._flush()

    def end(self, stream: int, call: _Call) -> None:
        """Forget a call; one that has not come to its end on both sides is given up."""
        if self._calls.pop(stream, None) is None:
            return
        self.give_back(stream, call)
        if self.is_open and not (call.has_ended and call.is_asked):
            with contextlib.suppress(H2Error):  # it never began, or the other side has reset it
                self._h2.reset_stream(stream, ErrorCodes.CANCEL)
            self._flush()
        self._make_room()
        if self._is_leaving and not self._calls:
            self._lose("closed")

    async def close(self, grace_s: float) -> None:
        """Close, once the calls that are under way have ended, or the grace."""
        self.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.closed.wait()
        self._lose("closed")

    def leave(self) -> None:
        """Close with the last call that is under way."""
        self._is_leaving = True
        if not self._calls:
            self._lose("closed")

    # -- what the other side tells

    def _take(self, event: Event) -> None:
        if isinstance(event, (WindowUpdated, RemoteSettingsChanged)):
            self._make_room()
        elif isinstance(event, ConnectionTerminated):
            self._lose("the server says that it goes away")
        elif isinstance(event, (ResponseReceived, DataReceived, TrailersReceived, StreamEnded, StreamReset)):
            self._take_answer(event)

    def _take_answer(self, event: Any) -> None:
        call = self._calls.get(event.stream_id)
        if isinstance(event, DataReceived):
            if call is None:  # it was given up
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                return
            call.owed_bytes += event.flow_controlled_length
            try:
                call.take(event.data)
            except CallFailed as failure:
                self._h2.reset_stream(event.stream_id, ErrorCodes.CANCEL)
                call.end(failure)
        elif call is None:
            return
        elif isinstance(event, (ResponseReceived, TrailersReceived)):
            call.headers.update(cast(list[tuple[str, str]], event.headers))
        elif isinstance(event, StreamEnded):
            call.end(failure_of(call.headers))
            self._make_room()
        else:  # a server that has answered may still say that it does not want the rest of the request
            told = "grpc-status" in call.headers
            call.end(failure_of(call.headers) if told else failure_of_reset(int(event.error_code)))
            self._make_room()

    def _make_room(self) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    def _lose(self, why: str) -> None:
        if not self.is_open:
            return
        self._flush()
        self.is_open = False
        self.closed.set()
        self._transport.close()
        for call in self._calls.values():
            call.end(CallFailed("UNAVAILABLE", why))
        self._make_room()

    def _flush(self) -> None:
        data = self._h2.data_to_send() if self.is_open else b""
        if data:
            self._transport.write(data)


class Channel:
    """A server that can be called. Calls may overlap."""

    def __init__(self, dial: Dial, authority: str, limit_bytes: int):
        """`limit_bytes` is of one message of the other side."""
        self._dial, self._authority, self._limit_bytes = dial, authority, limit_bytes
        self._connecting = asyncio.Lock()
        self._connection: _Connection | None = None
        self._is_closed = False

    @classmethod
    def unix(cls, path: str, limit_bytes: int) -> "Channel":
        return cls(lambda loop, protocol: loop.create_unix_connection(protocol, path), "localhost", limit_bytes)

    @classmethod
    def tcp(cls, host: str, port: int, limit_bytes: int) -> "Channel":
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return cls(lambda loop, protocol: loop.create_connection(protocol, host, port), authority, limit_bytes)

    async def unary(self, path: str, request: bytes, timeout_s: float | None, metadata: Metadata = ()) -> bytes:
        """Ask, and return the one answer. `timeout_s` None: wait for ever."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._unary(path, request, timeout_s, metadata)
        except TimeoutError as error:
            raise CallFailed("DEADLINE_EXCEEDED", f"no answer within {timeout_s:g} s") from error

    async def _unary(self, path: str, request: bytes, timeout_s: float | None, metadata: Metadata) -> bytes:
        connection = await self.connected()
        stream, call = await connection.begin(request_headers(path, self._authority, timeout_s, metadata), request)
        try:
            while not call.has_ended:
                await call.changed()
                connection.give_back(stream, call)  # what is put together is bounded by its own length
        finally:
            connection.end(stream, call)
        if call.failure is not None:
            raise call.failure
        if len(call.messages) != 1:
            raise CallFailed("INTERNAL", f"{len(call.messages)} answers instead of one")
        return call.messages[0]

    async def stream(self, path: str, request: bytes, metadata: Metadata = ()) -> AsyncGenerator[bytes, None]:
        """Ask, and yield each answer; the other side is held back while nobody takes them."""
        connection = await self.connected()
        stream, call = await connection.begin(request_headers(path, self._authority, None, metadata), request)
        try:
            while True:
                while call.messages:
                    yield call.messages.popleft()
                connection.give_back(stream, call)
                if call.has_ended:
                    break
                await call.changed()
        finally:
            connection.end(stream, call)
        if call.failure is not None:
            raise call.failure

    async def connected(self) -> _Connection:
        """Return the connection, made if there is none; CallFailed UNAVAILABLE when nobody takes it."""
        found = self._connection
        if found is not None and found.is_open and not found.is_spent:
            return found
        async with self._connecting:
            found = self._connection
            if found is not None and found.is_open and not found.is_spent:
                return found
            if self._is_closed:
                raise CallFailed("UNAVAILABLE", "the channel is closed")
            try:
                _, made = await self._dial(asyncio.get_running_loop(), lambda: _Connection(self._limit_bytes))
            except OSError as error:
                raise CallFailed("UNAVAILABLE", error.strerror or str(error)) from error
            if found is not None and found.is_open:
                found.leave()
            self._connection = cast(_Connection, made)
            return self._connection

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and self._connection.is_open

    async def close(self, grace_s: float = 0.0) -> None:
        """Close, once the calls that are under way have ended, or the grace."""
        self._is_closed = True
        if self._connection is not None:
            await self._connection.close(grace_s)

"""The asking end of one endpoint: what was sent, what still waits for an answer, and whether the peer is there.

When the peer goes away, everything that waits for it fails at once with `Unavailable` or `StreamLost` instead of
sitting out its deadline.

Neighbours: `client` chooses among connections; `stream_in` is the reading end of a stream.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from bus import frames
from bus.errors import BusError, ProtocolViolation, StreamLost, Unavailable
from bus.frames import Kind
from bus.input_out import InputOut
from bus.stream_in import InStream
from bus.transport import CannotSend, Transport


class Told:
    """Who waits for an answer with a function, not a future: it is called once, in the midst of what arrives."""

    __slots__ = ("_on_answer", "timer")

    def __init__(self, on_answer: Callable[[bytes | None, BusError | None], None]):
        self._on_answer: Callable[[bytes | None, BusError | None], None] | None = on_answer
        self.timer: asyncio.TimerHandle | None = None  # for when there is none in time

    def done(self) -> bool:
        return self._on_answer is None

    def set_result(self, body: bytes) -> None:
        self._finish(body, None)

    def set_exception(self, error: BusError) -> None:
        self._finish(None, error)

    def _finish(self, body: bytes | None, error: BusError | None) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if self.timer is not None:
            self.timer.cancel()
        if on_answer is not None:
            on_answer(body, error)


class Connection:
    def __init__(self, endpoint: str, transport: Transport):
        self.endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, asyncio.Future[bytes] | Told] = {}
        self._streams: dict[str, InStream] = {}
        self._inputs: dict[str, InputOut] = {}  # of streams that go both ways
        self._is_up = asyncio.Event()
        self.violations = 0
        self._port = transport.connect(endpoint, self._on_frames, self._is_up.set, self._on_down)

    @property
    def is_up(self) -> bool:
        return self._is_up.is_set()

    async def wait_up(self, timeout_s: float) -> None:
        """Return when the peer answers connects; Unavailable when it does not in time. Nothing was sent then."""
        if self._is_up.is_set():
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_up.wait()
        except TimeoutError:
            raise Unavailable(f"{self.endpoint}: {self._port.trouble or 'nobody listens there'}") from None

    def request(self, message_id: str, header: bytes, body: bytes) -> "asyncio.Future[bytes]":
        """Send a request; the future gets the body of its answer, or its error."""
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._send(header, body)
        self._waiting[message_id] = answer
        return answer

    def tell(self, message_id: str, header: bytes, body: bytes, told: Told) -> None:
        """Send a request whose answer goes to a function."""
        self._send(header, body)
        self._waiting[message_id] = told

    def open_stream(self, message_id: str, header: bytes, body: bytes, window_bytes: int) -> InStream:
        stream = InStream(self, message_id, window_bytes)
        self._send(header, body)
        self._streams[message_id] = stream
        return stream

    def open_input(self, message_id: str) -> InputOut:
        """Return the sending end of the stream that was opened under this id."""
        made = self._inputs[message_id] = InputOut(message_id, self._try_send)
        return made

    def forget(self, message_id: str) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(message_id, None)

    def grant(self, message_id: str, more_bytes: int) -> None:
        self._tell(frames.pack(Kind.CREDIT, message_id, more_bytes))

    def cancel(self, message_id: str) -> None:
        """Tell the peer that a stream, or a request, is not wanted any more."""
        known = self._streams.pop(message_id, None) is not None
        self._close_input(message_id, None)
        known = self._waiting.pop(message_id, None) is not None or known
        if known and self.is_up:
            self._tell(frames.pack(Kind.CANCEL, message_id))

    def close(self) -> None:
        self._fail_all("the connection was closed")
        self._port.close()

    def _send(self, header: bytes, body: bytes) -> None:
        try:
            self._port.send((header, body))
        except CannotSend as error:
            raise Unavailable(f"{self.endpoint} takes no more messages") from error

    def _try_send(self, message: tuple[bytes, bytes]) -> bool:
        try:
            self._port.send(message)
        except CannotSend:
            return False
        return True

    def _tell(self, header: bytes) -> None:
        try:
            self._port.send((header, b""))
        except CannotSend:
            self._drop("a message could not be sent")  # a stream without credit would hang: end everything instead

    def _on_frames(self, message: list[bytes]) -> None:
        try:
            if len(message) != 2:
                raise ProtocolViolation(f"{len(message)} frames; a message has 2")
            self._dispatch(frames.unpack(message[0]), message[1])
        except ProtocolViolation:
            self.violations += 1

    def _dispatch(self, fields: tuple[Any, ...], body: bytes) -> None:
        kind, message_id = fields[0], fields[1]
        if kind == Kind.REPLY:
            answer = self._waiting.pop(message_id, None)
            if answer is not None and not answer.done():
                answer.set_result(body)
        elif kind == Kind.ERROR:
            self._on_error(message_id, frames.unpack_error(body))
        elif kind in (Kind.ITEM, Kind.ALIVE):
            stream = self._streams.get(message_id)
            if stream is not None:
                stream.put(body if kind == Kind.ITEM else None)
        elif kind == Kind.END:
            stream = self._streams.pop(message_id, None)
            self._close_input(message_id, None)
            if stream is not None:
                stream.end(None)
        elif kind == Kind.CREDIT:
            sender = self._inputs.get(message_id)
            if sender is not None:
                sender.grant(frames.whole(fields[2:3]))
        else:
            raise ProtocolViolation(f"kind {kind!r} is not for a client")

    def _on_error(self, message_id: str, error: BusError) -> None:
        answer = self._waiting.pop(message_id, None)
        if answer is not None and not answer.done():
            answer.set_exception(error)
        stream = self._streams.pop(message_id, None)
        self._close_input(message_id, error)
        if stream is not None:
            stream.end(error)

    def _close_input(self, message_id: str, error: BusError | None) -> None:
        sender = self._inputs.pop(message_id, None)
        if sender is not None:
            sender.close(error)

    def _on_down(self) -> None:
        self._drop("the peer went away")

    def _drop(self, why: str) -> None:
        self._is_up.clear()
        self._port.drain_now()  # what the peer said before it went still counts
        self._fail_all(why)

    def _fail_all(self, why: str) -> None:
        waiting, self._waiting = self._waiting, {}
        streams, self._streams = self._streams, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(Unavailable(f"{self.endpoint}: {why}"))
        for stream in streams.values():
            stream.lose(f"{self.endpoint}: {why}")
        for message_id in list(self._inputs):
            self._close_input(message_id, StreamLost(f"{self.endpoint}: {why}"))

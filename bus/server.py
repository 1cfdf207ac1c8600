"""The answering side of request/reply: handlers by method, deadlines, streams held back by credit.

Order owed: replies may come in any order; items of one stream keep theirs. A request past its deadline is answered with
DeadlineExceeded and its handler cancelled. A handler that fails with anything but a BusError has broken an invariant:
the caller learns `internal`, and `on_failure` decides the process's fate.

Neighbours: `client` is the other end, `record` the bodies, `once` remembers answers, `stream_out` sends streams.
"""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bus import frames
from bus.address import role_of
from bus.doors import Doors
from bus.errors import BusError, DeadlineExceeded, Overloaded, ProtocolViolation, Refused
from bus.frames import Kind
from bus.once import Once
from bus.record import ANYONE, Record, Request, decode, encode
from bus.stream_in import InStream, Records
from bus.stream_out import OutStream
from bus.transport import ZMQ, CannotSend, Port, Transport

MAX_IN_FLIGHT = 8192  # requests being worked on; one more is answered with Overloaded
MAX_STREAMS_OF_PEER = 4096  # of one connection; one more is answered with Overloaded
INPUT_WINDOW_BYTES = 512 * 1024  # of unread items in one stream; the smallest ones stay below ZeroMQ's queue limit
MAX_TIME_LEFT_MS = 3_600_000  # a deadline further away than an hour is cut to this
RETRY_AFTER_MS = 100  # what an Overloaded answer tells the caller

Handler = Callable[..., Any]


class Context:
    """What a handler learns of its caller."""

    __slots__ = ("sender", "message_id", "cause", "deadline", "_clock")

    def __init__(self, sender: str, message_id: str, cause: str, deadline: float, clock: Callable[[], float]):
        self.sender = sender
        self.message_id = message_id
        self.cause = cause
        self.deadline = deadline
        self._clock = clock

    @property
    def role(self) -> str:
        return role_of(self.sender)

    @property
    def time_left_s(self) -> float:
        return max(0.0, self.deadline - self._clock())


class Server:
    """Serves methods on one endpoint, and those in `also`. `violations` counts messages that were dropped as malformed,
    or whose sender gave a name that is not its own."""

    def __init__(
        self,
        name: str,
        endpoint: str,
        *,
        also: Sequence[str] = (),
        on_failure: Callable[[BaseException], None] | None = None,
        transport: Transport = ZMQ,
    ):
        self.name = name
        self.endpoint = endpoint
        self.also = list(also)
        self.violations = 0
        self._on_failure = on_failure
        self._methods: dict[str, tuple[type[Request], Handler]] = {}
        self._once = Once()
        self._in_flight: dict[tuple[bytes, str], asyncio.Future[Any]] = {}
        self._streams: dict[bytes, dict[str, OutStream]] = {}
        self._inputs: dict[tuple[bytes, str], InStream] = {}  # of the streams that go both ways
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._port: Port | None = None

    def register(self, request: type[Request], handler: Handler) -> None:
        """Serve a request's method by a function, a coroutine function, or for a stream an async generator function.

        It is called with the request and the Context, and where the stream goes both ways with the input Records.
        """
        if request.stream != inspect.isasyncgenfunction(handler):
            raise TypeError(f"{request.method}: an async generator serves a stream, and only a stream")
        self._methods[request.method] = (request, handler)

    @property
    def methods(self) -> dict[str, type[Request]]:
        return {name: request for name, (request, _) in self._methods.items()}

    def start(self) -> None:
        """Bind and serve; EndpointTaken when another server is there, BadAddress or BadKeys off loopback."""
        if not self.also:
            self._port, self.endpoint = self._transport.listen(self.endpoint, self._on_frames)
            return
        self._port = doors = Doors(self._transport, (self.endpoint, *self.also), self._on_frames)
        self.endpoint, *self.also = doors.endpoints

    def close(self) -> None:
        """Stop serving: streams end, requests being worked on are cancelled."""
        for streams in list(self._streams.values()):
            for stream in list(streams.values()):
                stream.cancel()
        for task in list(self._in_flight.values()):
            task.cancel()
        if self._port is not None:
            self._port.close()

    @property
    def load(self) -> dict[str, int]:
        """Requests being worked on, open streams, and messages dropped as malformed."""
        streams = sum(len(of_peer) for of_peer in self._streams.values())
        return {"in_flight": len(self._in_flight), "streams": streams, "violations": self.violations}

    def _on_frames(self, message: list[bytes], name: str = "") -> None:
        """`name` is the sender's, where it has a key."""
        try:
            if len(message) != 3:
                raise ProtocolViolation(f"{len(message) - 1} frames; a message has 2")
            peer, header, body = message
            fields = frames.unpack(header)
            self._dispatch(peer, fields, body, name)
        except ProtocolViolation:
            self.violations += 1

    def _dispatch(self, peer: bytes, fields: tuple[Any, ...], body: bytes, name: str) -> None:
        kind, message_id = fields[0], fields[1]
        if kind == Kind.REQUEST:
            self._on_request(peer, message_id, fields[2:], body, name)
        elif kind in (Kind.CREDIT, Kind.CANCEL):
            stream = self._streams.get(peer, {}).get(message_id)
            if stream is not None:
                stream.cancel() if kind == Kind.CANCEL else stream.grant(frames.whole(fields[2:3]))
            elif kind == Kind.CANCEL and (task := self._in_flight.get((peer, message_id))) is not None:
                task.cancel()
        elif kind in (Kind.ITEM, Kind.END):
            self._on_input(peer, message_id, body if kind == Kind.ITEM else None)
        else:
            raise ProtocolViolation(f"kind {kind!r} is not for a server")

    def _on_input(self, peer: bytes, message_id: str, body: bytes | None) -> None:
        """Hand what a client sends to the stream that reads it; a stream that is over is no fault of the client's."""
        inputs = self._inputs.get((peer, message_id))
        if inputs is None:
            return
        if body is None:
            inputs.end(None)
            return
        if inputs.unread_bytes >= INPUT_WINDOW_BYTES:
            del self._inputs[peer, message_id]
            self._streams[peer][message_id].cancel()
            raise ProtocolViolation(f"stream {message_id}: an item without credit")
        inputs.put(body)

    def _on_request(self, peer: bytes, message_id: str, fields: tuple[Any, ...], body: bytes, name: str) -> None:
        try:
            method, sender, cause, time_left_ms, window_bytes = fields
        except ValueError as error:
            raise ProtocolViolation("a request's header has 8 fields") from error
        if not (isinstance(method, str) and isinstance(sender, str) and isinstance(cause, str)):
            raise ProtocolViolation("method, sender and cause are strings")
        if name and sender != name:
            self.violations += 1
            self._send_error(peer, message_id, Refused(f"{name} may not speak as {sender}"))
            return
        time_left_s = min(frames.whole((time_left_ms,)), MAX_TIME_LEFT_MS) / 1000
        context = Context(sender, message_id, cause, self._loop.time() + time_left_s, self._loop.time)
        try:
            request_type, handler = self._admit(method, context)
            request = decode(body, request_type)
            if request_type.stream:
                self._open_stream(peer, request, handler, context, frames.whole((window_bytes,)))
            elif (peer, message_id) in self._in_flight:
                return  # a repeat: the answer that is on its way is its own
            elif not (request_type.once and self._answered_before(peer, message_id)):
                self._call(peer, request_type, handler, request, context)
        except BusError as error:
            self._send_error(peer, message_id, error)

    def _admit(self, method: str, context: Context) -> tuple[type[Request], Handler]:
        try:
            request_type, handler = self._methods[method]
        except KeyError:
            raise Refused(f"{self.name} has no method {method}") from None
        if request_type.roles is not ANYONE and context.role not in request_type.roles:
            raise Refused(f"{context.sender} may not call {method}")
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            raise Overloaded(f"{self.name} works on {MAX_IN_FLIGHT} requests", {"retry_after_ms": RETRY_AFTER_MS})
        return request_type, handler

    def _answered_before(self, peer: bytes, message_id: str) -> bool:
        answer = self._once.answer(message_id)
        if answer is not None:
            self._send(peer, answer)
            return True
        return self._once.join(message_id, peer, functools.partial(self._send, peer))

    def _call(self, peer: bytes, kind: type[Request], handler: Handler, request: Request, context: Context) -> None:
        if kind.once:
            self._once.begin(context.message_id)
        try:
            answer = handler(request, context)
        except BusError as error:
            self._answer_error(peer, kind, context.message_id, error)
            return
        except Exception as error:
            self._fail(peer, kind, context.message_id, error)
            raise
        if isinstance(answer, Record):
            self._answer(peer, kind, context.message_id, answer)
        else:
            self._await(peer, kind, context, answer)

    def _await(self, peer: bytes, kind: type[Request], context: Context, answer: Awaitable[Record]) -> None:
        task = asyncio.ensure_future(answer)
        key = (peer, context.message_id)
        self._in_flight[key] = task
        timer = self._loop.call_at(context.deadline, task.cancel)
        task.add_done_callback(functools.partial(self._on_done, key, kind, context, timer))

    def _on_done(
        self,
        key: tuple[bytes, str],
        kind: type[Request],
        context: Context,
        timer: asyncio.TimerHandle,
        task: "asyncio.Future[Record]",
    ) -> None:
        timer.cancel()
        self._in_flight.pop(key, None)
        peer, message_id = key
        if task.cancelled():
            self._answer_error(peer, kind, message_id, DeadlineExceeded(f"{kind.method} took too long"))
            return
        error = task.exception()
        if error is None:
            self._answer(peer, kind, message_id, task.result())
        elif isinstance(error, BusError):
            self._answer_error(peer, kind, message_id, error)
        else:
            self._fail(peer, kind, message_id, error)

    def _answer(self, peer: bytes, kind: type[Request], message_id: str, record: Record) -> None:
        answer = (frames.pack(Kind.REPLY, message_id), encode(record))
        if kind.once:
            self._once.finish(message_id, answer)
        self._send(peer, answer)

    def _answer_error(self, peer: bytes, kind: type[Request], message_id: str, error: BusError) -> None:
        answer = (frames.pack(Kind.ERROR, message_id), frames.pack_error(error))
        if kind.once:
            self._once.finish(message_id, answer, keep=not isinstance(error, (DeadlineExceeded, Overloaded)))
        self._send(peer, answer)

    def _fail(self, peer: bytes, kind: type[Request], message_id: str, error: BaseException) -> None:
        self._answer_error(peer, kind, message_id, BusError(f"{self.name} failed in {kind.method}"))
        if self._on_failure is not None:
            self._on_failure(error)

    def _send_error(self, peer: bytes, message_id: str, error: BusError) -> None:
        self._send(peer, (frames.pack(Kind.ERROR, message_id), frames.pack_error(error)))

    def _send(self, peer: bytes, message: tuple[bytes, bytes]) -> bool:
        """Return False when the peer is gone or takes nothing more; it will learn so from its own deadline."""
        if self._port is None or self._port.closed:
            return False
        try:
            self._port.send((peer, *message))
        except CannotSend:
            return False
        return True

    def _open_stream(
        self, peer: bytes, request: Request, handler: Handler, context: Context, window_bytes: int
    ) -> None:
        of_peer = self._streams.setdefault(peer, {})
        if context.message_id in of_peer:
            raise ProtocolViolation(f"stream {context.message_id} is open already")
        if len(of_peer) >= MAX_STREAMS_OF_PEER:
            raise Overloaded(f"{context.sender} has {MAX_STREAMS_OF_PEER} streams", {"retry_after_ms": RETRY_AFTER_MS})
        message_id = context.message_id
        if request.input is None:
            items = handler(request, context)
        else:
            other_end = _Peer(self, peer, context.sender)
            inputs = InStream(other_end, message_id, INPUT_WINDOW_BYTES, watched=False)
            self._inputs[peer, message_id] = inputs
            other_end.grant(message_id, INPUT_WINDOW_BYTES)
            items = handler(request, context, Records(inputs, request.input))
        stream = OutStream(items, message_id, functools.partial(self._send, peer), window_bytes)
        of_peer[message_id] = stream
        stream.start(functools.partial(self._on_stream_end, peer, message_id))

    def _on_stream_end(self, peer: bytes, message_id: str, failure: BaseException | None) -> None:
        of_peer = self._streams.get(peer, {})
        of_peer.pop(message_id, None)
        inputs = self._inputs.pop((peer, message_id), None)
        if inputs is not None:
            inputs.lose("the stream has ended")
        if not of_peer:
            self._streams.pop(peer, None)
        if failure is not None and self._on_failure is not None:
            self._on_failure(failure)


class _Peer:
    """The client of a stream that goes both ways, as the reading end of its input sees it."""

    def __init__(self, server: Server, peer: bytes, sender: str):
        self._server = server
        self._peer = peer
        self.endpoint = sender

    def grant(self, message_id: str, more_bytes: int) -> None:
        self._server._send(self._peer, (frames.pack(Kind.CREDIT, message_id, more_bytes), b""))

    def cancel(self, message_id: str) -> None:
        """Nothing to tell: the stream itself says how it ends."""

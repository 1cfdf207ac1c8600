"""One SPDY/3.1 connection without I/O: bytes in, events out; calls in, bytes out.

`receive` returns what happened; what is to be sent gathers until `take` takes it. A stream is forgotten when both its
ways have ended, or when it was reset. What a peer says of streams that are forgotten, or were never there, is ignored,
as it may have been under way.

Kubernetes' SPDY peers (moby/spdystream) know no flow control: they send no WINDOW_UPDATE and heed none, so neither does
this side. What holds a sender back is TCP, and the reader of `session`.

What can go wrong: bytes that break the protocol raise `SpdyError`; the connection is of no more use then.
"""

import enum
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from actors.api.spdy import frames
from actors.api.spdy.frames import Control, Data, Flag, FrameError, Reader, ResetStatus, Type
from actors.api.spdy.headers import Compressor, Decompressor, HeaderError

MAX_STREAMS = 4096  # open at a time; one more is refused. A port-forward has two for each connection

_SYN_STREAM = struct.Struct("!IIBB")  # stream id, associated stream id, priority, credential slot
_ID_MASK = (1 << 31) - 1


class SpdyError(Exception):
    """The peer broke the protocol."""


class Role(enum.Enum):
    CLIENT = 1
    SERVER = 2


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer opened a stream; answer with `reply` or `reset`. `fin`: it will send nothing in it."""

    stream_id: int
    headers: Mapping[str, str]
    fin: bool


@dataclass(frozen=True, slots=True)
class StreamReplied:
    """The peer accepted a stream of ours."""

    stream_id: int
    headers: Mapping[str, str]
    fin: bool


@dataclass(frozen=True, slots=True)
class DataReceived:
    stream_id: int
    data: bytes
    fin: bool


@dataclass(frozen=True, slots=True)
class StreamReset:
    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The peer takes no new streams."""

    last_good_id: int


Event = StreamOpened | StreamReplied | DataReceived | StreamReset | GoneAway


class _Open:
    """Which ways of a stream are still open."""

    __slots__ = ("incoming", "outgoing")

    def __init__(self, incoming: bool, outgoing: bool) -> None:
        self.incoming = incoming
        self.outgoing = outgoing


class SpdyConnection:
    def __init__(self, role: Role) -> None:
        self._next_id = role.value
        self._next_ping = role.value
        self._last_peer_id = 0
        self._reader = Reader()
        self._compressor = Compressor()
        self._decompressor = Decompressor()
        self._streams: dict[int, _Open] = {}
        self._out: list[bytes] = []
        self.pings_unanswered = 0

    @property
    def streams(self) -> int:
        return len(self._streams)

    # -- what this side does

    def open(self, headers: Mapping[str, str], *, fin: bool = False) -> int:
        """Open a stream; returns its id. `fin`: this side will send nothing in it."""
        stream_id = self._next_id
        self._next_id += 2
        self._streams[stream_id] = _Open(incoming=True, outgoing=not fin)
        payload = _SYN_STREAM.pack(stream_id, 0, 0, 0) + self._compressor.pack(headers)
        self._out.append(frames.pack_control(Type.SYN_STREAM, payload, Flag.FIN if fin else 0))
        return stream_id

    def reply(self, stream_id: int, headers: Mapping[str, str] | None = None) -> None:
        """Accept a stream that the peer opened."""
        payload = struct.pack("!I", stream_id) + self._compressor.pack(headers or {})
        self._out.append(frames.pack_control(Type.SYN_REPLY, payload))

    def send(self, stream_id: int, data: bytes, *, fin: bool = False) -> bool:
        """Send in a stream, and with `fin` end this side of it. Returns False when the stream is no longer open."""
        stream = self._streams.get(stream_id)
        if stream is None or not stream.outgoing:
            return False
        self._out.append(frames.pack_data(stream_id, data, fin))
        if fin:
            stream.outgoing = False
            self._forget_ended(stream_id, stream)
        return True

    def reset(self, stream_id: int, status: int = ResetStatus.CANCEL) -> None:
        """End a stream in both ways, at once."""
        if self._streams.pop(stream_id, None) is not None:
            self._out.append(frames.pack_numbers(Type.RST_STREAM, stream_id, status))

    def ping(self) -> None:
        self._out.append(frames.pack_numbers(Type.PING, self._next_ping))
        self._next_ping += 2
        self.pings_unanswered += 1

    def go_away(self) -> None:
        """Say that no new streams are taken."""
        self._out.append(frames.pack_numbers(Type.GOAWAY, self._last_peer_id, 0))

    def take(self) -> list[bytes]:
        """Return what is to be sent, in order."""
        out, self._out = self._out, []
        return out

    # -- what the peer does

    def receive(self, data: bytes) -> list[Event]:
        """Return what the bytes say. Raises SpdyError."""
        events: list[Event] = []
        try:
            for frame in self._reader.feed(data):
                event = self._on_data(frame) if isinstance(frame, Data) else self._on_control(frame)
                if event is not None:
                    events.append(event)
        except (FrameError, HeaderError) as error:
            raise SpdyError(str(error)) from error
        return events

    def _on_data(self, frame: Data) -> Event | None:
        stream = self._streams.get(frame.stream_id)
        if stream is None or not stream.incoming:
            return None
        if frame.fin:
            self._end_incoming(frame.stream_id, stream)
        return DataReceived(frame.stream_id, frame.data, frame.fin)

    def _on_control(self, frame: Control) -> Event | None:
        match frame.type:
            case Type.SYN_STREAM:
                return self._on_open(frame)
            case Type.SYN_REPLY | Type.HEADERS:
                return self._on_headers(frame)
            case Type.RST_STREAM:
                stream_id, status = frames.numbers_of(frame, 2)
                known = self._streams.pop(stream_id & _ID_MASK, None)
                return StreamReset(stream_id & _ID_MASK, status) if known is not None else None
            case Type.PING:
                self._on_ping(frames.numbers_of(frame, 1)[0])
                return None
            case Type.GOAWAY:
                return GoneAway(frames.numbers_of(frame, 1)[0] & _ID_MASK)
            case _:  # SETTINGS and WINDOW_UPDATE: see the module; unknown types are ignored by rule
                return None

    def _on_open(self, frame: Control) -> Event | None:
        if len(frame.payload) < _SYN_STREAM.size:
            raise FrameError("SYN_STREAM is cut short")
        stream_id = _SYN_STREAM.unpack_from(frame.payload)[0] & _ID_MASK
        headers = self._decompressor.unpack(frame.payload[_SYN_STREAM.size :])  # always: the context must go on
        if stream_id % 2 == self._next_id % 2 or stream_id <= self._last_peer_id:
            raise SpdyError(f"the peer opened stream {stream_id} after {self._last_peer_id}")
        self._last_peer_id = stream_id
        if len(self._streams) >= MAX_STREAMS:
            self._out.append(frames.pack_numbers(Type.RST_STREAM, stream_id, ResetStatus.REFUSED_STREAM))
            return None
        fin = bool(frame.flags & Flag.FIN)
        self._streams[stream_id] = _Open(incoming=not fin, outgoing=not frame.flags & Flag.UNIDIRECTIONAL)
        return StreamOpened(stream_id, headers, fin)

    def _on_headers(self, frame: Control) -> Event | None:
        stream_id = frames.numbers_of(frame, 1)[0] & _ID_MASK
        headers = self._decompressor.unpack(frame.payload[4:])
        stream = self._streams.get(stream_id)
        if stream is None:
            return None
        fin = bool(frame.flags & Flag.FIN)
        if fin:
            self._end_incoming(stream_id, stream)
        if frame.type == Type.SYN_REPLY:
            return StreamReplied(stream_id, headers, fin)
        return DataReceived(stream_id, b"", fin) if fin else None

    def _on_ping(self, ping_id: int) -> None:
        if ping_id % 2 == self._next_ping % 2:
            self.pings_unanswered = 0
        else:
            self._out.append(frames.pack_numbers(Type.PING, ping_id))

    def _end_incoming(self, stream_id: int, stream: _Open) -> None:
        stream.incoming = False
        self._forget_ended(stream_id, stream)

    def _forget_ended(self, stream_id: int, stream: _Open) -> None:
        if not stream.incoming and not stream.outgoing:
            self._streams.pop(stream_id, None)

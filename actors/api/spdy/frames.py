"""Frames of SPDY/3.1 as values, and as bytes. Pure; headers stay in their compressed blocks.

`Reader` takes bytes as they come and gives whole control frames; data frames are handed on in pieces, so that a large
one is never held here.

Source: SPDY/3 section 2.2 and 2.6. Neighbours: `connection` gives frames their meaning.
"""

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass

VERSION = 3
MAX_CONTROL_BYTES = 64 * 1024  # of a control frame's payload: only header blocks are longer than a few bytes
MAX_DATA_BYTES = (1 << 24) - 1  # what a length field can say

_HEAD = struct.Struct("!II")  # control bit, version and type, or stream id; flags and length
_CONTROL = 1 << 31
_STREAM_ID = (1 << 31) - 1


class FrameError(Exception):
    """Bytes that are no SPDY/3 frames."""


class Type(enum.IntEnum):
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class Flag(enum.IntFlag):
    NONE = 0
    FIN = 1
    UNIDIRECTIONAL = 2


class ResetStatus(enum.IntEnum):
    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    CANCEL = 5


@dataclass(frozen=True, slots=True)
class Control:
    """A control frame: its payload as it came."""

    type: int
    flags: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of a data frame. `fin` is on the last piece of a frame that ends its stream."""

    stream_id: int
    data: bytes
    fin: bool


def pack_control(kind: Type, payload: bytes, flags: int = 0) -> bytes:
    return _HEAD.pack(_CONTROL | VERSION << 16 | kind, flags << 24 | len(payload)) + payload


def pack_data(stream_id: int, data: bytes, fin: bool = False) -> bytes:
    if len(data) > MAX_DATA_BYTES:
        raise ValueError(f"a data frame holds at most {MAX_DATA_BYTES} bytes")
    return _HEAD.pack(stream_id, (Flag.FIN if fin else 0) << 24 | len(data)) + data


def pack_numbers(kind: Type, *numbers: int) -> bytes:
    """Return a control frame whose payload is 32-bit numbers: RST_STREAM, PING, GOAWAY, WINDOW_UPDATE."""
    return pack_control(kind, struct.pack(f"!{len(numbers)}I", *numbers))


def numbers_of(frame: Control, count: int) -> tuple[int, ...]:
    """Return the 32-bit numbers that a control frame's payload begins with; FrameError when there are fewer."""
    try:
        return struct.unpack_from(f"!{count}I", frame.payload)
    except struct.error as error:
        raise FrameError(f"control frame of type {frame.type} is cut short") from error


class Reader:
    def __init__(self) -> None:
        self._buffer = bytearray()
        self._data_left = 0  # of the data frame that is being handed on
        self._data_id = 0
        self._data_fin = False

    def feed(self, data: bytes) -> Iterator[Control | Data]:
        """Yield what the bytes complete. Raises FrameError."""
        self._buffer += data
        while True:
            if self._data_left:
                if not self._buffer:
                    return
                yield self._piece()
            elif len(self._buffer) < _HEAD.size:
                return
            else:
                frame = self._next()
                if frame is None:
                    return
                if not isinstance(frame, bool):
                    yield frame

    def _piece(self) -> Data:
        piece = bytes(self._buffer[: self._data_left])
        del self._buffer[: len(piece)]
        self._data_left -= len(piece)
        return Data(self._data_id, piece, self._data_fin and not self._data_left)

    def _next(self) -> Control | Data | bool | None:
        """Take a frame's head: a whole frame, or True when a data frame has begun, or None when more must come."""
        first, second = _HEAD.unpack_from(self._buffer)
        flags, length = second >> 24, second & MAX_DATA_BYTES
        if not first & _CONTROL:
            del self._buffer[: _HEAD.size]
            self._data_id, self._data_fin, self._data_left = first & _STREAM_ID, bool(flags & Flag.FIN), length
            return True if length else Data(self._data_id, b"", self._data_fin)
        version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
        if version != VERSION:
            raise FrameError(f"SPDY version {version}; this side speaks {VERSION}")
        if length > MAX_CONTROL_BYTES:
            raise FrameError(f"control frame of {length} bytes; at most {MAX_CONTROL_BYTES} are allowed")
        if len(self._buffer) < _HEAD.size + length:
            return None
        payload = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
        del self._buffer[: _HEAD.size + length]
        return Control(kind, flags, payload)

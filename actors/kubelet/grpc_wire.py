"""What gRPC puts into HTTP/2: messages with their length, a request's headers, a status in the trailers. Pure.

Source: gRPC's "gRPC over HTTP2". Nothing is compressed: messages to a runtime or a probe on the same machine gain
nothing by it.

Neighbours: `grpc_channel` does the talking.
"""

import math
import struct
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

PREFIX = struct.Struct("!BI")  # whether it is compressed, and the length of the message that follows
MAX_TIMEOUT = 99_999_999  # the header holds eight digits

CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
# What an answer that is none of gRPC's means, by its HTTP status; and the end of a stream, by HTTP/2's error code.
_OF_HTTP = {
    "400": "INTERNAL",
    "401": "UNAUTHENTICATED",
    "403": "PERMISSION_DENIED",
    "404": "UNIMPLEMENTED",
    "429": "UNAVAILABLE",
    "502": "UNAVAILABLE",
    "503": "UNAVAILABLE",
    "504": "UNAVAILABLE",
}
_OF_RESET = {0x7: "UNAVAILABLE", 0x8: "CANCELLED", 0xB: "RESOURCE_EXHAUSTED", 0xC: "PERMISSION_DENIED"}


class CallFailed(Exception):
    """A call that did not end with OK: the name of its status, as NOT_FOUND, and the other side's words."""

    def __init__(self, code: str, details: str):
        super().__init__(f"{code}: {details}")
        self.code, self.details = code, details


def framed(message: bytes) -> bytes:
    """Return a message as it goes onto a stream."""
    return PREFIX.pack(0, len(message)) + message


class Messages:
    """Puts a stream's data together to messages."""

    __slots__ = ("_limit_bytes", "_rest")

    def __init__(self, limit_bytes: int):
        self._limit_bytes = limit_bytes
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole now; raises CallFailed for one that can't be taken."""
        rest, whole = self._rest, []
        rest += data
        begin = 0
        while len(rest) - begin >= PREFIX.size:
            compressed, length = PREFIX.unpack_from(rest, begin)
            if compressed:
                raise CallFailed("INTERNAL", "a compressed message, which was not asked for")
            if length > self._limit_bytes:
                raise CallFailed("RESOURCE_EXHAUSTED", f"a message of {length} bytes, more than {self._limit_bytes}")
            end = begin + PREFIX.size + length
            if len(rest) < end:
                break
            whole.append(bytes(rest[begin + PREFIX.size : end]))
            begin = end
        del rest[:begin]
        return whole


def request_headers(
    path: str, authority: str, timeout_s: float | None, metadata: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "grpc-kubus"),
        *metadata,
    ]
    if timeout_s is not None:
        headers.append(("grpc-timeout", timeout_header(timeout_s)))
    return headers


def timeout_header(timeout_s: float) -> str:
    """Return a deadline in milliseconds, or in seconds if it is so long; rounded up."""
    milliseconds = max(1, math.ceil(timeout_s * 1000))
    if milliseconds <= MAX_TIMEOUT:
        return f"{milliseconds}m"
    return f"{min(math.ceil(timeout_s), MAX_TIMEOUT)}S"


def failure_of(headers: Mapping[str, str]) -> CallFailed | None:
    """Return the failure that an answer's headers and trailers together tell of; None when they say OK."""
    status = headers.get("grpc-status")
    if status is None:
        http = headers.get(":status", "")
        return CallFailed(_OF_HTTP.get(http, "UNKNOWN"), f"no gRPC status, HTTP status {http or 'missing'}")
    if status == "0":
        return None
    known = status.isascii() and status.isdigit() and int(status) < len(CODES)
    return CallFailed(CODES[int(status)] if known else "UNKNOWN", unquote(headers.get("grpc-message", "")))


def failure_of_reset(error_code: int) -> CallFailed:
    """Return what the end of a stream by RST_STREAM means."""
    return CallFailed(_OF_RESET.get(error_code, "INTERNAL"), f"the stream was reset, HTTP/2 error {error_code}")

"""Kubernetes' channels inside a WebSocket: a message's first byte says which stream the rest belongs to. Pure.

    0 stdin   1 stdout   2 stderr   3 error   4 resize        and with v5: 255, followed by a channel that has ended

In the base64 protocols messages are text: the channel is a digit, the rest is base64. A client that asks for no
protocol speaks the oldest one. On the error channel v4 and v5 send a Status, older ones a sentence, or nothing.

Source: k8s.io/apimachinery's wsstream and remotecommand, KEP-4006. Neighbours: `command` and `port_channels`.
"""

import base64
import binascii
import enum
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from actors.apiserver.streams.websocket import Piece
from actors.kubelet.messages import Input, InputEnd, ProcessInput, Resize

MAX_TEXT_BYTES = 1024 * 1024  # of a base64 message, which must be whole before it is read
MAX_RESIZE_BYTES = 1024
MAX_SIDE = 65_535  # of a terminal, in characters


class Channel(enum.IntEnum):
    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4
    CLOSE = 255


class ChannelError(Exception):
    """A message that is not of the protocol."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """`has_status`: failures are told as a Status. `has_close`: a client can end its stdin."""

    name: str
    is_base64: bool = False
    has_status: bool = False
    has_close: bool = False


COMMAND_PROTOCOLS = (
    Protocol("v5.channel.k8s.io", has_status=True, has_close=True),
    Protocol("v4.channel.k8s.io", has_status=True),
    Protocol("v4.base64.channel.k8s.io", is_base64=True, has_status=True),
    Protocol("v3.channel.k8s.io"),
    Protocol("v2.channel.k8s.io"),
    Protocol("channel.k8s.io"),
    Protocol("base64.channel.k8s.io", is_base64=True),
    Protocol(""),
)
PORT_PROTOCOLS = (
    Protocol("v4.channel.k8s.io"),
    Protocol("v4.base64.channel.k8s.io", is_base64=True),
    Protocol(""),
)


def choose(offered: Sequence[str], known: Sequence[Protocol]) -> Protocol | None:
    """Return the first offered protocol that is known; with nothing offered, the nameless one."""
    by_name = {protocol.name: protocol for protocol in known}
    return next((by_name[name] for name in offered or [""] if name in by_name), None)


def encode(protocol: Protocol, channel: int, data: bytes) -> bytes:
    """Return a message."""
    if protocol.is_base64:
        return str(channel).encode() + base64.b64encode(data)
    return bytes((channel,)) + data


class Decoder:
    """Takes pieces of messages, gives (channel, data): pieces of a binary message at once, a text when it is whole."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._channel = -1
        self._text = bytearray()

    def feed(self, piece: Piece) -> Iterator[tuple[int, bytes]]:
        """Yield what the piece completes. Raises ChannelError."""
        if self._protocol.is_base64:
            yield from self._feed_text(piece)
            return
        data = piece.data
        if piece.begins:
            self._channel = -1
        if self._channel < 0:
            if not data:
                return
            self._channel, data = data[0], data[1:]
        yield self._channel, data

    def _feed_text(self, piece: Piece) -> Iterator[tuple[int, bytes]]:
        if piece.begins:
            self._text.clear()
        self._text += piece.data
        if len(self._text) > MAX_TEXT_BYTES:
            raise ChannelError(f"a base64 message has at most {MAX_TEXT_BYTES} bytes")
        if not piece.ends or not self._text:
            return
        digit = self._text[:1]
        if not digit.isdigit():
            raise ChannelError("a base64 message begins with the digit of its channel")
        try:
            yield int(digit), base64.b64decode(self._text[1:])
        except binascii.Error as error:
            raise ChannelError(f"not base64: {error}") from error


class CommandDecoder:
    """What a client tells a command, out of the pieces of its messages."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._decoder = Decoder(protocol)
        self.sizes = SizeReader()

    def feed(self, piece: Piece) -> Iterator[ProcessInput]:
        """Yield input, its end, and sizes. Raises ChannelError; what is for no channel of a client is ignored."""
        for channel, data in self._decoder.feed(piece):
            if channel == Channel.STDIN:
                if data:
                    yield Input(data)
            elif channel == Channel.RESIZE:
                yield from self.sizes.feed(data)
            elif channel == Channel.CLOSE and self._protocol.has_close and data[:1] == bytes((Channel.STDIN,)):
                yield InputEnd()


class SizeReader:
    """Sizes of a terminal: JSON documents, one after the other, cut anywhere."""

    def __init__(self) -> None:
        self._text = ""
        self._decoder = json.JSONDecoder()

    def feed(self, data: bytes) -> Iterator[Resize]:
        """Yield the sizes that are complete. What is no size is dropped, as a terminal works without."""
        self._text = (self._text + data.decode("latin-1")).lstrip()
        while self._text:
            try:
                document, end = self._decoder.raw_decode(self._text)
            except (ValueError, RecursionError):
                if len(self._text) > MAX_RESIZE_BYTES:
                    self._text = ""
                return
            self._text = self._text[end:].lstrip()
            size = _size(document)
            if size is not None:
                yield size


def _size(document: object) -> Resize | None:
    if not isinstance(document, dict):
        return None
    width, height = document.get("Width"), document.get("Height")
    if type(width) is int and type(height) is int and 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE:
        return Resize(width, height)
    return None

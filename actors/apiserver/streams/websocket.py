"""A WebSocket on a connection that was upgraded: messages in pieces as they come, whole messages out.

The framing, its checks, pings and the closing handshake are those of the `websockets` library's core without I/O.

What can go wrong: a peer that breaks the protocol is told the code, and the connection is closed; to the reader that is
the same as a peer that closed it.

Neighbours: `wire` below; `channels` and SPDY above.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.utils import accept_key

from actors.apiserver.streams.wire import Wire, WireClosed

MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # of one message; clients of Kubernetes send at most some 32 KiB in one
SEND_BYTES = 256 * 1024  # of one message of ours
CLOSE_S = 5.0  # for the peer's answer to our closing


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a message. `begins` and `ends` tell where in the message it is."""

    data: bytes
    begins: bool = True
    ends: bool = True


def handshake(key: str, protocol: str) -> dict[str, str]:
    """Return the headers of the 101 that accepts a WebSocket."""
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept_key(key)}
    return headers | ({"Sec-WebSocket-Protocol": protocol} if protocol else {})


def refusal_of_handshake(header: Callable[[str], str]) -> str:
    """Return what is wrong with a request to upgrade to a WebSocket, or nothing."""
    if header("sec-websocket-version").strip() != "13":
        return "Sec-WebSocket-Version must be 13"
    if not header("sec-websocket-key").strip():
        return "Sec-WebSocket-Key is missing"
    return ""


class WebSocket:
    """One task receives; any may send."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=MAX_MESSAGE_BYTES)
        self._pieces: deque[Piece] = deque()

    async def receive(self) -> Piece | None:
        """Return the next piece of a message; None when the peer has closed, or is gone."""
        while not self._pieces:
            if self._protocol.state is not State.OPEN:
                return None
            data = await self._wire.read()
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            for frame in self._protocol.events_received():
                assert isinstance(frame, Frame), "no handshake happens here"
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    self._pieces.append(Piece(bytes(frame.data), frame.opcode is not Opcode.CONT, frame.fin))
            await self._flush()
            if not data and not self._pieces:
                return None
        return self._pieces.popleft()

    async def send(self, data: bytes, *, text: bool = False) -> None:
        """Send a message; wait while the peer takes too little. Raises WireClosed."""
        try:
            self._put(data, text=text)
        except InvalidState as error:
            raise WireClosed("the WebSocket is closed") from error
        await self._flush()

    async def close(self, last: bytes = b"", *, text: bool = False) -> None:
        """Say that the WebSocket ends, and wait a little for the peer to say so too, or to hang up.

        A last message goes out in one piece with the end. Some clients hang up when they have read the message, with a
        thread of theirs still in the midst of reading: it would take the bytes of whatever they connect to next.
        """
        if self._protocol.state is not State.OPEN:
            return
        if last:
            self._put(last, text=text)
        self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        try:
            if last:
                await self._flush()  # for as long as the peer takes
            async with asyncio.timeout(CLOSE_S):
                await self._flush()
                while self._protocol.close_rcvd is None and (data := await self._wire.read()):
                    self._protocol.receive_data(data)
                    self._protocol.events_received()
        except (TimeoutError, WireClosed):
            return

    def _put(self, data: bytes, *, text: bool) -> None:
        """Frame a message. Raises InvalidState when the WebSocket is not open."""
        if text:
            self._protocol.send_text(data)
        else:
            self._protocol.send_binary(data)

    async def _flush(self) -> None:
        out = [data for data in self._protocol.data_to_send() if data]
        if out:
            await self._wire.write(out[0] if len(out) == 1 else b"".join(out))


class WebSocketBytes:
    """A WebSocket as a stream of bytes: where messages begin and end means nothing."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while (piece := await self._socket.receive()) is not None:
            if piece.data:
                return piece.data
        return b""

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), SEND_BYTES):
            await self._socket.send(data[at : at + SEND_BYTES])

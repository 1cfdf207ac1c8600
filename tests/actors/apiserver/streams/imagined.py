"""The two ends that the API server's streams join, imagined: a client's connection, and a kubelet's stream."""

import asyncio
from contextlib import asynccontextmanager

import orjson
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State

from actors.apiserver.http_connection import Connection
from bus import BusError
from tests.actors.apiserver.api_harness import ADMIN, Api
from tests.actors.apiserver.test_http_connection import Peer


class Transport:
    """What the connection writes is kept; it is written to by `Client.send`."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.last = b""  # of what was written
        self.closed = False
        self.reading = True
        self.wrote = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written += data
        self.last = bytes(data)
        self.wrote.set()

    def close(self) -> None:
        self.closed = True
        self.wrote.set()

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str) -> None:
        return None


class Client:
    """A client's end of a connection to an API."""

    def __init__(self, api: Api, identity=ADMIN) -> None:
        self.transport = Transport()
        self.tasks: set = set()
        self.connection = Connection(Peer(api).connection._front, set(), self.tasks)
        self.connection.connection_made(self.transport)
        self.connection.identity = identity

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: api", *(f"{name}: {value}" for name, value in headers.items())]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def receive(self) -> bytes:
        """What has been written since; b"" when the connection was closed."""
        async with asyncio.timeout(5):
            while not self.transport.written and not self.transport.closed:
                self.transport.wrote.clear()
                await self.transport.wrote.wait()
        data = bytes(self.transport.written)
        self.transport.written.clear()
        return data

    async def head(self) -> tuple[int, dict[str, str], bytes]:
        """The head of an answer, and what came with it."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = await self.receive()
            assert more, "the connection was closed"
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in pairs}, rest

    async def status(self) -> dict:
        """The Status that refuses a request."""
        _, _, rest = await self.head()
        return orjson.loads(rest)

    async def hang_up(self) -> None:
        self.transport.closed = True
        self.connection.connection_lost(None)
        async with asyncio.timeout(5):
            while self.tasks:
                await asyncio.sleep(0)


class WebSocketClient:
    """A WebSocket on such a connection."""

    def __init__(self, client: Client, early: bytes = b"") -> None:
        self._client = client
        self._protocol = Protocol(Side.CLIENT, state=State.OPEN)
        self._messages: list[bytes] = []
        self.close_code: int | None = None
        self._take(early)

    @staticmethod
    async def open(client: Client, path: str, *protocols: str) -> "WebSocketClient":
        client.ask("GET", path, WEBSOCKET | ({"Sec-WebSocket-Protocol": ", ".join(protocols)} if protocols else {}))
        status, headers, early = await client.head()
        assert status == 101, early
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert headers.get("sec-websocket-protocol", "") in (*protocols, "")
        return WebSocketClient(client, early)

    def send(self, message: bytes) -> None:
        self._protocol.send_binary(message)
        self._flush()

    async def receive(self) -> bytes | None:
        """The next message; None when the server has closed."""
        while not self._messages and self.close_code is None:
            data = await self._client.receive()
            if not data:
                return None
            self._take(data)
        return self._messages.pop(0) if self._messages else None

    async def everything(self) -> list[bytes]:
        found = []
        while (message := await self.receive()) is not None:
            found.append(message)
        return found

    def _take(self, data: bytes) -> None:
        if data:
            self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if frame.opcode is Opcode.CLOSE:
                self.close_code = int.from_bytes(frame.data[:2], "big")
            elif frame.opcode in (Opcode.BINARY, Opcode.TEXT):
                self._messages.append(bytes(frame.data))
        self._flush()

    def _flush(self) -> None:
        data = b"".join(self._protocol.data_to_send())
        if data:
            self._client.send(data)


WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",  # of RFC 6455, section 1.3
}


class KubeletStream:
    """A stream to a kubelet, played by the test: `say` gives it items, `heard` is what was sent to it."""

    def __init__(self) -> None:
        self._items: asyncio.Queue = asyncio.Queue()
        self.heard: list = []
        self.hears = asyncio.Event()
        self.ended = False
        self.closed = asyncio.Event()

    def say(self, *items) -> None:
        for item in items:
            self._items.put_nowait(item)

    def __aiter__(self):
        return self

    async def __anext__(self):
        item = await self._items.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, BusError):
            raise item
        return item

    async def send(self, record) -> None:
        self.heard.append(record)
        self.hears.set()

    def end(self) -> None:
        self.ended = True
        self.hears.set()

    async def until(self, condition) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.hears.clear()
                await self.hears.wait()


class Kubelets:
    """Every stream that the API server opens is one of the test's."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, object, KubeletStream]] = []
        self.prepare = lambda request, stream: None
        self.answer: object = None

    @asynccontextmanager
    async def duplex(self, node: str, request):
        stream = KubeletStream()
        self.opened.append((node, request, stream))
        self.prepare(request, stream)
        try:
            yield stream
        finally:
            stream.closed.set()

    async def ask(self, node: str, request):
        self.opened.append((node, request, None))
        return self.answer

"""One HTTP/1.1 request and its answer over a pipe, for the proxies: heads are rewritten, bodies pass as they come.

What can go wrong: the server answers no HTTP, or breaks off: `PipeBroken`. Before the answer's head that becomes a
Status of the client's; in the midst of a body the client's answer breaks off, too.

Neighbours: `pipe` below, `proxy` above.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator

import httptools

from actors.apiserver.streams.pipe import Pipe, PipeBroken
from actors.apiserver.streams.wire import Wire, WireClosed

MAX_HEAD_BYTES = 64 * 1024  # of an answer; Go's client allows 1 MB, servers behind a proxy send a few hundred bytes

# Headers that are about one connection and not about the message: RFC 9110, section 7.6.1.
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "content-length", "host"}
)  # fmt: skip

Pairs = list[tuple[str, str]]


class HeaderPairs:
    """Headers of which some may come more than once, such as Set-Cookie."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = list(pairs)

    def items(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


def request_head(method: str, target: str, host: str, headers: Pairs, body_bytes: int, upgrade: str = "") -> bytes:
    """Return a request's head. `headers` are the client's, without those of its connection."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers if name not in HOP_BY_HOP]
    if body_bytes or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {body_bytes}")
    lines += ["Connection: Upgrade", f"Upgrade: {upgrade}"] if upgrade else ["Connection: close"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Exchange:
    """The answer to one request. `begin` first; then `status`, `headers` and the rest are there."""

    def __init__(self, pipe: Pipe, method: str) -> None:
        self._pipe = pipe
        self._is_head = method == "HEAD"
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self._has_head = False
        self._pieces: deque[bytes] = deque()
        self.status = 0
        self.headers: Pairs = []
        self.is_whole = False  # the body has ended
        self.is_upgraded = False
        self.early = b""  # of the other protocol, when it is upgraded

    async def begin(self, head: bytes, body: bytes) -> None:
        """Send the request and read the answer's head. Raises PipeBroken."""
        await self._pipe.write(head + body)
        while not self._has_head:
            data = await self._pipe.read()
            if not data:
                raise PipeBroken("the server hung up without an answer")
            self._feed(data)

    async def body(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes. Raises PipeBroken when it is cut short."""
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self.is_whole:
                return
            data = await self._pipe.read()
            if data:
                self._feed(data)
            elif self._ends_with_connection:
                return
            else:
                raise PipeBroken("the server broke off in the midst of its answer")

    def at_hand(self) -> bytes | None:
        """Return the whole body if it has come already."""
        return b"".join(self._pieces) if self.is_whole else None

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def _ends_with_connection(self) -> bool:
        return not self.header("content-length") and "chunked" not in self.header("transfer-encoding").lower()

    def _feed(self, data: bytes) -> None:
        if self.is_whole:
            return
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES + len(data):
                raise PipeBroken("the head of the server's answer is too long")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.is_upgraded, self.early = True, data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if not self.is_whole:
                raise PipeBroken(f"the server answers no HTTP: {error}") from error

    # What the parser finds

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return
        self.status = status
        self._has_head = True
        if self._is_head or status in (101, 204, 304):
            self.is_whole = True

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        if self._has_head:
            self.is_whole = True
        else:
            self.headers.clear()  # of an interim answer


async def splice(wire: Wire, pipe: Pipe, early: bytes) -> None:
    """Join a client and a server that have left HTTP, until either ends."""

    async def to_server() -> None:
        while data := await wire.read():
            await pipe.write(data)

    async def to_client() -> None:
        if early:
            await wire.write(early)
        while data := await pipe.read():
            await wire.write(data)

    ways = [asyncio.ensure_future(to_server()), asyncio.ensure_future(to_client())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            if way.done():
                way.result()
    except (PipeBroken, WireClosed):
        return
    finally:
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)

"""Attaching to a container through containerd's own streaming server: SPDY over HTTP on loopback.

CRI's Attach answers with a URL that is good once. The connection is upgraded there to SPDY, and the streams are opened
in the order of Kubernetes' remote command protocol, version 4: error, stdin, stdout, stderr, resize.

What can go wrong: the container ends, and with it the attachment; containerd dies: the same, loudly. containerd says
nothing when it has joined the outputs, and takes input a moment before: what a container answers to that at once may be
in its log only.
"""

import asyncio
import contextlib
import json
from urllib.parse import urlsplit

from actors.api.spdy.connection import Role, SpdyError
from actors.api.spdy.session import Session, SessionEnded, SpdyStream
from actors.kubelet.runtime import RuntimeRefused, RuntimeUnreachable
from actors.kubelet.streaming.process import Piece, Stdio

PROTOCOL = "v4.channel.k8s.io"
UPGRADE_S = 10.0  # to connect, and to get the answer
MAX_ANSWER_BYTES = 16 * 1024  # of the upgrade's answer, or of a refusal's beginning
UNREAD_PIECES = 4  # of both outputs together, before the streams themselves hold back
READ_BYTES = 128 * 1024


class Socket:
    """A connection's bytes, for the session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        try:
            return await self._reader.read(READ_BYTES)
        except OSError:
            return b""

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise SessionEnded(str(error)) from error

    def close(self) -> None:
        self._writer.close()


class Attachment:
    """A container's stdio as a `Process` whose end is the end of the attachment."""

    def __init__(self, socket: Socket, session: Session):
        self._socket = socket
        self._session = session
        self._running = asyncio.ensure_future(self._run())
        self._pumps: list[asyncio.Task[None]] = []
        self._pieces: asyncio.Queue[Piece | None] = asyncio.Queue(UNREAD_PIECES)
        self._outputs = 0
        self._errors: SpdyStream | None = None
        self._stdin: SpdyStream | None = None
        self._sizes: SpdyStream | None = None

    @staticmethod
    async def open(url: str, stdio: Stdio) -> "Attachment":
        """Connect and open the streams. Raises a RuntimeFault."""
        try:
            async with asyncio.timeout(UPGRADE_S):
                socket = await _upgrade(url)
                made = Attachment(socket, Session(Role.CLIENT, socket))
                try:
                    await made._open_streams(stdio)
                except BaseException:
                    await made.close()
                    raise
                return made
        except TimeoutError as error:
            raise RuntimeUnreachable("containerd's streaming server did not answer in time") from error
        except (OSError, SessionEnded) as error:
            raise RuntimeUnreachable(f"containerd's streaming server: {error}") from error

    async def _open_streams(self, stdio: Stdio) -> None:
        session = self._session
        self._errors = await session.open({"streamtype": "error"})
        if stdio.stdin:
            self._stdin = await session.open({"streamtype": "stdin"})
        for wanted, kind in ((stdio.stdout, "stdout"), (stdio.stderr, "stderr")):
            if wanted:
                self._pump(await session.open({"streamtype": kind}), kind == "stderr")
        if stdio.tty:
            self._sizes = await session.open({"streamtype": "resize"})

    def _pump(self, stream: SpdyStream, is_stderr: bool) -> None:
        async def pump() -> None:
            while data := await stream.read():
                await self._pieces.put(Piece(data, is_stderr))
            await self._pieces.put(None)

        self._outputs += 1
        self._pumps.append(asyncio.ensure_future(pump()))

    async def _run(self) -> None:
        with contextlib.suppress(SpdyError, SessionEnded):
            await self._session.run()

    async def read(self) -> Piece | None:
        while self._outputs:
            piece = await self._pieces.get()
            if piece is not None:
                return piece
            self._outputs -= 1
        return None

    async def write(self, data: bytes) -> None:
        if self._stdin is not None:
            with contextlib.suppress(SessionEnded):
                await self._stdin.write(data)

    async def end_stdin(self) -> None:
        if self._stdin is not None:
            await self._stdin.end()

    async def resize(self, width: int, height: int) -> None:
        if self._sizes is not None:
            with contextlib.suppress(SessionEnded):
                await self._sizes.write(json.dumps({"Width": width, "Height": height}).encode())

    async def wait(self) -> int:
        """Return 0: the attachment's end says nothing of the container's. Raises RuntimeRefused if it never began."""
        said = b""
        while self._errors is not None and (data := await self._errors.read()) and len(said) < MAX_ANSWER_BYTES:
            said += data
        failure = _failure(said)
        if failure:
            raise RuntimeRefused(failure)
        return 0

    async def close(self) -> None:
        self._socket.close()
        tasks = [*self._pumps, self._running]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _failure(status: bytes) -> str:
    """Return what a Status on the error stream complains of; empty when it is a success, or none came."""
    if not status:
        return ""
    try:
        document = json.loads(status)
        return "" if document.get("status") == "Success" else str(document.get("message") or "attaching failed")
    except (ValueError, AttributeError):
        return status.decode("utf-8", "replace")


async def _upgrade(url: str) -> Socket:
    """Connect to the URL and change to SPDY. Raises OSError, RuntimeRefused."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=READ_BYTES)
    try:
        writer.write(
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            f"X-Stream-Protocol-Version: {PROTOCOL}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        status = answer.split(b"\r\n", 1)[0].decode("latin-1")
        if " 101 " not in f"{status} ":
            said = (await reader.read(MAX_ANSWER_BYTES)).decode("utf-8", "replace").strip()
            raise RuntimeRefused(f"containerd's streaming server refuses to attach: {status} {said}")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise RuntimeUnreachable("containerd's streaming server answers no HTTP") from error
    except BaseException:
        writer.close()
        raise
    return Socket(reader, writer)

"""A command's client joined to its kubelet: what either sends is handed to the other, at the slower one's pace.

The client may speak WebSocket channels or SPDY; both are a `CommandClient`. When the client goes away, the stream to
the kubelet is let go of, which kills the command of an exec. When the command ends, its Status is the last thing that
the client hears.

Neighbours: `connect` starts this on an upgraded connection; `channels` and `outcome` say how it looks on the wire.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol

from actors.api.spdy.session import Session, SessionEnded, SpdyStream
from actors.apiserver.streams import channels, outcome
from actors.apiserver.streams.channels import Channel, ChannelError, CommandDecoder, SizeReader
from actors.apiserver.streams.websocket import WebSocket
from actors.apiserver.streams.wire import WireClosed
from actors.kubelet.messages import Accepted, Exited, Input, InputEnd, Output, ProcessInput
from bus import BusError

STREAMS_S = 30.0  # for an SPDY client to open its streams; Kubernetes' own limit


class CommandClient(Protocol):
    def inputs(self) -> AsyncGenerator[ProcessInput, None]:
        """Yield what the client sends, until it is gone."""

    async def output(self, data: bytes, is_stderr: bool) -> None:
        """Send output; WireClosed or SessionEnded when the client is gone."""

    async def finish(self, status: dict[str, Any]) -> None:
        """Tell how the command ended, and close."""


class KubeletStream(Protocol):
    """A stream of the bus that goes both ways."""

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def send(self, record: Any) -> None: ...


async def relay(client: CommandClient, kubelet: KubeletStream, node: str, pod: str) -> None:
    """Join the two until the command has ended, or the client is gone."""
    feeding = asyncio.ensure_future(_feed(client, kubelet))
    running = asyncio.ensure_future(_run(client, kubelet, node, pod))
    try:
        await asyncio.wait([feeding, running], return_when=asyncio.FIRST_COMPLETED)
        if feeding.done() and not running.done():
            feeding.result()
            return
        status = await running
        feeding.cancel()
        await asyncio.wait([feeding])
        await client.finish(status)
    except (WireClosed, SessionEnded):
        return  # the client went away in the midst of it
    finally:
        for task in (feeding, running):
            task.cancel()
        await asyncio.wait([feeding, running])


async def _feed(client: CommandClient, kubelet: KubeletStream) -> None:
    """Hand on what the client sends; returns when it is gone. A kubelet that takes no more is `_run`'s to notice."""
    takes = True
    async with aclosing(client.inputs()) as items:
        async for item in items:
            if takes:
                try:
                    await kubelet.send(item)
                except BusError:
                    takes = False


async def _run(client: CommandClient, kubelet: KubeletStream, node: str, pod: str) -> dict[str, Any]:
    """Hand on what the command says; returns the Status of its end."""
    try:
        async for item in kubelet:
            match item:
                case Output(data, is_stderr):
                    await client.output(data, is_stderr)
                case Exited(exit_code):
                    return outcome.of_exit(exit_code)
                case Accepted():
                    continue
    except BusError as error:
        return outcome.of_failure(outcome.refusal(error, node, pod))
    return outcome.of_failure(outcome.refusal(BusError("the stream ended before the command did"), node, pod))


class WebSocketCommand:
    """A client that speaks channels in a WebSocket."""

    def __init__(self, socket: WebSocket, protocol: channels.Protocol) -> None:
        self._socket = socket
        self._protocol = protocol

    async def begin(self, first: Channel) -> None:
        """Send an empty message, by which clients learn that the connection stands."""
        await self._send(first, b"")

    async def inputs(self) -> AsyncGenerator[ProcessInput, None]:
        decoder = CommandDecoder(self._protocol)
        try:
            while (piece := await self._socket.receive()) is not None:
                for item in decoder.feed(piece):
                    yield item
        except (ChannelError, WireClosed):
            return

    async def output(self, data: bytes, is_stderr: bool) -> None:
        await self._send(Channel.STDERR if is_stderr else Channel.STDOUT, data)

    async def finish(self, status: dict[str, Any]) -> None:
        last = b""
        if self._protocol.has_status:
            last = channels.encode(self._protocol, Channel.ERROR, json.dumps(status).encode())
        elif status["status"] != "Success":
            last = channels.encode(self._protocol, Channel.ERROR, status["message"].encode())
        await self._socket.close(last, text=self._protocol.is_base64)

    async def _send(self, channel: Channel, data: bytes) -> None:
        await self._socket.send(channels.encode(self._protocol, channel, data), text=self._protocol.is_base64)


class SpdyCommand:
    """A client that speaks SPDY on the upgraded connection itself, as kubectl did before 1.31 and many libraries do."""

    def __init__(self, session: Session, streams: dict[str, SpdyStream], has_status: bool) -> None:
        self._session = session
        self._streams = streams
        self._has_status = has_status

    async def inputs(self) -> AsyncGenerator[ProcessInput, None]:
        """Yield input and sizes as they come from two streams; ends when the session has ended."""
        items: asyncio.Queue[ProcessInput | None] = asyncio.Queue(1)
        pumps = [asyncio.ensure_future(self._pump_stdin(items)), asyncio.ensure_future(self._pump_sizes(items))]
        ending = asyncio.ensure_future(self._end_with_session(items))
        try:
            while (item := await items.get()) is not None:
                yield item
        finally:
            for task in (*pumps, ending):
                task.cancel()
            await asyncio.wait([*pumps, ending])

    async def _end_with_session(self, items: "asyncio.Queue[ProcessInput | None]") -> None:
        await self._session.ended.wait()
        await items.put(None)

    async def _pump_stdin(self, items: "asyncio.Queue[ProcessInput | None]") -> None:
        stream = self._streams.get("stdin")
        if stream is not None:
            while data := await stream.read():
                await items.put(Input(data))
            await items.put(InputEnd())

    async def _pump_sizes(self, items: "asyncio.Queue[ProcessInput | None]") -> None:
        stream = self._streams.get("resize")
        sizes = SizeReader()
        while stream is not None and (data := await stream.read()):
            for size in sizes.feed(data):
                await items.put(size)

    async def output(self, data: bytes, is_stderr: bool) -> None:
        stream = self._streams.get("stderr" if is_stderr else "stdout")
        if stream is not None:
            await stream.write(data)

    async def finish(self, status: dict[str, Any]) -> None:
        stream = self._streams["error"]
        if self._has_status:
            await stream.write(json.dumps(status).encode())
        elif status["status"] != "Success":
            await stream.write(status["message"].encode())
        for one in self._streams.values():
            await one.end()
        await self._session.go_away()


class SpdyStreams:
    """Gathers the streams that an SPDY client opens, by their type."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self.found: dict[str, SpdyStream] = {}
        self._complete = asyncio.Event()
        self._unwanted: set[asyncio.Task[None]] = set()

    def on_stream(self, stream: SpdyStream) -> None:
        kind = stream.headers.get("streamtype", "")
        if kind in self._wanted and kind not in self.found:
            self.found[kind] = stream
        else:
            task = asyncio.ensure_future(stream.reset())
            self._unwanted.add(task)
            task.add_done_callback(self._unwanted.discard)
        if self.found.keys() == self._wanted:
            self._complete.set()

    async def complete(self) -> dict[str, SpdyStream] | None:
        """Return the streams when all are there; None when the client took too long."""
        try:
            async with asyncio.timeout(STREAMS_S):
                await self._complete.wait()
        except TimeoutError:
            return None
        return self.found

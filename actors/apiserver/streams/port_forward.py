"""Port-forward by SPDY: for each connection that a client forwards, a stream of data and one for an error.

The client opens the two streams with the same `requestid` and its `port`, the error stream first. A tunnel of the
pod's kubelet carries the data; either side may end its way first. A connection that could not be made is told on the
error stream, and costs no other connection anything.

Source: k8s.io/kubelet's portforward, KEP-4006. Neighbours: `connect` runs this in a WebSocket or on the connection
itself; `port_channels` is the same with WebSocket channels.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from actors.api.spdy.connection import Role, SpdyError
from actors.api.spdy.session import ByteStream, Session, SessionEnded, SpdyStream
from actors.apiserver.integers import port_of
from actors.apiserver.streams.wire import WireClosed
from actors.kubelet.messages import TunnelData
from bus import BusError

PAIR_S = 30.0  # for the second stream of a pair to be opened; Kubernetes' own limit


class TunnelStream(Protocol):
    """A tunnel's stream of the bus; its first item is empty, a later empty one ends the pod's way."""

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def send(self, record: Any) -> None: ...

    def end(self) -> None: ...


OpenTunnel = Callable[[int], AbstractAsyncContextManager[TunnelStream]]


class PortForward:
    """All the connections of one client."""

    def __init__(self, below: ByteStream, open_tunnel: OpenTunnel, target: str) -> None:
        self._session = Session(Role.SERVER, below, self._on_stream)
        self._open_tunnel = open_tunnel
        self._target = target
        self._waiting: dict[str, SpdyStream] = {}  # error streams without their data, by request id
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the client is gone."""
        try:
            await self._session.run()
        except (SpdyError, SessionEnded, WireClosed):
            return
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def _on_stream(self, stream: SpdyStream) -> None:
        kind = stream.headers.get("streamtype", "")
        # Clients from before request ids open the data stream right after the error stream.
        request_id = stream.headers.get("requestid") or str(stream.id if kind == "error" else stream.id - 2)
        if kind == "error":
            self._waiting[request_id] = stream
            self._spawn(self._expire(request_id))
        elif kind == "data" and request_id in self._waiting:
            self._spawn(self._forward(stream, self._waiting.pop(request_id)))
        else:
            self._spawn(stream.reset())

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _expire(self, request_id: str) -> None:
        """Give up an error stream whose data stream never came."""
        stream = self._waiting[request_id]
        await asyncio.sleep(PAIR_S)
        if self._waiting.get(request_id) is stream:
            del self._waiting[request_id]
            await stream.reset()

    async def _forward(self, data: SpdyStream, error: SpdyStream) -> None:
        port = data.headers.get("port", "")
        try:
            number = port_of(port)
            if number is None:
                raise BusError(f'"{port[:64]}" is no port')
            async with self._open_tunnel(number) as tunnel:
                await _join(data, tunnel)
        except BusError as failure:
            message = f"error forwarding port {port} to pod {self._target}: {failure.message}"
            await _say(error, message)
        except (SessionEnded, WireClosed):
            return
        finally:
            try:
                await data.end()
            finally:
                await error.end()


async def _say(error: SpdyStream, message: str) -> None:
    try:
        await error.write(message.encode())
    except (SessionEnded, WireClosed):
        return


async def _join(data: SpdyStream, tunnel: TunnelStream) -> None:
    """Hand on both ways until both have ended, or the client broke off."""
    incoming = asyncio.ensure_future(_to_pod(data, tunnel))
    outgoing = asyncio.ensure_future(_to_client(data, tunnel))
    try:
        await asyncio.wait([incoming, outgoing], return_when=asyncio.FIRST_COMPLETED)
        if incoming.done() and data.was_reset:
            return
        await outgoing
    finally:
        for task in (incoming, outgoing):
            task.cancel()
        await asyncio.wait([incoming, outgoing])


async def _to_pod(data: SpdyStream, tunnel: TunnelStream) -> None:
    try:
        while piece := await data.read():
            await tunnel.send(TunnelData(piece))
        tunnel.end()
    except BusError:
        return  # the tunnel's end is told by its other way


async def _to_client(data: SpdyStream, tunnel: TunnelStream) -> None:
    connected = False
    async for item in tunnel:
        if item.data:
            await data.write(item.data)
        elif connected:
            await data.end()
        connected = True

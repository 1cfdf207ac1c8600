"""The kubelet's answers that are streams: exec, attach and tunnels to pods.

Each is a stream of the bus that goes both ways: the caller's items are fed to the process or connection, its output is
sent as it comes, and either is held back by the credit of the other side. When the caller lets go, or is gone, the
stream is cancelled, and with it the command.

What can go wrong: the pod or container is not here or does not run (refused before Accepted); the runtime can't start
the command (FAILED, after Accepted); nobody listens at the port (UNREACHABLE).

Neighbours: `actors.kubelet.serving` answers what is no stream; `process` is what drivers offer.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.messages import (
    BAD_REQUEST,
    FAILED,
    NOT_RUNNING,
    UNREACHABLE,
    UNSUPPORTED,
    Accepted,
    AttachRequest,
    ExecStreamRequest,
    Exited,
    Input,
    InputEnd,
    Output,
    ProcessOutput,
    Resize,
    TunnelData,
    TunnelRequest,
)
from actors.kubelet.observed import is_running
from actors.kubelet.runtime import ContainerStatus, RuntimeDriver, RuntimeFault
from actors.kubelet.serving import Find, container_of, find_pod
from actors.kubelet.streaming.namespace import SocketConnection, connect
from actors.kubelet.streaming.process import NoStreams, Process, Stdio, StreamsUnsupported, Unreachable
from bus import BusError, Context, RemoteError, Server

LOOPBACK = ["127.0.0.1", "::1"]
MAX_PORT = 65_535

Inputs = AsyncIterator[Any]


class StreamServing:
    def __init__(self, find: Find):
        self._find = find

    def register(self, server: Server) -> None:
        server.register(ExecStreamRequest, self.exec)
        server.register(AttachRequest, self.attach)
        server.register(TunnelRequest, self.tunnel)

    async def exec(
        self, request: ExecStreamRequest, context: Context, inputs: Inputs
    ) -> AsyncGenerator[ProcessOutput, None]:
        if not request.command:
            raise RemoteError("you must specify at least one command for the container", kind=BAD_REQUEST)
        _, status, driver = self._running(request)
        yield Accepted()
        stdio = Stdio(request.stdin, request.stdout, request.stderr and not request.tty, request.tty)
        start = driver.streams.exec(status.container.id, request.command, stdio)
        async with aclosing(_conversation(start, inputs)) as items:
            async for item in items:
                yield item

    async def attach(
        self, request: AttachRequest, context: Context, inputs: Inputs
    ) -> AsyncGenerator[ProcessOutput, None]:
        container, status, driver = self._running(request)
        tty = bool(container.get("tty"))
        if request.stdin and not container.get("stdin"):
            message = f"container {container['name']} has no stdin to attach to (its spec does not say stdin: true)"
            raise RemoteError(message, kind=BAD_REQUEST)
        yield Accepted()
        stdio = Stdio(request.stdin, request.stdout, request.stderr and not tty, tty)
        start = driver.streams.attach(status.container.id, stdio)
        async with aclosing(_conversation(start, inputs)) as items:
            async for item in items:
                yield item

    async def tunnel(
        self, request: TunnelRequest, context: Context, inputs: Inputs
    ) -> AsyncGenerator[TunnelData, None]:
        if not 0 < request.port <= MAX_PORT:
            raise RemoteError(f"{request.port} is not a port", kind=BAD_REQUEST)
        try:
            connection = await self._connect(request)
        except RuntimeFault as fault:
            raise _refusal(fault) from fault
        feeder = asyncio.ensure_future(_feed_connection(connection, inputs))
        try:
            yield TunnelData(b"")
            while data := await _read(connection):
                yield TunnelData(data)
            yield TunnelData(b"")  # the pod sends no more; the caller may
            await feeder
        finally:
            connection.close()
            await _stop(feeder)

    async def _connect(self, request: TunnelRequest) -> SocketConnection:
        pod, look, driver = find_pod(self._find, request.namespace, request.pod, request.uid)
        found = look().ready_sandbox
        if found is None:
            raise RemoteError(f"pod {pods.name(pod)} does not run", kind=NOT_RUNNING)
        namespace = await driver.streams.namespace(found.sandbox.id)
        if request.inside:
            return await connect(namespace, LOOPBACK, request.port)
        status = pod.get("status") or {}
        addresses = list(found.ips) or [item["ip"] for item in status.get("podIPs") or ()]
        if not addresses:
            raise RemoteError(f"pod {pods.name(pod)} has no address", kind=NOT_RUNNING)
        return await connect(None, addresses, request.port)

    def _running(
        self, request: ExecStreamRequest | AttachRequest
    ) -> tuple[pods.ContainerDict, ContainerStatus, RuntimeDriver]:
        pod, look, driver = find_pod(self._find, request.namespace, request.pod, request.uid)
        container = container_of(pod, request.container)
        status = look().newest(container["name"])
        if status is None or not is_running(status):
            raise RemoteError(f'container not found ("{container["name"]}"): it is not running', kind=NOT_RUNNING)
        if isinstance(driver.streams, NoStreams):
            raise RemoteError(driver.streams.why, kind=UNSUPPORTED)
        return container, status, driver


async def _conversation(start: Awaitable[Process], inputs: Inputs) -> AsyncGenerator[ProcessOutput, None]:
    """Start a process, or join one, feed it what comes, and yield what it says, until it has ended."""
    try:
        process = await start
    except RuntimeFault as fault:
        raise _refusal(fault) from fault
    feeder = asyncio.ensure_future(_feed(process, inputs))
    try:
        while (piece := await process.read()) is not None:
            yield Output(piece.data, piece.is_stderr)
        yield Exited(await process.wait())
    except RuntimeFault as fault:
        raise _refusal(fault) from fault
    finally:
        try:
            await _stop(feeder)
        finally:  # also when the caller, told of the exit, lets go at this very moment
            await process.close()


async def _feed(process: Process, inputs: Inputs) -> None:
    """Hand on what the caller sends. A process that has ended, or reads no more, is no fault of the caller's."""
    try:
        async for item in inputs:
            match item:
                case Input(data):
                    await process.write(data)
                case InputEnd():
                    await process.end_stdin()
                case Resize(width, height):
                    await process.resize(width, height)
        await process.end_stdin()
    except (RuntimeFault, BusError):
        return


async def _feed_connection(connection: SocketConnection, inputs: Inputs) -> None:
    try:
        async for item in inputs:
            await connection.write(item.data)
        connection.end()
    except (OSError, BusError):
        return


async def _read(connection: SocketConnection) -> bytes:
    """Return the next bytes; a connection that broke has ended, as TCP tells no more to the far end either."""
    try:
        return await connection.read()
    except OSError:
        return b""


async def _stop(feeder: "asyncio.Future[None]") -> None:
    """End a feeder; raises what it raised, if that was a broken invariant."""
    feeder.cancel()
    await asyncio.wait([feeder])
    if not feeder.cancelled():
        feeder.result()


def _refusal(fault: RuntimeFault) -> RemoteError:
    kind = FAILED
    if isinstance(fault, Unreachable):
        kind = UNREACHABLE
    elif isinstance(fault, StreamsUnsupported):
        kind = UNSUPPORTED
    return RemoteError(str(fault), kind=kind)

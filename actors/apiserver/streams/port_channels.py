"""Port-forward by WebSocket channels: one connection for each port that the request names.

Channel 2n carries the data of the n-th port, channel 2n+1 its error. On each the server first says the port, as two
bytes, the lower one first. A client that wants more connections makes more requests.

Source: k8s.io/kubelet's portforward over WebSocket. Neighbours: `port_forward` is the same by SPDY.
"""

import asyncio
import struct

from actors.apiserver.streams import channels
from actors.apiserver.streams.channels import ChannelError, Decoder
from actors.apiserver.streams.port_forward import OpenTunnel
from actors.apiserver.streams.websocket import WebSocket
from actors.apiserver.streams.wire import WireClosed
from actors.kubelet.messages import TunnelData
from bus import BusError

MAX_PORTS = 100  # of one request: channels are bytes, and each port takes two
UNREAD_ITEMS = 8  # of one port, before the whole WebSocket is held back


class PortChannels:
    def __init__(self, socket: WebSocket, protocol: channels.Protocol, ports: list[int], open_tunnel: OpenTunnel,
                 target: str) -> None:  # fmt: skip
        self._socket = socket
        self._protocol = protocol
        self._ports = ports
        self._open_tunnel = open_tunnel
        self._target = target
        self._inputs: list[asyncio.Queue[bytes]] = [asyncio.Queue(UNREAD_ITEMS) for _ in ports]
        self._ended: set[int] = set()  # connections that nothing is read for any more

    async def run(self) -> None:
        """Serve until every connection has ended, or the client is gone."""
        try:
            for index, port in enumerate(self._ports):
                for channel in (2 * index, 2 * index + 1):
                    await self._send(channel, struct.pack("<H", port))
        except WireClosed:
            return
        reading = asyncio.ensure_future(self._read())
        forwarding = asyncio.ensure_future(self._forward_all())
        try:
            await asyncio.wait([reading, forwarding], return_when=asyncio.FIRST_COMPLETED)
            if forwarding.done():
                reading.cancel()
                await asyncio.wait([reading])
                await self._socket.close()
        finally:
            for task in (reading, forwarding):
                task.cancel()
            await asyncio.wait([reading, forwarding])

    async def _forward_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for index in range(len(self._ports)):
                group.create_task(self._forward(index))

    async def _read(self) -> None:
        decoder = Decoder(self._protocol)
        try:
            while (piece := await self._socket.receive()) is not None:
                for channel, data in decoder.feed(piece):
                    index = channel // 2
                    if channel % 2 == 0 and index < len(self._inputs) and index not in self._ended and data:
                        await self._inputs[index].put(data)
        except (ChannelError, WireClosed):
            return

    async def _forward(self, index: int) -> None:
        port = self._ports[index]
        try:
            async with self._open_tunnel(port) as tunnel:
                feeding = asyncio.ensure_future(self._feed(index, tunnel))
                try:
                    connected = False
                    async for item in tunnel:
                        if item.data:
                            await self._send(2 * index, item.data)
                        elif connected:
                            return  # channels can't be half closed
                        connected = True
                finally:
                    feeding.cancel()
                    await asyncio.wait([feeding])
        except BusError as error:
            message = f"error forwarding port {port} to pod {self._target}: {error.message}"
            await self._complain(index, message)
        except WireClosed:
            return
        finally:
            self._ended.add(index)
            while not self._inputs[index].empty():
                self._inputs[index].get_nowait()

    async def _feed(self, index: int, tunnel: object) -> None:
        try:
            while True:
                await tunnel.send(TunnelData(await self._inputs[index].get()))  # type: ignore[attr-defined]
        except BusError:
            return

    async def _complain(self, index: int, message: str) -> None:
        try:
            await self._send(2 * index + 1, message.encode())
        except WireClosed:
            return

    async def _send(self, channel: int, data: bytes) -> None:
        await self._socket.send(channels.encode(self._protocol, channel, data), text=self._protocol.is_base64)

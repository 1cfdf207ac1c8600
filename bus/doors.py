"""One server on several endpoints: a Unix socket for this machine, and an encrypted one for others.

Each endpoint is a port of its own, since what comes over the network must be encrypted and what stays on the machine
need not be. Peers get the number of their port in front of their identity, so that answers find the way back.

Neighbours: `server` uses it when it has more than one endpoint; `transport` opens the ports.
"""

from collections.abc import Callable, Sequence

from bus.socket import Frames
from bus.transport import OnFrames, Port, Transport


class Doors:
    """Ports as one."""

    def __init__(self, transport: Transport, endpoints: Sequence[str], on_frames: OnFrames):
        self._ports: list[Port] = []
        self.endpoints: list[str] = []
        try:
            for number, endpoint in enumerate(endpoints):
                port, bound = transport.listen(endpoint, _with_number(bytes([number]), on_frames))
                self._ports.append(port)
                self.endpoints.append(bound)
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        return all(port.closed for port in self._ports)

    @property
    def trouble(self) -> str:
        return ""

    def send(self, frames: Frames) -> None:
        peer = frames[0]
        self._ports[peer[0]].send((peer[1:], *frames[1:]))

    def drain_now(self) -> None:
        for port in self._ports:
            port.drain_now()

    def close(self) -> None:
        for port in self._ports:
            port.close()


def _with_number(number: bytes, on_frames: OnFrames) -> Callable[..., None]:
    def numbered(message: list[bytes], sender: str = "") -> None:
        message[0] = number + message[0]
        on_frames(message, sender)

    return numbered

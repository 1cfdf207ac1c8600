"""An imagined network: the real protocol code between real servers and clients, with faults from one seed.

Frames are delivered by the running loop's timers, so under a loop with virtual time a run is a function of its seed. As
with ZeroMQ on a connection that holds, frames between two ends arrive in order and once; what a fault does is cut the
connection (what is under way is lost, both ends are told) or stall it (frames wait, nobody is told).

Neighbours: `transport` is the interface; tests in `tests/sim` drive whole components over it.
"""

import asyncio
import itertools
import random
from collections.abc import Iterable

from bus.socket import Frames
from bus.transport import CannotSend, EndpointTaken, OnChange, OnFrames, Port

CONNECT_DELAY_S = 0.001  # from a connect, or from a server's start, to being connected
RECONNECT_S = 0.02  # how often a client without a server looks again


class SimulatedNetwork:
    """All ends by endpoint. `delay_s` is the range from which each message's time under way is drawn."""

    def __init__(self, seed: int, *, delay_s: tuple[float, float] = (0.0001, 0.002)):
        self.random = random.Random(seed)
        self.delay_s = delay_s
        self.delivered = 0
        self.lost = 0
        self._listeners: dict[str, _Listener] = {}
        self._links: set[_Link] = set()
        self._cut: set[tuple[str, str]] = set()
        self._stalled: set[str] = set()
        self._identities = itertools.count(1)

    def transport(self, host: str) -> "SimulatedTransport":
        """Return the transport of one host; hosts are what `cut` separates."""
        return SimulatedTransport(self, host)

    def cut(self, one: str, other: str) -> None:
        """Part two hosts: their connections break, new ones don't come up."""
        self._cut |= {(one, other), (other, one)}
        self._break(link for link in list(self._links) if (link.client_host, link.server_host) in self._cut)

    def heal(self) -> None:
        """Undo every cut and stall."""
        self._cut.clear()
        self._stalled.clear()
        for link in list(self._links):
            link.flush()

    def stall(self, host: str) -> None:
        """Stop a host as SIGSTOP does: frames to it wait, and nobody is told."""
        self._stalled.add(host)

    def is_stalled(self, host: str) -> bool:
        return host in self._stalled

    def may_connect(self, client_host: str, server_host: str) -> bool:
        return (client_host, server_host) not in self._cut

    def _break(self, links: Iterable["_Link"]) -> None:
        for link in links:
            link.sever()


class SimulatedTransport:
    def __init__(self, network: SimulatedNetwork, host: str):
        self._network = network
        self._host = host

    def listen(self, endpoint: str, on_frames: OnFrames) -> tuple[Port, str]:
        if endpoint in self._network._listeners:
            raise EndpointTaken(f"cannot bind {endpoint}: taken")
        listener = _Listener(self._network, self._host, endpoint, on_frames)
        self._network._listeners[endpoint] = listener
        return listener, endpoint

    def connect(self, endpoint: str, on_frames: OnFrames, on_up: OnChange, on_down: OnChange) -> Port:
        return _Dialer(self._network, self._host, endpoint, on_frames, on_up, on_down)


class _Listener:
    def __init__(self, network: SimulatedNetwork, host: str, endpoint: str, on_frames: OnFrames):
        self._network = network
        self.host = host
        self._endpoint = endpoint
        self.on_frames = on_frames
        self.links: dict[bytes, _Link] = {}
        self.closed = False
        self.trouble = ""

    def send(self, frames: Frames) -> None:
        link = self.links.get(frames[0])
        if link is None:
            raise CannotSend("no such peer")
        link.to_client.put(list(frames[1:]))

    def drain_now(self) -> None:
        """Frames arrive one at a time here; there is nothing to drain."""

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            del self._network._listeners[self._endpoint]
            self._network._break(list(self.links.values()))


class _Dialer:
    def __init__(
        self,
        network: SimulatedNetwork,
        host: str,
        endpoint: str,
        on_frames: OnFrames,
        on_up: OnChange,
        on_down: OnChange,
    ):
        self._network = network
        self._host = host
        self._endpoint = endpoint
        self.on_frames = on_frames
        self._on_up = on_up
        self._on_down = on_down
        self._link: _Link | None = None
        self.closed = False
        self.trouble = ""
        self._timer = asyncio.get_running_loop().call_later(CONNECT_DELAY_S, self._dial)

    def send(self, frames: Frames) -> None:
        if self._link is None:
            raise CannotSend("not connected")
        self._link.to_server.put([self._link.identity, *frames])

    def drain_now(self) -> None:
        """Frames arrive one at a time here; there is nothing to drain."""

    def close(self) -> None:
        self.closed = True
        self._timer.cancel()
        if self._link is not None:
            self._link.sever(tell_client=False)

    def lost(self) -> None:
        self._link = None
        if not self.closed:
            self._timer = asyncio.get_running_loop().call_later(RECONNECT_S, self._dial)
            self._on_down()

    def _dial(self) -> None:
        listener = self._network._listeners.get(self._endpoint)
        if listener is None or not self._network.may_connect(self._host, listener.host):
            self._timer = asyncio.get_running_loop().call_later(RECONNECT_S, self._dial)
            return
        self._link = _Link(self._network, self, self._host, listener)
        self._on_up()


class _Link:
    """One connection: two pipes, in order."""

    def __init__(self, network: SimulatedNetwork, dialer: _Dialer, client_host: str, listener: _Listener):
        self._network = network
        self._dialer = dialer
        self._listener = listener
        self.client_host = client_host
        self.server_host = listener.host
        self.identity = b"peer-%d" % next(network._identities)
        self.to_server = _Pipe(network, listener.host, listener.on_frames)
        self.to_client = _Pipe(network, client_host, dialer.on_frames)
        listener.links[self.identity] = self
        network._links.add(self)

    def flush(self) -> None:
        self.to_server.flush()
        self.to_client.flush()

    def sever(self, *, tell_client: bool = True) -> None:
        """Break: what is under way is lost."""
        self._network._links.discard(self)
        self._listener.links.pop(self.identity, None)
        self.to_server.drop()
        self.to_client.drop()
        if tell_client:
            self._dialer.lost()


class _Pipe:
    """Frames under way to one end. Each takes its own time, but none overtakes another."""

    def __init__(self, network: SimulatedNetwork, to_host: str, on_frames: OnFrames):
        self._network = network
        self._host = to_host
        self._on_frames = on_frames
        self._under_way: list[list[bytes]] = []
        self._free_at = 0.0
        self._dropped = False

    def put(self, frames: list[bytes]) -> None:
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time() + self._network.random.uniform(*self._network.delay_s))
        self._under_way.append(frames)
        loop.call_at(self._free_at, self._arrive)

    def flush(self) -> None:
        for _ in range(len(self._under_way)):
            asyncio.get_running_loop().call_soon(self._arrive)

    def drop(self) -> None:
        self._dropped = True
        self._network.lost += len(self._under_way)
        self._under_way.clear()

    def _arrive(self) -> None:
        if self._dropped or not self._under_way or self._network.is_stalled(self._host):
            return
        self._network.delivered += 1
        self._on_frames(self._under_way.pop(0))

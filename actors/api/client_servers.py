"""Which of several API servers a component asks, and when it turns to another one.

The one that answered last is asked again; the next one, when that can't be reached, says that it is stopping, or hangs.
A read is repeated there; a write only if it can't have been done: it was never sent, or refused as one too many. Any
other write without an answer is raised as `Unavailable` or `DeadlineExceeded`, its outcome unknown.

Whether an API server hangs is asked of itself: where a request waits, or a stream is open, it is asked for a sign of
life now and then. So a long list or a slow write is waited for, and a stopped process or a cable that was pulled costs
a component some seconds, not a stream's whole silence.

Neighbours: `client` puts the Kubernetes API on top.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from actors.apiserver.messages import ApiRequest
from bus import BusError, Client, DeadlineExceeded, Directory, Overloaded, Request, StreamLost, Unavailable
from bus.address import node_of
from bus.stream_in import Records
from runtime.background import spawn

CONNECT_S = 0.2  # for a connection to the one asked last; a dead one must not cost the deadline
PAUSE_S = 0.01  # before another attempt; doubles
MAX_PAUSE_S = 0.2
PATIENCE_S = 1.0  # without an answer, or a sign of life while a stream is open; then it is asked for one
SIGN_TIMEOUT_S = 1.5  # for that sign; a busy API server answers from memory in some milliseconds

SIGN_OF_LIFE = ApiRequest("GET", "/livez")


def endpoints_for(directory: Directory, node: str, asker: str = "") -> list[str]:
    """Return the API servers in the order in which the actors of a node ask them.

    Those of the same node come first, as they live and die with whoever asks; where they are several processes, which
    of them is a matter of the asker's name. Nodes without one begin at different ones, so that no API server has them
    all.
    """
    names = directory.of_role("apiserver")
    own = [number for number, name in enumerate(names) if node_of(name) == node]
    if own:
        first = own[zlib.crc32(asker.encode()) % len(own)]
    else:
        first = zlib.crc32(node.encode()) % max(1, len(names))
    return [directory.work(name) for name in names[first:] + names[:first]]


class Servers:
    """API servers by their endpoints on the bus, of which any will do."""

    def __init__(self, client: Client, endpoints: Sequence[str]):
        self._client = client
        self._endpoints = tuple(endpoints)
        self._number = 0  # of the one that is asked next
        self._signs: dict[str, asyncio.Task[bool]] = {}  # questions under way, for a sign of life
        self._streams: dict[Records, str] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def request(self, request: Request, timeout_s: float, *, repeat: bool) -> Any:
        """Return the reply of whoever answers; `repeat` says that the request may be done twice. Raises BusError."""
        loop = asyncio.get_running_loop()
        deadline, pause_s = loop.time() + timeout_s, PAUSE_S
        while True:
            endpoint = self._current
            left_s = deadline - loop.time()
            may_repeat = True
            try:
                await self._reach(endpoint, left_s)
                may_repeat = repeat
                return await self._ask(endpoint, request, deadline - loop.time())
            except (Unavailable, DeadlineExceeded, Overloaded) as error:
                self._turn_from(endpoint)
                may_repeat = may_repeat or (isinstance(error, Overloaded) and len(self._endpoints) > 1)
                if not may_repeat or deadline - loop.time() <= pause_s:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    @asynccontextmanager
    async def stream(self, request: Request, timeout_s: float) -> AsyncIterator[Records]:
        """Open a stream at the first one that can be reached."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        for attempt in range(len(self._endpoints)):
            endpoint = self._current
            try:
                await self._reach(endpoint, deadline - loop.time())
                break
            except Unavailable:
                self._turn_from(endpoint)
                if attempt + 1 == len(self._endpoints):
                    raise
        async with self._client.stream(endpoint, request, timeout_s=max(0.001, deadline - loop.time())) as records:
            self._watch(records, endpoint)
            try:
                yield records
            except (StreamLost, Unavailable, DeadlineExceeded, Overloaded):
                self._turn_from(endpoint)
                raise
            finally:
                self._streams.pop(records, None)

    @property
    def _current(self) -> str:
        if not self._endpoints:
            raise Unavailable("no API server is known")
        return self._endpoints[self._number]

    def _turn_from(self, endpoint: str) -> None:
        """Ask another one from now on, unless somebody else has turned already."""
        if self._endpoints[self._number] == endpoint:
            self._number = (self._number + 1) % len(self._endpoints)

    async def _reach(self, endpoint: str, left_s: float) -> None:
        """Unavailable when it can't be reached soon; nothing was sent then. The only one there is is waited for."""
        patience_s = left_s if len(self._endpoints) == 1 else min(CONNECT_S, left_s)
        if not await self._client.reaches(endpoint, max(0.0, patience_s)):
            raise Unavailable(f"nobody listens at {endpoint}")

    async def _ask(self, endpoint: str, request: Request, left_s: float) -> Any:
        """Ask one API server, for as long as it shows signs of life."""
        asking = self._client.request(endpoint, request, timeout_s=left_s)
        if len(self._endpoints) == 1 or left_s <= PATIENCE_S:
            return await asking
        task = asyncio.ensure_future(asking)
        try:
            while True:
                await asyncio.wait((task,), timeout=PATIENCE_S)
                if task.done():
                    return task.result()
                sign = self._sign(endpoint)
                await asyncio.wait((task, sign), return_when=asyncio.FIRST_COMPLETED)
                if not task.done() and not sign.result():
                    raise Unavailable(f"{endpoint} hangs; what was asked of it may be done or not")
        finally:
            task.cancel()

    def _sign(self, endpoint: str) -> "asyncio.Task[bool]":
        """Whether it shows a sign of life: one question at a time, whoever wants to know."""
        asked = self._signs.get(endpoint)
        if asked is None:
            asked = self._signs[endpoint] = asyncio.get_running_loop().create_task(self._shows_life(endpoint))
            asked.add_done_callback(lambda task: self._signs.pop(endpoint, None))
        return asked

    async def _shows_life(self, endpoint: str) -> bool:
        try:
            await self._client.request(endpoint, SIGN_OF_LIFE, timeout_s=SIGN_TIMEOUT_S)
        except Overloaded:
            return True
        except BusError:
            return False
        return True

    def _watch(self, records: Records, endpoint: str) -> None:
        if len(self._endpoints) == 1:
            return
        self._streams[records] = endpoint
        if self._keeper is None or self._keeper.done():
            self._keeper = spawn(self._keep_watch(), "signs of API servers")

    async def _keep_watch(self) -> None:
        """While streams are open, end those of an API server that shows no sign of life."""
        while self._streams:
            await asyncio.sleep(PATIENCE_S)
            for endpoint in set(self._streams.values()):
                if not await self._sign(endpoint):
                    for records in [each for each, where in self._streams.items() if where == endpoint]:
                        records.give_up(f"{endpoint} hangs")

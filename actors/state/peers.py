"""The other members: what is to be sent to each, and what each has sent.

Every member opens a feed at every other one, and keeps opening it for as long as that one is a member. What Raft wants
sent to a member waits in its outbox until its feed takes it; without a feed, or when it is too much, it is dropped and
Raft is told, which then finds out anew how far that member is. A feed that breaks says at once that its other end may
be dead.

Messages of another cluster are refused on both sides, and so is a member that has lost its data. A member that begins
without data takes the id of the first member that has added it.

Neighbours: `committer` sends and receives; `snapshots` streams the state; `peer_messages` is what crosses the wire.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Protocol

from actors.state import errors
from actors.state.births import Births
from actors.state.disk import is_full
from actors.state.messages import LOST_DATA
from actors.state.peer_messages import RaftBatch, RaftFeedRequest
from actors.state.raft.entries import size_bytes
from actors.state.raft.records import Append, Envelope, Message
from bus.client import Client
from bus.errors import BusError, RemoteError, Unavailable
from bus.record import Record
from bus.server import Context, Server

MAX_WAITING_BYTES = 32 << 20  # for one member, of entries: more than Raft's own window
MAX_WAITING = 4_096  # messages for one member
BATCH_BYTES = 4 << 20  # in one frame: a member that stores it has something to do for tens of milliseconds
WINDOW_BYTES = 16 << 20  # of batches under way to this member
CONNECT_S = 2.0  # for a feed to open; then it is tried again
PAUSE_S = 0.05  # between attempts: well within the time in which a member is missed
REFUSED_PAUSE_S = 1.0  # after a refusal, which the next attempt will hardly change


class Receiver(Protocol):
    """Who deals with what comes in."""

    def receive(self, sender: str, messages: list[Message]) -> None: ...
    def unreachable(self, peer: str) -> None: ...
    def lost(self, peer: str) -> None: ...
    def barred_by(self, peer: str, reason: str) -> None:
        """A member says that this one has lost its data; empty: it takes it as it is."""


class _Stranger(Exception):
    """A member comes without the data that it had."""

    def __init__(self, error: RemoteError):
        super().__init__(error.message)
        self.error = error


class Outbox:
    """Messages for one member, in order."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._bytes = 0
        self._filled = asyncio.Event()

    def put(self, message: Message) -> bool:
        """Return False when it is too much: then all of it is thrown away."""
        self._bytes += _size_bytes(message)
        if self._bytes > MAX_WAITING_BYTES or len(self._messages) >= MAX_WAITING:
            self._messages.clear()
            self._bytes = 0
            return False
        self._messages.append(message)
        self._filled.set()
        return True

    async def take(self) -> list[Message]:
        """Wait for messages, and return as many as one batch takes."""
        await self._filled.wait()
        if self._bytes <= BATCH_BYTES:
            taken, self._messages, self._bytes = self._messages, [], 0
            self._filled.clear()
            return taken
        count = size_bytes = 0
        for message in self._messages:
            size_bytes += _size_bytes(message)
            if count and size_bytes > BATCH_BYTES:
                break
            count += 1
        taken = self._messages[:count]
        del self._messages[:count]
        self._bytes = sum(map(_size_bytes, self._messages))
        if not self._messages:
            self._filled.clear()
        return taken


class Peers:
    """All feeds of one member, out and in."""

    def __init__(
        self,
        name: str,
        cluster_id: str,
        *,
        client: Client,
        endpoint_of: Callable[[str], str],
        birth: str,
        births: Births,
        spawn: Callable[[Any, str], "asyncio.Task[None]"],
        join: Callable[[str], None],
        log: Any,
    ):
        self.name = name
        self.cluster_id = cluster_id
        self._birth = birth
        self._births = births
        self._writing_births = asyncio.Lock()
        self.client = client
        self.endpoint_of = endpoint_of
        self._receiver: Receiver | None = None
        self._spawn = spawn
        self._join = join
        self._log = log
        self._outboxes: dict[str, Outbox] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._unreachable: set[str] = set()

    def serve(self, server: Server, receiver: Receiver) -> None:
        self._receiver = receiver
        server.register(RaftFeedRequest, self.feed)

    def connect(self, names: Iterable[str]) -> None:
        """Read the feeds of these members, and of no others."""
        wanted = {name for name in names if name != self.name}
        for name in wanted - self._readers.keys():
            self._readers[name] = self._spawn(self._read_for_ever(name), f"feed of {name}")
        for name in self._readers.keys() - wanted:
            self._readers.pop(name).cancel()

    def keep_only(self, names: Iterable[str]) -> None:
        """The group has a new membership: whoever is not in it may come again as somebody new."""
        members = frozenset(names)
        if self._births.knows_others_than(members):
            self._spawn(self._on_births(self._births.keep_only, members), "forget a member")

    def send(self, envelopes: Iterable[Envelope]) -> None:
        """Send, or drop and say so."""
        unreachable = set()
        for envelope in envelopes:
            outbox = self._outboxes.get(envelope.to)
            if outbox is None or not outbox.put(envelope.message):
                unreachable.add(envelope.to)
        if unreachable:
            self._tell_unreachable(unreachable)

    def check(self, cluster_id: str) -> None:
        """Refuse a member of another cluster; an empty id is that of a member that begins."""
        if cluster_id and self.cluster_id and cluster_id != self.cluster_id:
            raise errors.wrong_cluster(cluster_id, self.cluster_id)

    async def feed(self, request: RaftFeedRequest, context: Context) -> AsyncIterator[Record]:
        """Give a member what is for it, until it goes away or comes again."""
        self.check(request.cluster_id)
        await self._meet(context.sender, request.birth)
        outbox = self._outboxes[context.sender] = Outbox()
        try:
            yield RaftBatch(self.cluster_id, [], self._birth)
            while self._outboxes.get(context.sender) is outbox:
                yield RaftBatch(self.cluster_id, await outbox.take())
        finally:
            if self._outboxes.get(context.sender) is outbox:
                del self._outboxes[context.sender]

    async def _read_for_ever(self, peer: str) -> None:
        complained = False
        while True:
            pause_s = PAUSE_S
            try:
                await self._read(peer)
            except _Stranger as stranger:
                if not complained:
                    self._log.error("a member is refused", peer=peer, reason=stranger.error.message)
                complained, pause_s = True, REFUSED_PAUSE_S
            except RemoteError as error:
                if not complained:
                    self._log.error("a member refuses this one", peer=peer, reason=error.message)
                complained, pause_s = True, REFUSED_PAUSE_S
                if error.kind == LOST_DATA and self._receiver is not None:
                    self._receiver.barred_by(peer, error.message)
            except BusError as error:
                self._log.debug("no feed", peer=peer, reason=error.message)
            assert self._receiver is not None
            self._receiver.lost(peer)
            await asyncio.sleep(pause_s)

    async def _read(self, peer: str) -> None:
        assert self._receiver is not None
        request = RaftFeedRequest(self.cluster_id, self._birth)
        endpoint = self.endpoint_of(peer)
        async with self.client.stream(endpoint, request, timeout_s=CONNECT_S, window_bytes=WINDOW_BYTES) as batches:
            async for batch in batches:
                if not self._is_ours(batch):
                    raise errors.wrong_cluster(batch.cluster_id, self.cluster_id)
                if batch.birth:
                    await self._recognise(peer, batch.birth)
                if batch.messages:
                    self._receiver.receive(peer, batch.messages)

    async def _recognise(self, peer: str, birth: str) -> None:
        """A feed begins: the other end has let this member in, and says which one it is itself."""
        assert self._receiver is not None
        self._receiver.barred_by(peer, "")
        try:
            await self._meet(peer, birth)
        except RemoteError as error:
            raise _Stranger(error) from error

    async def _meet(self, name: str, birth: str) -> None:
        """LOST_DATA: it is another than it was. Unavailable: there is no room to remember it."""
        if self._births.is_known(name, birth):
            return
        try:
            await self._on_births(self._births.meet, name, birth)
        except OSError as error:
            if not is_full(error):
                raise
            raise Unavailable(f"no space to remember {name}: {error}") from error

    async def _on_births(self, change: Callable[..., None], *arguments: Any) -> None:
        async with self._writing_births:
            await asyncio.to_thread(change, *arguments)

    def _is_ours(self, batch: RaftBatch) -> bool:
        """Whether a batch is of this cluster. A member that begins joins the one that has something to say to it."""
        if batch.cluster_id == self.cluster_id:
            return True
        if not batch.cluster_id:
            return not batch.messages  # the other one begins too
        if self.cluster_id:
            return False
        if batch.messages:
            self._join(batch.cluster_id)
            self.cluster_id = batch.cluster_id
        return True

    def _tell_unreachable(self, names: set[str]) -> None:
        """Raft must not be told while it gives out its messages; so in the next turn, and once for each member."""
        if not self._unreachable:
            asyncio.get_running_loop().call_soon(self._report)
        self._unreachable |= names

    def _report(self) -> None:
        assert self._receiver is not None
        names, self._unreachable = self._unreachable, set()
        for name in names:
            self._receiver.unreachable(name)


def _size_bytes(message: Message) -> int:
    if not isinstance(message, Append):
        return 64
    return 64 + 16 * len(message.entries) + size_bytes(message.entries)

"""Snapshots of a running member: taken when the log has grown, given to members that are far behind, fetched from the
leader.

A snapshot is captured in one short step and written, or streamed, from references while the store goes on changing: in
a thread, at a pace that leaves interpreter and disk to the loop and the log. One that is fetched goes into a new file,
is read back and restored in a thread, and takes the place of everything only when Raft agrees; whatever breaks before
that has changed nothing.

Neighbours: `committer` calls it and installs what comes; `image` and `snapshot` are the formats.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from actors.state import errors, image, snapshot
from actors.state.damage import DataRefused, NoSpace
from actors.state.disk import is_full
from actors.state.disk_thread import DiskThread
from actors.state.history import PRUNE_CHANGES
from actors.state.image import Restored
from actors.state.messages import SaveChunk, SaveRequest
from actors.state.pace import Pace
from actors.state.peer_messages import SnapshotChunk, SnapshotRequest
from actors.state.peers import Peers
from actors.state.raft.progress import Mode
from actors.state.raft.records import InstallSnapshot
from bus.errors import BusError
from bus.record import Record
from bus.server import Context, Server
from runtime.clock import Clock

if TYPE_CHECKING:
    from actors.state.committer import Committer

Result = TypeVar("Result")

WINDOW_BYTES = 4 << 20  # of chunks under way
CONNECT_S = 2.0
FETCH_AGAIN_S = 1.0  # after a fetch that failed; the leader offers more often
INSTALL_S = 60.0  # for a member to install what it was given; then the leader tries again
FETCH_S = 3.0  # for a member to begin to fetch what it was offered
SPREAD = 2  # by less than a half of it the last member lets its log grow longer than the first


@dataclass(slots=True)
class Received:
    """A snapshot that came whole, in its file and in memory."""

    restored: Restored
    size_bytes: int
    is_adopted: bool = False  # its file has its name


class Snapshots:
    """What one member does about snapshots."""

    def __init__(
        self,
        committer: "Committer",
        peers: Peers,
        disk: DiskThread,
        every_bytes: int,
        *,
        spawn: Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"],
        log: Any,
        clock: Clock,
    ):
        self._committer = committer
        self._peers = peers
        self._disk = disk
        self._every_bytes = every_bytes
        self._spawn = spawn
        self._log = log
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._due_bytes = self._next_due_bytes()
        self._taking: asyncio.Task[None] | None = None
        self._pace = Pace(clock)  # of the one that is being taken
        self._offer: tuple[str, InstallSnapshot] | None = None  # the newest, and who made it, until it is fetched
        self._fetching: asyncio.Task[None] | None = None
        self._fetching_from = ""
        self._fetch_after_s = 0.0
        self._deadlines: dict[str, float] = {}  # of members that were offered one, or are being given one

    # Our own

    def take_if_due(self) -> None:
        """Take one when the log has grown enough."""
        if self._taking is None and self._committer.storage.log.size_bytes > self._due_bytes:
            self._begin()

    async def take(self) -> None:
        """Take one now, or wait for the one that is being taken."""
        if self._taking is None:
            self._begin()
        assert self._taking is not None
        self._pace.hurry()
        await asyncio.shield(self._taking)

    def _begin(self) -> None:
        self._pace = Pace(self._clock)
        self._taking = self._spawn(self._take(), "snapshot")
        self._taking.add_done_callback(self._on_taken)

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
        if self._taking is not None:
            self._pace.hurry()
            await self._taking

    async def _take(self) -> None:
        storage = self._committer.storage
        await self._free_history()
        begin_s = self._clock.monotonic()
        taken = self._committer.core.capture(storage.group.cluster_id)
        held_s = self._clock.monotonic() - begin_s
        try:
            size_bytes = await self._loop.run_in_executor(None, storage.save, taken, self._pace.rest)
        except NoSpace as error:
            self._due_bytes = storage.log.size_bytes + self._every_bytes // 4
            self._log.warning("no space for a snapshot; the log grows meanwhile", reason=str(error))
            return
        released = await self._disk.do(storage.release, taken, size_bytes)
        self._due_bytes = self._next_due_bytes()
        await self._loop.run_in_executor(None, storage.remove, released, self._pace.rest)
        took_s = round(self._clock.monotonic() - begin_s, 3)
        fields = {"index": taken.head.applied, "bytes": size_bytes, "held_ms": round(held_s * 1000, 1)}
        self._log.info("snapshot taken", took_s=took_s, **fields)

    async def _free_history(self) -> None:
        """What was compacted must be freed before a capture, which would do all of it at once."""
        history = self._committer.core.machine.store.history
        while history.prune(PRUNE_CHANGES):  # noqa: ASYNC110 - it is the work, not a wait
            await asyncio.sleep(0)

    def _next_due_bytes(self) -> int:
        """Return the size of the log at which a snapshot is due: not more often than writing it is worth, and at
        another size than with the other members, whose logs grow alike. A write waits for a majority, so that one
        member at a time may be slow."""
        worth_bytes = max(self._every_bytes, self._committer.storage.snapshot_bytes // 2)
        node = self._committer.core.node
        names = sorted({*node.members.votes, node.name})
        return worth_bytes + worth_bytes * names.index(node.name) // (SPREAD * len(names))

    def _on_taken(self, task: "asyncio.Task[None]") -> None:
        self._taking = None

    # Given to others

    def serve(self, server: Server) -> None:
        server.register(SnapshotRequest, self.give)
        server.register(SaveRequest, self.save)

    async def save(self, request: SaveRequest, context: Context) -> AsyncIterator[Record]:
        """Stream the state as it is now, for somebody who keeps it elsewhere."""
        if (current := self._committer.barrier()) is not None:
            await current
        for chunk in self._committer.core.capture(self._peers.cluster_id).chunks():
            yield SaveChunk(chunk)

    def offered(self, to: str) -> None:
        """Raft has offered one to a member."""
        self._deadlines[to] = self._clock.monotonic() + FETCH_S

    def tick(self) -> None:
        """Tell Raft about members that do not come for what they were offered, or do not install it; fetch again."""
        self._begin_to_fetch()
        if not self._deadlines:
            return
        now_s = self._clock.monotonic()
        progress = self._committer.core.node.progress
        for name in list(self._deadlines):
            if name not in progress or progress[name].mode is not Mode.SNAPSHOT:
                self._done(name)
        for name in [name for name, end_s in self._deadlines.items() if now_s > end_s]:
            self._failed(name)

    def lost(self, name: str) -> None:
        """The connection to a member broke: it may have died with what it was given."""
        if name in self._deadlines:
            self._failed(name)

    def _done(self, name: str) -> None:
        """A member follows again, or is somebody else's."""
        self._deadlines.pop(name, None)
        self._committer.core.pinned.pop(name, None)

    async def give(self, request: SnapshotRequest, context: Context) -> AsyncIterator[Record]:
        """Stream the state as it is now."""
        self._peers.check(request.cluster_id)
        core = self._committer.core
        if not core.is_leader:
            raise errors.not_leader(core.leader)
        taken = core.capture(self._peers.cluster_id)
        core.pinned[context.sender] = taken.head.applied
        self._deadlines[context.sender] = float("inf")
        is_whole = False
        try:
            for chunk in taken.chunks():
                yield SnapshotChunk(chunk)
            is_whole = True
            self._deadlines[context.sender] = self._clock.monotonic() + INSTALL_S
            self._log.info("gave a snapshot", to=context.sender, index=taken.head.applied)
        finally:
            if not is_whole:
                self._failed(context.sender)

    def _failed(self, name: str) -> None:
        self._done(name)
        self._committer.core.node.report_snapshot(name, arrived=False)

    # Fetched from the leader

    def fetch(self, leader: str, offer: InstallSnapshot) -> None:
        """The leader says that this member needs its state. One fetch at a time; one from a leader that is succeeded is
        given up, for it may hang as the leader does."""
        if not self._is_news(offer):
            return
        self._offer = leader, offer
        if leader != self._fetching_from:
            self._fetch_after_s = 0.0
            if self._fetching is not None:
                self._fetching.cancel()
        self._begin_to_fetch()

    def _begin_to_fetch(self) -> None:
        if self._offer is None or self._fetching is not None or self._clock.monotonic() < self._fetch_after_s:
            return
        (leader, offer), self._offer = self._offer, None
        if self._is_news(offer):
            self._fetching_from = leader
            self._fetching = self._spawn(self._fetch(leader, offer), "fetch a snapshot")
            self._fetching.add_done_callback(self._on_fetched)

    def _is_news(self, offer: InstallSnapshot) -> bool:
        node = self._committer.core.node
        return offer.term >= node.term and offer.index > node.log.commit

    async def _fetch(self, leader: str, offer: InstallSnapshot) -> None:
        try:
            received = await self._receive(leader)
        except (BusError, NoSpace, DataRefused, image.BadImage) as error:
            self._fetch_after_s = self._clock.monotonic() + FETCH_AGAIN_S
            self._log.warning("no snapshot from the leader", leader=leader, reason=str(error))
            return
        self._committer.install(leader, offer, received)

    async def _receive(self, leader: str) -> Received:
        disk = self._committer.storage.disk
        request = SnapshotRequest(self._peers.cluster_id)
        endpoint = self._peers.endpoint_of(leader)
        writer = await _in_thread(snapshot.Writer, disk, snapshot.INCOMING)
        is_whole = False
        try:
            async with self._peers.client.stream(
                endpoint, request, timeout_s=CONNECT_S, window_bytes=WINDOW_BYTES
            ) as chunks:
                async for chunk in chunks:
                    await _in_thread(writer.write, chunk.data)
            size_bytes = await _in_thread(writer.finish)
            restored = await _in_thread(lambda: image.restore(snapshot.read(disk, snapshot.INCOMING)))
            self._peers.check(restored.cluster_id)
            is_whole = True
        except OSError as error:
            if not is_full(error):
                raise
            raise NoSpace(str(error)) from error
        finally:
            if not is_whole:
                writer.abandon()
        return Received(restored, size_bytes)

    def _on_fetched(self, task: "asyncio.Task[None]") -> None:
        self._fetching = None
        if task.cancelled():
            self._begin_to_fetch()


async def _in_thread(call: Callable[..., Result], *arguments: Any) -> Result:
    """Run a call in a thread, and don't go on before it is over, even when cancelled: it uses the file."""
    running = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise
